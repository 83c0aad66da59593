//! Runs that agents make, with a real NATS server: what comes of them, and what is lost.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)] // a test that can't go on says why

#[path = "rig/group.rs"]
mod group;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use encarno_record::results::whole;
use encarno_test_peers::{NatsServer, Toxiproxy, json, scratch};
use group::{Group, notes};
use process::Process;
use program::run;
use recorded::{assert_ended, hits, said};
use rustix::process::Signal;
use serde_json::Value;

/// Instants and labels of hits, in order.
fn timeline(file: &Path) -> Vec<(u64, String)> {
    let hits = hits(file).into_iter();
    let mut timeline: Vec<_> = hits.map(|(hit, label)| (hit.scheduled_ns, label)).collect();
    timeline.sort();
    timeline
}

#[test]
fn local_agents_make_the_hits_of_one_run_and_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records: String = (0..70).map(|n| format!("5 r{n}\nhello\n")).collect();
    std::fs::write(folder.join("records"), records).unwrap();
    let what = [
        "hit",
        "dummy:",
        "-i",
        "records",
        "--format",
        "raw",
        "--rate",
        "line(100,900,1s)",
    ];
    let alone = run(folder, &[&what[..], &["-q", "-o", "alone.enc"]].concat());
    assert!(alone.status.success(), "{}", said(&alone));
    let more = [
        "--agents",
        "local:4",
        "--collect",
        "hits",
        "-o",
        "all.enc",
        "--fail-if",
        "p99>1m",
    ];
    let output = run(folder, &[&what[..], &more].concat());
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("scheduled 500 = done 500"), "{text}");
    assert!(text.contains("passed  p99>1m"), "{text}");
    assert_eq!(
        timeline(&folder.join("all.enc")),
        timeline(&folder.join("alone.enc"))
    );
    let notes = notes(&folder.join("all.enc"));
    assert_eq!(notes.clocks.len(), 4);
    assert!(!folder.join("all.enc.parts").exists());
    // Nobody lives on.
    let own = format!("--parent\0{}", std::process::id());
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    let lines =
        lines.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    let left = lines.filter(|line| line.contains(&own)).count();
    assert_eq!(left, 0);
}

fn sums_are_as_exact_as_hits_and_the_status_is_one_of_all() {
    let group = Group::start(&[&[], &[]]);
    std::fs::create_dir(group.path("data")).unwrap();
    std::fs::write(group.path("data/records"), "5 a\nhello\n5 b\nhello\n").unwrap();
    let configuration = "protocol: {driver: dummy}\n\
        input: {payloadfile: data/records, format: raw}\n\
        workers: {mode: open, schedule: 'const(400,1s)'}\n";
    std::fs::write(group.path("run.yml"), configuration).unwrap();
    let arguments = ["run", "run.yml", "--agents", "2", "-o", "run.enc"];
    group.assert_ends(&arguments, 0, "scheduled 400 = done 400");
    notes(&group.path("run.enc"));
    let stats = whole::read(&group.path("run.enc")).unwrap();
    let labels: Vec<_> = stats
        .statistics
        .labels()
        .map(|(label, all)| (label.to_owned(), all.hits))
        .collect();
    assert_eq!(labels, [("a".to_owned(), 200), ("b".to_owned(), 200)]);
    assert!(hits(&group.path("run.enc")).is_empty(), "sums alone");

    let fails = [
        "hit",
        "dummy:",
        "-n",
        "90",
        "--agents",
        "2",
        "--fail-if",
        "p50<1h",
    ];
    group.assert_ends(&fails, 99, "FAILED  p50<1h");
    let fails = [
        "hit",
        "dummy:",
        "-n",
        "90",
        "--agents",
        "2",
        "--error-rate",
        "1",
    ];
    group.assert_ends(&fails, 7, "failed 90");
}

