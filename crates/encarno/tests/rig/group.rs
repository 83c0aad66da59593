//! A NATS server with agents that are ready for runs.

#![allow(dead_code)] // each test file uses its part of it

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use encarno_record::notes::Notes;
use encarno_record::results::whole;
use encarno_test_peers::{NatsServer, scratch};
use rustix::process::{Pid, Signal, kill_process};

use super::process::Process;
use super::program::command;
use super::recorded::assert_ended;

pub(super) fn server() -> NatsServer {
    let store = scratch("jetstream");
    NatsServer::start_with(&["--jetstream", "--store_dir", store.to_str().unwrap()])
}

impl Process {
    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads its standard error up to that word.
    pub(super) fn until(&mut self, word: &str) -> String {
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

    pub(super) fn ends(mut self) -> Option<i32> {
        let status = self.ends_within(Duration::from_secs(60));
        assert!(status.is_some(), "it doesn't end, or a signal ended it");
        status
    }

    /// Its exit status; `None` if it goes on, or if a signal ended it.
    pub(super) fn ends_within(&mut self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

/// A server, a folder, and agents `a1`, `a2`, … that are ready.
pub(super) struct Group {
    pub(super) server: NatsServer,
    pub(super) folder: tempfile::TempDir,
    pub(super) agents: Vec<Process>,
}

impl Group {
    pub(super) fn start(agents: &[&[&str]]) -> Self {
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

    pub(super) fn add(&mut self, name: &str, arguments: &[&str]) {
        let url = self.server.url();
        self.add_at(name, &url, arguments);
    }

    /// Adds an agent that reaches the server at this URL.
    pub(super) fn add_at(&mut self, name: &str, url: &str, arguments: &[&str]) {
        let folder = self.path(name);
        let own = ["agent", "--nats", url, "--group", "lab", "--name", name];
        let folder = ["--folder", folder.to_str().unwrap()];
        let line = [&own[..], &folder, arguments].concat();
        let mut agent = Process(command(self.folder.path(), &line).spawn().unwrap());
        agent.until("ready");
        self.agents.push(agent);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let url = self.server.url();
        let hub = ["--nats", &url, "--group", "lab"];
        command(self.folder.path(), &[arguments, &hub].concat())
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(super) fn assert_ends(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.run(arguments);
        assert_ended(&output, arguments, code, says);
    }
}

/// What the file says of itself, with scheduled = done + failed + dropped + lost.
pub(super) fn notes(file: &Path) -> Notes {
    let read = whole::read(file).unwrap();
    let totals = read.notes.totals.expect("an account");
    assert_eq!(
        totals.scheduled,
        totals.done + totals.failed + totals.dropped + totals.lost
    );
    assert_eq!(read.statistics.total().hits, totals.done + totals.failed);
    read.notes
}
