//! Runs that agents make, with a real NATS server: what comes of them, and what is lost.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that can't go on says why

#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use encarno_record::notes::Notes;
use encarno_record::results::whole;
use encarno_test_peers::{NatsServer, Toxiproxy, json, scratch};
use process::Process;
use program::{command, run};
use recorded::{assert_ended, hits, said};
use rustix::process::{Pid, Signal, kill_process};

fn server() -> NatsServer {
    let store = scratch("jetstream");
    NatsServer::start_with(&["--jetstream", "--store_dir", store.to_str().unwrap()])
}

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads its standard error up to that word.
    fn until(&mut self, word: &str) -> String {
        let mut text = String::new();
        let mut reader = BufReader::new(self.0.stderr.take().unwrap());
        while !text.contains(word) {
            let read = reader.read_line(&mut text).unwrap();
            assert!(read > 0, "it ended before it said {word:?}: {text}");
        }
        // Whoever reads no more would end it by a broken pipe.
        std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        text
    }

    fn ends(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status.code(),
                None if Instant::now() > deadline => panic!("it doesn't end"),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// A server, a folder, and agents `a1`, `a2`, … that are ready.
struct Group {
    server: NatsServer,
    folder: tempfile::TempDir,
    agents: Vec<Process>,
}

impl Group {
    fn start(agents: &[&[&str]]) -> Self {
        let mut group = Self {
            server: server(),
            folder: tempfile::tempdir().unwrap(),
            agents: Vec::new(),
        };
        for (index, arguments) in agents.iter().enumerate() {
            group.add(&format!("a{}", index + 1), arguments);
        }
        group
    }

    fn add(&mut self, name: &str, arguments: &[&str]) {
        let folder = self.path(name);
        let url = self.server.url();
        let own = ["agent", "--nats", &url, "--group", "lab", "--name", name];
        let folder = ["--folder", folder.to_str().unwrap()];
        let line = [&own[..], &folder, arguments].concat();
        let mut agent = Process(command(self.folder.path(), &line).spawn().unwrap());
        agent.until("ready");
        self.agents.push(agent);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let url = self.server.url();
        let hub = ["--nats", &url, "--group", "lab"];
        command(self.folder.path(), &[arguments, &hub].concat())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn assert_ends(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.run(arguments);
        assert_ended(&output, arguments, code, says);
    }
}

/// Instants and labels of hits, in order.
fn timeline(file: &Path) -> Vec<(u64, String)> {
    let hits = hits(file).into_iter();
    let mut timeline: Vec<_> = hits.map(|(hit, label)| (hit.scheduled_ns, label)).collect();
    timeline.sort();
    timeline
}

/// What the file says of itself, with scheduled = done + failed + dropped + lost.
fn notes(file: &Path) -> Notes {
    let read = whole::read(file).unwrap();
    let totals = read.notes.totals.expect("an account");
    assert_eq!(
        totals.scheduled,
        totals.done + totals.failed + totals.dropped + totals.lost
    );
    assert_eq!(read.statistics.total().hits, totals.done + totals.failed);
    read.notes
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
        (
            &["dummy:", "-n", "9", "--stop-if", "p99>1s"],
            "--stop-if doesn't work with --agents",
        ),
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
    let each: [(&str, fn()); 10] = [
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
    let folder = group.path("a2");
    let url = format!("nats://{}", proxy.address());
    let line = [
        "agent", "--nats", &url, "--group", "lab", "--name", "a2", "--folder",
    ];
    let line = [&line[..], &[folder.to_str().unwrap()]].concat();
    let mut agent = Process(command(group.folder.path(), &line).spawn().unwrap());
    agent.until("ready");
    group.agents.push(agent);
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
    let notes = notes(&group.path("run.enc"));
    assert!(
        notes
            .clocks
            .iter()
            .all(|clock| clock.uncertainty_ns < 1_000_000_000),
        "{:?}",
        notes.clocks
    );
}