fn what_agents_do_not_take_is_said_by_name() {
    // One refuses and the other doesn't: of two that refuse either may be the first.
    let group = Group::start(&[&["--allow", "run"], &[]]);
    let hit = |more: &'static [&str]| [&["hit", "--agents", "2", "-q"], more].concat();
    group.assert_ends(
        &hit(&["dummy:", "-n", "9"]),
        1,
        "agent a1 doesn't make the run",
    );
    group.assert_ends(
        &hit(&["dummy:", "-n", "9"]),
        1,
        "it doesn't accept `encarno hit`",
    );
    group.assert_ends(
        &["hit", "dummy:", "-n", "9", "--agents", "3"],
        1,
        "3 agents are wanted, and 2 of the group lab are free: a1, a2",
    );
    drop(group);

    let group = Group::start(&[&[
        "--max-rate",
        "50",
        "--max-time",
        "5s",
        "--hosts",
        "127.0.0.*",
    ]]);
    let hit = |more: &'static [&str]| [&["hit", "--agents", "1", "-q"], more].concat();
    for (more, says) in [
        (
            &["dummy:", "--rate", "51", "--for", "1s"][..],
            "at most 50 hits/s (--max-rate), and its part has 51",
        ),
        (&["dummy:", "-n", "9"], "give a rate"),
        (
            &["dummy:", "--rate", "5", "--for", "6s"],
            "last at most 5 s (--max-time), and this one 6 s",
        ),
        (
            &["http://192.0.2.1/", "--rate", "5", "--for", "1s"],
            "and not to 192.0.2.1",
        ),
    ] {
        group.assert_ends(&hit(more), 1, says);
    }
    for (more, says) in [
        (
            &["dummy:", "-n", "9", "-i", "/etc/hostname"][..],
            "name it by a relative path",
        ),
        (&["dummy:", "-n", "9", "--phout", "x"], "not for phout"),
    ] {
        group.assert_ends(&hit(more), 2, says);
    }
    group.assert_ends(
        &hit(&["dummy:", "--rate", "50", "--for", "1s"]),
        0,
        "done 50",
    );
}

