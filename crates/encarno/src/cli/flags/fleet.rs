//! Flags for runs on agents.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use encarno_fleet::Hub;
use encarno_secret::Secret;

use super::duration;
use crate::cli::Failure;
use crate::files::Files;
use crate::url_text::UrlText;

/// Which agents make the run, and where they meet.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub(crate) struct FleetArguments {
    /// Let N agents make the run together, each a part of it. See `encarno agent`. local:4
    /// starts four agents on this machine, to try it.
    #[arg(long, value_name = "N", value_parser = agents)]
    pub(crate) agents: Option<Agents>,
    #[command(flatten)]
    pub(crate) hub: HubArguments,
    /// What agents send back.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value_t,
        requires = "agents"
    )]
    pub(crate) collect: Collect,
    /// Give up an agent, and its hits, when it has been silent for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "agents")]
    pub(crate) silence: Duration,
    /// Also write what has come in from all agents to this file, merged, while the run goes on:
    /// `encarno tail` follows it.
    #[arg(long, value_name = "FILE", requires = "agents")]
    growing: Option<PathBuf>,
    /// The pods that become the agents, with `encarno kube`.
    #[arg(skip)]
    pub(crate) pods: Option<encarno_kube::settings::Settings>,
}

impl FleetArguments {
    /// Notes the file that it writes.
    pub(crate) fn note_files(&self, files: &mut Files) {
        if let Some(growing) = &self.growing {
            files.writes("the growing file", growing);
        }
    }

    /// The file for what has come in; `shown` is that of a page.
    pub(crate) fn growing(&self, shown: Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
        match &self.growing {
            Some(_) if shown.is_some() => Err(Failure::usage(
                "--growing and a page of the run don't go together: leave one of them out",
            )),
            Some(growing) => Ok(Some(growing.clone())),
            None => Ok(shown),
        }
    }
}

/// The agents of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agents {
    /// This number of agents that already run.
    Group(usize),
    /// This number of agents on this machine, which the program starts.
    Local(usize),
}

/// What agents send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Collect {
    /// The sums of each second.
    #[default]
    Sums,
    /// Every hit.
    Hits,
}

/// The NATS server and group of agents.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HubArguments {
    /// The NATS server where agents and coordinators meet. It needs JetStream.
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<UrlText>,
    /// The group of agents.
    #[arg(long, value_name = "NAME", default_value = Self::GROUP)]
    pub(crate) group: String,
    /// A file with NATS credentials.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_credentials: Option<PathBuf>,
    /// Trust these certificates of authorities for the NATS server: a PEM file.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,
}

impl HubArguments {
    /// The group without `--group`.
    pub(crate) const GROUP: &str = "default";

    /// The NATS server and group; `None` without a server.
    pub(crate) fn hub(&self) -> Option<Hub> {
        let url = self.nats.as_ref()?;
        Some(Hub {
            url: Secret::new(url.exposed()),
            credentials: self.nats_credentials.clone(),
            ca: self.nats_ca.clone(),
            group: self.group.clone(),
        })
    }
}

const AGENTS_MAX: usize = 10_000;

fn agents(text: &str) -> Result<Agents, String> {
    let (number, of): (_, fn(usize) -> Agents) = match text.strip_prefix("local:") {
        Some(number) => (number, Agents::Local),
        None => (text, Agents::Group),
    };
    match number.parse() {
        Ok(number) if (1..=AGENTS_MAX).contains(&number) => Ok(of(number)),
        _ => Err(format!(
            "expected a number of agents up to {AGENTS_MAX}, or local:4"
        )),
    }
}
