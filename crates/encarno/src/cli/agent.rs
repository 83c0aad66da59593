//! `encarno agent`: makes a part of each run of a group.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use encarno_fleet::agent::{self, AgentSettings};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::flags::duration;
use super::flags::fleet::HubArguments;
use super::{Failure, complain, parent, process};
use crate::exit;

/// The arguments of `encarno agent`.
#[derive(Debug, Args)]
pub(super) struct AgentArguments {
    #[command(flatten)]
    hub: HubArguments,
    /// The name of this agent. No two agents of a group may have the same one [default: the
    /// host's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The commands that this agent accepts.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["hit", "run"])]
    allow: Vec<Allowed>,
    /// Refuse runs if this agent's part has more hits per second than this.
    #[arg(long, value_name = "RATE")]
    max_rate: Option<u64>,
    /// Refuse runs that last longer than this.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_time: Option<Duration>,
    /// Refuse runs that send hits to other hosts than these, such as '*.lab.example'.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Keep files and results of runs in this folder [default: encarno-agent in the temporary
    /// folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// End after one run.
    #[arg(long)]
    once: bool,
    /// End when no run has come for this long. Until then, the agent also waits for the NATS
    /// server.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    idle: Option<Duration>,
    /// End when this process has ended, in the same way as after SIGTERM.
    #[arg(long, value_name = "PID", value_parser = process)]
    parent: Option<Pid>,
    /// The NATS server that the parent started; this agent ends it after the parent has
    /// ended.
    #[arg(long, value_name = "PID", value_parser = process, hide = true)]
    server: Option<Pid>,
}

/// A command that an agent accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allowed {
    /// `encarno hit`
    Hit,
    /// `encarno run`
    Run,
    /// `encarno k6 run`: any script of k6
    K6,
}

impl AgentArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let text = "where does the group meet? Name the NATS server with --nats URL";
        let hub = self.hub.hub().ok_or_else(|| Failure::usage(text))?;
        let host = || {
            encarno_record::notes::environment()
                .into_iter()
                .find(|(name, _)| name == "host")
        };
        let name = match &self.name {
            Some(name) => name.clone(),
            None => host().map_or_else(|| "agent".to_owned(), |(_, host)| host),
        };
        let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        let name: String = name
            .chars()
            .map(|c| if good(c) { c } else { '-' })
            .take(32)
            .collect();
        let names = self.allow.iter().map(|allowed| match allowed {
            Allowed::Hit => "hit".to_owned(),
            Allowed::Run => "run".to_owned(),
            Allowed::K6 => "k6".to_owned(),
        });
        let allow: Vec<String> = names.collect();
        let bounds = self.bounds();
        if self.allow.contains(&Allowed::K6) && !bounds.is_empty() {
            let text = "--max-rate, --max-time and --hosts don't bound scripts of k6: leave k6 out of --allow";
            return Err(Failure::usage(text));
        }
        let folder = self.folder.clone();
        let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("encarno-agent"));
        let server = self
            .server
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        parent::end_with(self.parent)?;
        complain(&format!(
            "agent {name} of the group {} at {}: everyone who may publish there can start \
             encarno {}{}",
            hub.group,
            hub.shown(),
            allow.join(" and encarno "),
            self.bounds_text()
        ));
        let settings = AgentSettings {
            hub,
            name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: std::env::current_exe().map_err(Failure::setup)?,
            allow,
            bounds,
            folder,
            once: self.once,
            idle: self.idle,
        };
        let ended = agent::run(settings, complain);
        if let (Some(server), Some(parent)) = (server, self.parent)
            && pidfd_open(parent, PidfdFlags::empty()).is_err()
        {
            // The server may have ended by itself.
            let _sent = pidfd_send_signal(server, Signal::TERM);
        }
        ended.map_err(Failure::setup)?;
        Ok(exit::OK)
    }

    fn bounds(&self) -> Vec<String> {
        let mut bounds = Vec::new();
        if let Some(rate) = self.max_rate {
            bounds.push(format!("--bound-rate={rate}"));
        }
        if let Some(time) = self.max_time {
            bounds.push(format!("--bound-time={}s", time.as_secs_f64()));
        }
        bounds.extend(self.hosts.iter().map(|host| format!("--bound-host={host}")));
        bounds
    }

    fn bounds_text(&self) -> String {
        let mut text = String::new();
        if let Some(rate) = self.max_rate {
            text += &format!(", at most {rate} hits/s");
        }
        if let Some(time) = self.max_time {
            text += &format!(", for at most {} s", time.as_secs_f64());
        }
        match self.hosts.is_empty() {
            true => text + ", to any host",
            false => text + ", to " + &self.hosts.join(", "),
        }
    }
}
