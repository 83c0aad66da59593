//! The bounds of an agent's runs. The agent's own program enforces them.

use std::path::Component;
use std::time::Duration;

use clap::Args;
use encarno_engine::schedule::Level;
use encarno_engine::settings::{Part, Source, Start, Workload};

use super::duration;
use crate::cli::Failure;
use crate::files::Files;
use crate::protocols::Run;

/// Bounds that an agent adds to the command line of a run.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BoundArguments {
    /// At most so many hits per second.
    #[arg(long, hide = true)]
    bound_rate: Option<u64>,
    /// At most so long.
    #[arg(long, hide = true, value_parser = duration)]
    bound_time: Option<Duration>,
    /// Only to such a host.
    #[arg(long, hide = true)]
    bound_host: Vec<String>,
}

impl BoundArguments {
    /// Fails if the run is more than the agent allows.
    pub(crate) fn check(&self, run: &Run, files: &Files) -> Result<(), Failure> {
        let part = &run.settings.part;
        if matches!(part.start, Start::Told { .. }) {
            check_files(files)?;
        }
        if let Some(rate_max) = self.bound_rate {
            check_rate(run, part, rate_max)?;
        }
        if let Some(time_max) = self.bound_time {
            check_time(run, time_max)?;
        }
        if !self.bound_host.is_empty() {
            self.check_host(run)?;
        }
        Ok(())
    }

    fn check_host(&self, run: &Run) -> Result<(), Failure> {
        if !matches!(run.settings.source, Source::Request { .. }) {
            let text = "this agent allows only some hosts (--hosts), and the records of a file may name any: \
                        it accepts only runs of one request";
            return Err(Failure::setup(text));
        }
        let Some(network) = run.protocol.network() else {
            return Ok(());
        };
        let address = network.address.as_deref().unwrap_or_default();
        let host = host_of(address);
        if network.proxy.is_some() || !self.bound_host.iter().any(|pattern| matches(pattern, host))
        {
            return Err(Failure::setup(format!(
                "this agent allows hits to {} and not to {host}{}",
                self.bound_host.join(", "),
                if network.proxy.is_some() {
                    " by a proxy"
                } else {
                    ""
                }
            )));
        }
        Ok(())
    }
}

/// Fails if a run reads or writes other files than its own: whoever sends a run may not
/// reach other files of this machine.
fn check_files(files: &Files) -> Result<(), Failure> {
    for path in files.paths() {
        let below = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !below {
            return Err(Failure::setup(format!(
                "{}: a run on an agent reads and writes files of its own folder only",
                path.display()
            )));
        }
    }
    Ok(())
}

fn check_rate(run: &Run, part: &Part, rate_max: u64) -> Result<(), Failure> {
    let schedule = match &run.settings.workload {
        Workload::Open(open) => open.schedule(),
        Workload::Closed(_) | Workload::Steered(_) => None,
    };
    let Some(schedule) = schedule else {
        return Err(Failure::setup(format!(
            "this agent makes at most {rate_max} hits/s (--max-rate): give a rate, such as --rate {rate_max}"
        )));
    };
    let rate = schedule
        .level_max()
        .0
        .div_ceil(Level::ONE.0)
        .div_ceil(part.count as u64);
    if rate > rate_max {
        return Err(Failure::setup(format!(
            "this agent makes at most {rate_max} hits/s (--max-rate), and its part has {rate}"
        )));
    }
    Ok(())
}

fn check_time(run: &Run, time_max: Duration) -> Result<(), Failure> {
    let time = match &run.settings.workload {
        Workload::Open(open) => {
            let schedule = open
                .schedule()
                .map(|schedule| Duration::from_nanos(schedule.duration_ns()));
            match (schedule, open.duration_max) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Workload::Closed(closed) => closed.duration.or_else(|| {
            let duration = Duration::from_nanos(closed.workers.duration_ns());
            (!duration.is_zero()).then_some(duration)
        }),
        Workload::Steered(_) => None,
    };
    match time {
        Some(time) if time <= time_max => Ok(()),
        Some(time) => Err(Failure::setup(format!(
            "this agent's runs last at most {} s (--max-time), and this one {} s",
            time_max.as_secs_f64(),
            time.as_secs_f64()
        ))),
        None => Err(Failure::setup(format!(
            "this agent's runs last at most {} s (--max-time): give the length with --for",
            time_max.as_secs_f64()
        ))),
    }
}

/// The host of an address such as `http://host:port`.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    }
}

/// Whether a text matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{host_of, matches};

    #[test]
    fn hosts_are_told_apart() {
        for (address, host) in [
            ("http://a.example:80/x", "a.example"),
            ("a.example:80", "a.example"),
            ("https://u:p@a.example/", "a.example"),
            ("http://[::1]:80", "::1"),
        ] {
            assert_eq!(host_of(address), host);
        }
        for (pattern, text, right) in [
            ("*.lab.example", "a.lab.example", true),
            ("*.lab.example", "lab.example.evil", false),
            ("127.0.0.*", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.11", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, text), right, "{pattern} {text}");
        }
    }
}