/// Whoever may publish in the group writes a plan by hand: it reads and writes nothing else.
#[test]
fn a_password_in_the_url_of_nats_is_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let url = "nats://me:hunter2@127.0.0.1:1";
    for arguments in [
        &["hit", "dummy:", "-n", "1", "--agents", "1", "--nats", url][..],
        &["agent", "--nats", url],
        &["attach", "run", "--nats", url, "-o", "a.enc"],
    ] {
        let output = program::run(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("127.0.0.1:1: "), "{said}");
        assert!(said.contains("refused"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_part_keeps_to_the_folder_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    for more in [
        &["-i", "/etc/hostname"][..],
        &["--phout", "/tmp/x"],
        &["--trace", "../x"],
    ] {
        let line = [
            &["hit", "dummy:", "-n", "9", "--start-at", "-", "-o", "r.enc"],
            more,
        ]
        .concat();
        let output = run(folder.path(), &line);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains("files of its own folder only"),
            "{}",
            said(&output)
        );
    }
}

/// Whoever may publish in the group says that a run, and an agent, are called as a path is.
#[test]
fn no_name_that_is_said_in_a_group_becomes_a_path() {
    let group = Group::start(&[&[]]);
    let victim = scratch("victim");
    let places: Vec<_> = (0..40).map(|n| victim.join(format!("k{n:02}"))).collect();
    for place in &places {
        std::fs::create_dir(place).unwrap();
    }
    let there = victim.to_str().unwrap();
    let run = format!("{there}/run");
    let plan = json!({
        "run": run, "version": env!("CARGO_PKG_VERSION"), "agents": ["a1"],
        "arguments": ["hit", "dummy:", "-n", "1"],
    });
    let agent = json!({
        "name": format!("{there}/agent"), "version": env!("CARGO_PKG_VERSION"), "cores": 2,
        "allow": ["hit"],
    });
    publish(
        &group.server,
        &[
            (format!("$KV.encarno_lab_runs.{run}.plan"), plan.to_string()),
            ("$KV.encarno_lab_agents.evil".to_owned(), agent.to_string()),
        ],
    );
    // By then the agent has heard the plan.
    let hit = ["hit", "dummy:", "-n", "9", "-q", "--agents"];
    group.assert_ends(&[&hit[..], &["1"]].concat(), 0, "done 9");
    publish(
        &group.server,
        &[("$KV.encarno_lab_agents.evil".to_owned(), agent.to_string())],
    );
    let says = "2 agents are wanted, and 1 of the group lab are free: a1";
    group.assert_ends(&[&hit[..], &["2"]].concat(), 1, says);
    let mut left: Vec<_> = std::fs::read_dir(&victim)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    left.sort();
    assert_eq!(left, places);
    std::fs::remove_dir_all(&victim).unwrap();
}

/// Publishes these messages, each with its subject.
fn publish(server: &NatsServer, messages: &[(String, String)]) {
    let url = server.url();
    let mut stream = TcpStream::connect(url.trim_start_matches("nats://")).unwrap();
    let mut said = "CONNECT {\"verbose\":false}\r\n".to_owned();
    for (subject, text) in messages {
        said += &format!("PUB {subject} {}\r\n{text}\r\n", text.len());
    }
    stream.write_all((said + "PING\r\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap() == "PONG"), "{messages:?}");
}

/// What agents take, and what breaks. All at once: they mostly wait, and each has a server and agents of its own.
#[test]
fn whatever_happens_the_account_balances() {
    let each: [(&str, fn()); 14] = [
        (
            "the_summary_of_agents_is_that_of_one_machine",
            the_summary_of_agents_is_that_of_one_machine,
        ),
        (
            "a_condition_on_all_hits_ends_the_run_on_all_agents",
            a_condition_on_all_hits_ends_the_run_on_all_agents,
        ),
        (
            "metrics_that_are_fetched_are_those_of_all_agents",
            metrics_that_are_fetched_are_those_of_all_agents,
        ),
        (
            "agents_together_are_one_machine_in_any_order",
            agents_together_are_one_machine_in_any_order,
        ),
        (
            "sums_are_as_exact_as_hits_and_the_status_is_one_of_all",
            sums_are_as_exact_as_hits_and_the_status_is_one_of_all,
        ),
        (
            "what_agents_do_not_take_is_said_by_name",
            what_agents_do_not_take_is_said_by_name,
        ),
        (
            "a_second_signal_stops_all_agents",
            a_second_signal_stops_all_agents,
        ),
        (
            "an_agent_that_dies_or_hangs_loses_its_hits_and_no_others",
            an_agent_that_dies_or_hangs_loses_its_hits_and_no_others,
        ),
        (
            "an_agent_that_must_end_loses_the_rest_of_its_hits",
            an_agent_that_must_end_loses_the_rest_of_its_hits,
        ),
        (
            "a_coordinator_that_dies_leaves_a_run_that_is_collected",
            a_coordinator_that_dies_leaves_a_run_that_is_collected,
        ),
        ("a_signal_drains_all_agents", a_signal_drains_all_agents),
        (
            "a_server_that_is_started_again_costs_nothing",
            a_server_that_is_started_again_costs_nothing,
        ),
        (
            "a_partition_that_ends_in_time_costs_nothing",
            a_partition_that_ends_in_time_costs_nothing,
        ),
        (
            "clocks_that_are_wrong_do_not_matter",
            clocks_that_are_wrong_do_not_matter,
        ),
    ];
    let threads = each.map(|(name, test)| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        (name, thread.spawn(test).unwrap())
    });
    // All are waited for, so that one that fails doesn't end the others.
    let ended = threads.map(|(name, thread)| (name, thread.join().is_err()));
    let failed: Vec<_> = ended.into_iter().filter(|(_, failed)| *failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn an_agent_that_dies_or_hangs_loses_its_hits_and_no_others() {
    let group = Group::start(&[&[], &[], &[], &[]]);
    let arguments = [
        "hit",
        "dummy:",
        "--rate",
        "400",
        "--for",
        "5s",
        "--agents",
        "4",
        "--silence",
        "2s",
        "-o",
        "run.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    coordinator.until("hits came in");
    group.agents[0].signal(Signal::KILL);
    group.agents[2].signal(Signal::STOP);
    assert_eq!(coordinator.ends(), Some(8));
    let notes = notes(&group.path("run.enc"));
    let totals = notes.totals.unwrap();
    assert_eq!(totals.scheduled, 2000);
    assert!(
        totals.done >= 1000 && totals.lost > 0 && totals.lost < 1000,
        "{totals:?}"
    );
    let reasons = notes.verdict.unwrap().reasons.join("\n");
    assert!(
        reasons.contains("agent a1 was lost") && reasons.contains("agent a3 was lost"),
        "{reasons}"
    );
    group.agents[2].signal(Signal::CONT);
}

/// A node takes its pod back, for example.
fn an_agent_that_must_end_loses_the_rest_of_its_hits() {
    let group = Group::start(&[&["--once"], &["--once"]]);
    let arguments = [
        "hit", "dummy:", "--rate", "200", "--for", "6s", "--agents", "2", "-o", "run.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    coordinator.until("hits came in");
    group.agents[0].signal(Signal::TERM);
    assert_eq!(coordinator.ends(), Some(8));
    let notes = notes(&group.path("run.enc"));
    let totals = notes.totals.unwrap();
    assert_eq!(totals.scheduled, 1200);
    assert!(totals.done >= 600 && totals.lost > 0, "{totals:?}");
    let reasons = notes.verdict.unwrap().reasons.join("\n");
    assert!(
        reasons.contains("agent a1 was lost") && reasons.contains("a signal ended it"),
        "{reasons}"
    );
    for agent in group.agents {
        assert_eq!(agent.ends(), Some(0), "an agent ends after one run");
    }
}

/// A server may want a user, which the URL has.
#[test]
fn a_group_meets_at_a_server_that_wants_a_user() {
    let store = scratch("jetstream");
    let store = ["--jetstream", "--store_dir", store.to_str().unwrap()];
    let server =
        NatsServer::start_with(&[&store[..], &["--user", "me", "--pass", "p@ss"]].concat());
    let folder = tempfile::tempdir().unwrap();
    let url = server.url().replace("nats://", "nats://me:p%40ss@");
    let idle = [
        "agent", "--nats", &url, "--name", "a", "--idle", "200ms", "--folder", ".",
    ];
    let ended = run(folder.path(), &idle);
    assert_ended(&ended, &idle, 0, "no run came");
    let refused = [
        "agent",
        "--nats",
        &server.url(),
        "--name",
        "b",
        "--idle",
        "200ms",
    ];
    assert_ended(
        &run(folder.path(), &refused),
        &refused,
        1,
        "authorization violation",
    );
}

fn a_coordinator_that_dies_leaves_a_run_that_is_collected() {
    let group = Group::start(&[&[], &[]]);
    let arguments = [
        "hit", "dummy:", "--rate", "300", "--for", "4s", "--agents", "2", "-o", "x.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    let text = coordinator.until("hits came in");
    coordinator.signal(Signal::KILL);
    let run = text
        .lines()
        .find_map(|line| line.split("run ").nth(1))
        .unwrap();
    let run = run.split(':').next().unwrap();
    // The files of the single agents are there, as far as they came; and all of it is in NATS.
    assert!(group.path("x.enc.parts/a1.enc").exists());
    group.assert_ends(
        &["attach", run, "-o", "run.enc"],
        0,
        "scheduled 1200 = done 1200",
    );
    notes(&group.path("run.enc"));
    group.assert_ends(&["attach", "nothing", "-o", "n.enc"], 1, "has no such run");
}

fn a_signal_drains_all_agents() {
    let group = Group::start(&[&[], &[]]);
    let arguments = [
        "hit", "dummy:", "--rate", "100", "--for", "10m", "--agents", "2", "-o", "run.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    coordinator.until("hits came in");
    coordinator.signal(Signal::INT);
    assert_eq!(coordinator.ends(), Some(0));
    let totals = notes(&group.path("run.enc")).totals.unwrap();
    assert!(totals.done > 0 && totals.lost == 0, "{totals:?}");
    // The agents are free for the next run.
    group.assert_ends(&["hit", "dummy:", "-n", "9", "--agents", "2"], 0, "done 9");
}

fn a_second_signal_stops_all_agents() {
    let group = Group::start(&[&[], &[]]);
    let endless = ["--delay", "1h", "--timeout", "2h", "--grace", "1h"];
    let arguments = ["hit", "dummy:", "-n", "9", "--agents", "2", "-o", "run.enc"];
    let mut coordinator = Process(
        group
            .command(&[&arguments[..], &endless].concat())
            .spawn()
            .unwrap(),
    );
    coordinator.until("starts in 2 s");
    std::thread::sleep(Duration::from_secs(4));
    coordinator.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(500));
    coordinator.signal(Signal::INT);
    assert_eq!(coordinator.ends(), Some(130));
    let totals = notes(&group.path("run.enc")).totals.unwrap();
    assert_eq!((totals.scheduled, totals.failed, totals.lost), (9, 9, 0));
}

fn a_server_that_is_started_again_costs_nothing() {
    let mut group = Group::start(&[&[], &[]]);
    let arguments = [
        "hit", "dummy:", "--rate", "200", "--for", "5s", "--agents", "2", "-o", "run.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    coordinator.until("hits came in");
    group.server.restart();
    assert_eq!(coordinator.ends(), Some(0));
    let totals = notes(&group.path("run.enc")).totals.unwrap();
    assert_eq!((totals.scheduled, totals.done), (1000, 1000));
}

/// An agent that nobody hears for a while, and that hears nobody: what it did meanwhile comes.
fn a_partition_that_ends_in_time_costs_nothing() {
    let mut group = Group::start(&[&[]]);
    let proxy = Toxiproxy::start(&format!("127.0.0.1:{}", group.server.port()));
    group.add_at("a2", &format!("nats://{}", proxy.address()), &[]);
    let arguments = [
        "hit",
        "dummy:",
        "--rate",
        "200",
        "--for",
        "4s",
        "--agents",
        "2",
        "--silence",
        "40s",
        "-o",
        "run.enc",
    ];
    let mut coordinator = Process(group.command(&arguments).spawn().unwrap());
    coordinator.until("hits came in");
    // Nothing gets through, and no connection is closed.
    proxy.add("timeout", &json!({"timeout": 0}));
    std::thread::sleep(Duration::from_secs(6));
    proxy.clear();
    assert_eq!(coordinator.ends(), Some(0));
    let totals = notes(&group.path("run.enc")).totals.unwrap();
    assert_eq!((totals.scheduled, totals.done), (800, 800));
}

/// Clocks that differ by seconds: the parts start at the same instant all the same.
fn clocks_that_are_wrong_do_not_matter() {
    let shifted = |by: &str| {
        let mut command = Command::new("unshare");
        command.args(["--time", "--monotonic", by, "--fork", "--kill-child", "--"]);
        command
    };
    if !shifted("5")
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("skipped: this machine has no time namespaces, or no right to make one");
        return;
    }
    let mut group = Group::start(&[&[]]);
    for (name, by) in [("ahead", "5"), ("behind", "-5")] {
        let url = group.server.url();
        let folder = group.path(name);
        let mut agent = shifted(by);
        agent.arg(env!("CARGO_BIN_EXE_encarno"));
        agent.args([
            "agent", "--nats", &url, "--group", "lab", "--name", name, "--folder",
        ]);
        let agent = agent
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut agent = Process(agent.spawn().unwrap());
        agent.until("ready");
        group.agents.push(agent);
    }
    // A target's log says when hits came, by one clock for all.
    let log = group.path("log");
    let target = encarno_target::Target::start(encarno_target::TargetSettings {
        log: Some(log.clone()),
        ..Default::default()
    })
    .unwrap();
    let url = format!("http://{}/", target.address());
    let arguments = [
        "hit",
        &url,
        "--rate",
        "60",
        "--for",
        "2s",
        "--agents",
        "3",
        "--collect",
        "hits",
        "-o",
        "run.enc",
    ];
    group.assert_ends(&arguments, 0, "scheduled 120 = done 120");
    target.stop().unwrap();
    let mut came: Vec<u64> = encarno_target::read_log(&log)
        .unwrap()
        .iter()
        .map(|entry| entry.received_ns)
        .collect();
    came.sort_unstable();
    let span = Duration::from_nanos(came[came.len() - 1] - came[0]);
    // Were one 5 s off, it would be 7 s; a busy machine takes a moment more than 2.
    assert!(span < Duration::from_secs(5), "{span:?}");
    // All have the wall clock of this machine. So the offset that an agent reports is its
    // error, and the start differs by as much. It is within the uncertainty on any machine.
    let clocks = notes(&group.path("run.enc")).clocks;
    let errors_ns = clocks.iter().map(|clock| clock.offset_ns);
    let skew_ns = errors_ns.clone().max().unwrap() - errors_ns.min().unwrap();
    println!("3 agents, clocks 10 s apart: they started within {skew_ns} ns: {clocks:?}");
    assert_eq!(clocks.len(), 3);
    for clock in clocks {
        // The coordinator and the agent each read two clocks, which takes a moment.
        let error_ns = clock.offset_ns.unsigned_abs().saturating_sub(100_000);
        assert!(error_ns <= clock.uncertainty_ns, "{clock:?}");
    }
}

fn permutations(items: &[String]) -> Vec<Vec<String>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for place in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(place);
        for mut order in permutations(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

/// Four agents have the schedule of one machine. Their buckets are those of all their hits,
/// in whatever order they are added.
fn agents_together_are_one_machine_in_any_order() {
    let group = Group::start(&[&[], &[], &[], &[]]);
    let records: String = (0..70).map(|n| format!("5 r{n}\nhello\n")).collect();
    std::fs::write(group.path("records"), records).unwrap();
    let what = "hit dummy: -i records --format raw --rate line(100,900,1s) --delay 2ms";
    let what: Vec<&str> = what.split(' ').collect();
    let alone = run(
        group.folder.path(),
        &[&what[..], &["-q", "-o", "alone.enc"]].concat(),
    );
    assert!(alone.status.success(), "{}", said(&alone));
    let on_agents = [&what[..], &["--agents", "4", "-o", "all.enc"]].concat();
    group.assert_ends(&on_agents, 0, "scheduled 500 = done 500");
    // What each agent has kept: all of its hits.
    let kept = (1..=4).map(|number| {
        let runs = std::fs::read_dir(group.path(&format!("a{number}/runs"))).unwrap();
        let run = runs.flatten().next().unwrap().path();
        let file = run.join(format!("a{number}/results.enc"));
        file.to_str().unwrap().to_owned()
    });
    let kept: Vec<String> = kept.collect();
    let mut union: Vec<_> = kept
        .iter()
        .flat_map(|file| timeline(file.as_ref()))
        .collect();
    union.sort();
    assert_eq!(union, timeline(&group.path("alone.enc")));
    let mut bytes = Vec::new();
    for order in permutations(&kept) {
        let files: Vec<&str> = order.iter().map(|file| &**file).collect();
        let line = [&["merge"], &files[..], &["-o", "merged.enc"]].concat();
        let merged = run(group.folder.path(), &line);
        assert!(merged.status.success(), "{}", said(&merged));
        let now = std::fs::read(group.path("merged.enc")).unwrap();
        if bytes.is_empty() {
            bytes = now;
        } else {
            assert!(bytes == now, "{order:?} gives another file");
        }
    }
    let merged = whole::read(&group.path("merged.enc")).unwrap().statistics;
    let hit_by_hit = whole::read_hits(&group.path("merged.enc"))
        .unwrap()
        .statistics;
    let sent = whole::read(&group.path("all.enc")).unwrap().statistics;
    for others in [hit_by_hit, sent] {
        let (one, other): (Vec<_>, Vec<_>) = (merged.labels().collect(), others.labels().collect());
        assert_eq!(one.len(), 70);
        assert_eq!(one, other);
    }
}

/// The names in a JSON document, with the places where they stand.
fn names(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                // These are data: codes.
                let name = if name.bytes().all(|byte| byte.is_ascii_digit()) {
                    "CODE"
                } else {
                    name
                };
                names(member, &format!("{place}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, place, found)),
        _ => drop(found.insert(place.to_owned())),
    }
}

fn the_summary_of_agents_is_that_of_one_machine() {
    let group = Group::start(&[&[], &[], &[]]);
    let target = encarno_target::Target::start(encarno_target::TargetSettings {
        error_rate: 1.0,
        ..Default::default()
    })
    .unwrap();
    let url = format!("http://{}/", target.address());
    std::fs::write(group.path("records"), "/a one\n/b two\n/c three\n").unwrap();
    let what = [
        "hit",
        &url,
        "-i",
        "records",
        "--format",
        "uri",
        "--loop",
        "30",
        "-c",
        "6",
        "--fail-if",
        "errors>1%",
        "--fail-if",
        "p99>1h",
        "--strict",
    ];
    let alone = ["--summary", "alone.json", "--junit", "alone.xml", "-q"];
    let alone = run(group.folder.path(), &[&what[..], &alone].concat());
    assert_eq!(alone.status.code(), Some(99), "{}", said(&alone));
    let on_agents = ["--summary", "all.json", "--junit", "all.xml", "--json"];
    let line = [&what[..], &on_agents, &["--agents", "3"]].concat();
    let output = group.run(&line);
    assert_ended(&output, &line, 99, "errors>1%");
    target.stop().unwrap();
    let read = |name: &str| std::fs::read_to_string(group.path(name)).unwrap();
    let [one, all] = ["alone.json", "all.json"].map(|name| {
        let value: Value = serde_json::from_str(&read(name)).unwrap();
        value
    });
    // What is printed is what the file has.
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, all);
    let [mut of_one, mut of_all] = [BTreeSet::new(), BTreeSet::new()];
    names(&one, "", &mut of_one);
    names(&all, "", &mut of_all);
    assert_eq!(of_one, of_all);
    for place in [
        "/hits/scheduled",
        "/hits/started",
        "/hits/done",
        "/hits/failed",
        "/hits/dropped",
        "/hits/lost",
        "/hits/unexpected_status",
        "/hits/assertion_failed",
        "/hits/redirects_followed",
        "/input",
        "/addresses",
        "/exit_status",
        "/stopped",
        "/expected",
        "/total/protocol_codes",
        "/total/net_codes",
        "/version",
    ] {
        let [one, all] = [&one, &all].map(|value| value.pointer(place));
        assert!(one.is_some(), "{place}");
        assert_eq!(one, all, "{place}");
    }
    assert_eq!(all["hits"]["unexpected_status"], 90);
    let labels = |value: &Value| -> Vec<Value> {
        let labels = value["labels"].as_array().unwrap().iter();
        labels
            .map(|label| json!([label["label"], label["hits"]]))
            .collect()
    };
    assert_eq!(labels(&all), labels(&one));
    // The cases are the same; only their times and values differ.
    let cases = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("<testcase"));
        lines
            .map(|line| line.split(" time=").next().unwrap().to_owned())
            .collect()
    };
    let (one, all) = (read("alone.xml"), read("all.xml"));
    assert_eq!(cases(&all).len(), 4, "{all}");
    assert_eq!(cases(&one), cases(&all));
    assert!(all.contains("failures=\"2\""), "{all}");
}

/// Each agent makes at most half of the hits, so none of them sees what all see.
fn a_condition_on_all_hits_ends_the_run_on_all_agents() {
    let group = Group::start(&[&[], &[]]);
    let load = ["--rate", "100", "--for", "10m", "--agents", "2"];
    let hit = [&["hit", "dummy:"][..], &load, &["-o", "hit.enc"]].concat();
    // A whole second has 100 of them on all agents.
    let hit = [&hit[..], &["--stop-if", "hits>90 for 2s"]].concat();
    group.assert_ends(&hit, 99, "hits>90 for 2s (it is ");
    let totals = notes(&group.path("hit.enc")).totals.unwrap();
    assert!(totals.done >= 180 && totals.lost == 0, "{totals:?}");
    std::fs::write(group.path("records"), "5 a\nhello\n").unwrap();
    let configuration = "protocol: {driver: dummy}\n\
        workers: {mode: open, schedule: 'const(100,10m)'}\n\
        input: {payloadfile: records, format: raw}\n\
        run: {stopif: ['limit(3s)'], failif: ['errors>1%'], summaryfile: s.json, junitfile: j.xml}\n";
    std::fs::write(group.path("run.yml"), configuration).unwrap();
    let line = ["run", "run.yml", "--agents", "2", "-o", "run.enc"];
    group.assert_ends(&line, 99, "stopped by limit(3s)");
    let summary = std::fs::read(group.path("s.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["stopped"], "by_condition");
    let totals = notes(&group.path("run.enc")).totals.unwrap();
    assert_eq!(summary["hits"]["done"], totals.done);
    let cases = std::fs::read_to_string(group.path("j.xml")).unwrap();
    assert!(cases.contains("stop-if limit(3s)"), "{cases}");
}

fn metrics_that_are_fetched_are_those_of_all_agents() {
    let group = Group::start(&[&[], &[]]);
    let line = [
        "hit",
        "dummy:",
        "--rate",
        "200",
        "--for",
        "3s",
        "--agents",
        "2",
        "--metrics",
        "127.0.0.1:0",
        "-o",
        "run.enc",
    ];
    let mut coordinator = Process(group.command(&line).spawn().unwrap());
    let text = coordinator.until("metrics can be fetched at ");
    let (_, url) = text.split_once("metrics can be fetched at ").unwrap();
    let address = url.trim().trim_start_matches("http://");
    let (address, path) = address.split_once('/').unwrap();
    let mut hits = 0;
    // The last points are kept until they were fetched.
    while coordinator.0.try_wait().unwrap().is_none() {
        let Ok(mut stream) = TcpStream::connect(address) else {
            continue;
        };
        let mut answer = String::new();
        let asked = write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        if asked
            .and_then(|()| stream.read_to_string(&mut answer))
            .is_ok()
        {
            let counts = answer
                .lines()
                .filter(|line| line.starts_with("encarno_hits_total{"));
            let count = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            let now: u64 = counts.map(count).sum();
            assert!(now >= hits, "{now} after {hits}");
            hits = now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(coordinator.ends(), Some(0));
    assert_eq!(hits, 600);
    let verdict = notes(&group.path("run.enc")).verdict.unwrap();
    assert!(
        !verdict
            .reasons
            .iter()
            .any(|reason| reason.contains("NOT delivered")),
        "{verdict:?}"
    );
}
