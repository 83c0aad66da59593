//! Event loops under nibs that misbehave.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails here says enough

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use encarno_engine::LoopError;
use encarno_engine::control::{GrowError, HORIZON};
use encarno_engine::schedule::{Level, Piece, Schedule};
use encarno_engine::settings::{
    Arrivals, ClosedSettings, OpenSettings, OutputSettings, Part, RunSettings, ScriptSettings,
    Source, Workload,
};
use encarno_engine::{RunError, run};
use encarno_nib::{Form, Io, Kind, Nib, Protocol, Readiness, Seat, Shot, Step};
use encarno_record::Expected;

const HOUR: Duration = Duration::from_secs(3600);

/// In loop 1 a hit is a panic; in others it never ends.
struct Stuck {
    panics: bool,
}

struct StuckProtocol {
    panics: bool,
}

impl Protocol for StuckProtocol {
    type Nib = Stuck;

    const KIND: &'static Kind = &Kind {
        name: "stuck",
        aliases: &[],
        schemes: &[],
        form: Form::Bytes,
        tls: None,
        network: false,
        options: &[],
    };

    fn nib(&self, seat: &Seat<'_>) -> Stuck {
        Stuck {
            panics: self.panics && seat.number == 1,
        }
    }

    fn timeout(&self) -> Duration {
        HOUR
    }
}

impl Nib for Stuck {
    type Connection = ();

    fn connection(&mut self) {}

    fn start(&mut self, (): &mut (), _: &mut Shot, _: &mut Io<'_>) -> Step {
        assert!(!self.panics, "this is the panic that the test is about");
        Step::Running
    }

    fn ready(&mut self, (): &mut (), _: Option<&mut Shot>, _: Readiness, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn wake(&mut self, (): &mut (), _: &mut Shot, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn abandon(&mut self, (): &mut ()) {}
}

fn settings(workload: Workload) -> RunSettings {
    RunSettings {
        source: Source::Request {
            payload: Bytes::new(),
            label: String::new(),
            hits_max: None,
        },
        workload,
        script: ScriptSettings::default(),
        output: OutputSettings::default(),
        expected: Expected::default(),
        threads: NonZeroUsize::new(2),
        grace: Duration::from_millis(100),
        part: Part::default(),
        calibrated_rate: None,
    }
}

fn closed() -> Workload {
    Workload::Closed(ClosedSettings {
        workers: Schedule::constant(Level::whole(2), 0),
        duration: Some(HOUR),
        workers_max: 0,
    })
}

#[test]
fn a_loop_that_breaks_down_ends_the_run_though_another_goes_on() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let protocol = StuckProtocol { panics: true };
        let result = run(&settings(closed()), &protocol, &mut |_| {}, |_| {});
        sender.send(result).unwrap();
    });
    // Loop 0 would go on for an hour.
    let result = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        matches!(result, Err(RunError::Loop(LoopError::Panicked))),
        "{result:?}"
    );
}

#[test]
fn a_schedule_grows_only_where_all_loops_can_follow() {
    let piece = Piece::flat(Level::ONE, 1);
    let open = |arrivals| {
        Workload::Open(OpenSettings {
            arrivals,
            workers_start: 0,
            workers_max: 10,
            late_limit: None,
            duration_max: None,
            spin: false,
            keep_backlog: false,
        })
    };
    let protocol = StuckProtocol { panics: false };
    let schedule: Schedule = "const(1,1h)".parse().unwrap();
    let uniform = settings(open(Arrivals::Uniform(schedule)));
    run(&uniform, &protocol, &mut |_| {}, |control| {
        let hour_ns = HOUR.as_nanos() as u64;
        let soon = control.grow(HORIZON.as_nanos() as u64 / 2, &[piece]);
        assert!(matches!(soon, Err(GrowError::TooSoon { .. })), "{soon:?}");
        let end_ns = hour_ns;
        let late = control.grow(hour_ns + 1, &[piece]);
        assert_eq!(late, Err(GrowError::Ended { end_ns }));
        assert_eq!(control.grow(hour_ns, &[piece]), Ok(()));
        let end_ns = hour_ns + 1;
        let late = control.grow(hour_ns + 2, &[piece]);
        assert_eq!(late, Err(GrowError::Ended { end_ns }));
        let none = control.grow(hour_ns, &[]);
        assert!(matches!(none, Err(GrowError::Schedule(_))), "{none:?}");
        assert_eq!(control.changes(), 1);
        control.stop_harder();
        assert_eq!(control.grow(hour_ns, &[piece]), Err(GrowError::Stopped));
    })
    .unwrap();
}
