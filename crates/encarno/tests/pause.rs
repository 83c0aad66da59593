//! A pause moves the rest of a run: no hit is due meanwhile, and none is left out.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

mod rig;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use encarno::supervise::Ended;
use encarno_engine::control::Control;
use encarno_engine::control::{GrowError, Stop};
use encarno_engine::schedule::{HitInstants, Randomness};
use encarno_engine::settings::Workload;
use encarno_target::{Target, TargetSettings};
use rig::{closed, machine, open, run_with};

/// Pauses a run for a while, some time after its start; the two instants.
fn pause(control: &Control) -> (u64, u64) {
    thread::sleep(Duration::from_millis(200));
    let from_ns = control.pause().unwrap();
    assert!(control.is_paused());
    assert_eq!(control.pause(), Ok(from_ns), "it is paused already");
    thread::sleep(Duration::from_millis(400));
    let to_ns = control.resume().unwrap().unwrap();
    assert_eq!(control.resume(), Ok(None), "it isn't paused");
    (from_ns, to_ns)
}

#[test]
fn an_open_run_makes_each_hit_once_and_none_within_the_pause() {
    let _machine = machine();
    let (sender, receiver) = channel();
    let account = run_with(
        open("line(50,400,1s) const(300,300ms)", 500),
        TargetSettings::default(),
        None,
        move |control| {
            thread::spawn(move || {
                let (from_ns, to_ns) = pause(&control);
                sender
                    .send((from_ns, to_ns, control.schedule().unwrap()))
                    .unwrap();
            });
        },
    );
    let (from_ns, to_ns, schedule) = receiver.recv().unwrap();
    assert!(to_ns - from_ns >= 400_000_000);
    let instants: Vec<u64> = HitInstants::new(&schedule, Randomness::None, 0, 1).collect();
    let mut due: Vec<u64> = account.hits.iter().map(|hit| hit.scheduled_ns).collect();
    due.sort_unstable();
    // As many as without the pause: 225 of the line, 90 of the constant.
    assert_eq!((instants.len(), due.len()), (315, 315));
    // On a machine that is held up a loop may learn of the pause too late: then hits
    // keep the instants that they had, which is the truth.
    if account.summary.total.lag_ns.max() < 40_000_000 {
        assert_eq!(due, instants);
        let within = |ns: &&u64| from_ns + 1 < **ns && **ns + 1 < to_ns;
        assert_eq!(due.iter().find(within), None);
    }
    assert_eq!(account.summary.paused_ns, to_ns - from_ns);
    assert!(account.summary.span_ns >= 1_300_000_000 + account.summary.paused_ns);
    assert_eq!(
        account.marks,
        [
            (from_ns, "{\"paused\":true}".to_owned()),
            (to_ns, "{\"paused\":false}".to_owned())
        ]
    );
}

#[test]
fn a_closed_run_ends_as_much_later() {
    let _machine = machine();
    let mut settings = closed(4);
    if let Workload::Closed(closed) = &mut settings.settings.workload {
        closed.duration = Some(Duration::from_millis(600));
    }
    let target = TargetSettings {
        delay: encarno_nib::delay::Delay::Fixed(Duration::from_millis(5)),
        ..TargetSettings::default()
    };
    let (sender, receiver) = channel();
    let account = run_with(settings, target, None, move |control| {
        thread::spawn(move || {
            assert_eq!(control.end_ns(), Some(600_000_000));
            let (from_ns, to_ns) = pause(&control);
            sender.send((from_ns, to_ns, control.end_ns())).unwrap();
        });
    });
    let (from_ns, to_ns, end_ns) = receiver.recv().unwrap();
    assert_eq!(end_ns, Some(600_000_000 + to_ns - from_ns));
    let started = account.hits.iter().map(|hit| hit.started_ns);
    let last_ns = started.clone().max().unwrap();
    assert!(to_ns < last_ns && Some(last_ns) < end_ns, "{last_ns}");
    // A loop looks at its schedule before each start.
    let slack_ns = 40_000_000;
    let within = |ns: &u64| from_ns + slack_ns < *ns && *ns < to_ns;
    assert_eq!(started.clone().find(within), None);
}

#[test]
fn a_run_that_is_stopped_in_a_pause_ends_at_once_and_says_so() {
    let _machine = machine();
    let account = run_with(
        open("const(100,1h)", 10),
        TargetSettings::default(),
        None,
        |control| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                control.pause().unwrap();
                thread::sleep(Duration::from_millis(200));
                control.stop_harder();
                assert_eq!(control.resume().map(|_| ()), Ok(()));
                assert_eq!(control.pause(), Err(GrowError::Stopped));
            });
        },
    );
    let summary = &account.summary;
    assert_eq!(summary.stop, Stop::Drain);
    assert!(summary.elapsed_ns < 60_000_000_000 && summary.span_ns < 60_000_000_000);
    assert!(account.marks[0].1.contains("true"), "{:?}", account.marks);
    assert!(summary.paused_ns > 0);
    let ended = Ended {
        may_be_empty: false,
        summary: summary.clone(),
        judged: Vec::new(),
        stopped_by: None,
        lost: Vec::new(),
        scenario_broke: false,
    };
    assert!(encarno::report::run_text(&ended).contains("paused for "));
}

#[test]
fn a_run_whose_load_is_not_its_own_is_not_paused() {
    use encarno_engine::settings::Source;
    let target = Target::start(TargetSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stpd");
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let stpd = format!("{} 0 x\n{request}\n0", request.len());
    std::fs::write(&file, stpd).unwrap();
    let mut settings = open("const(1,1s)", 1);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.arrivals = encarno_engine::settings::Arrivals::Recorded;
    }
    settings.settings.source = Source::File(encarno_input::InputSettings::of_file(&file));
    settings.protocol = encarno::protocols::Protocol::Http(
        encarno_nib::NetworkSettings {
            address: Some(format!("http://{}", target.address())),
            ..Default::default()
        }
        .into(),
    );
    let summary = encarno::supervise::run(&settings, |control| {
        assert_eq!(control.pause(), Err(GrowError::Recorded));
    });
    assert_eq!(summary.unwrap().summary.totals.done, 1);
    target.stop().unwrap();
}
