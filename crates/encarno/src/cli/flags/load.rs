//! Flags for rate, workers and length of a run.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use encarno_engine::schedule::{Level, Schedule};
use encarno_engine::settings::{Arrivals, ClosedSettings, OpenSettings, Workload};

use super::duration;
use super::rate::Rate;
use crate::cli::Failure;
use crate::scenario::{Decides, Means, Scenario};

/// The workload.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArguments {
    /// Open workload: hits per second over time, such as 'line(1,5000,30s) const(5000,1m)'. A
    /// number, such as 500, 500/s, 30/m or 1k, is a constant rate; it needs --for or --hits.
    #[arg(short, long, value_name = "SCHEDULE")]
    rate: Option<Rate>,
    /// Closed workload: the number of workers, each with a connection [default: 10]. Open
    /// workload: the most connections [default: 1000].
    #[arg(short, long, visible_aliases = ["vus", "concurrency"], value_name = "N")]
    connections: Option<u32>,
    /// Closed workload: workers over time, such as 'ramp(100,30s) wait(1m) line(100,0,30s)'. A
    /// number is the same as -c.
    #[arg(long, value_name = "SCHEDULE", value_parser = workers, conflicts_with_all = ["rate", "connections"])]
    workers: Option<Schedule>,
    /// A wasm component decides the load while the run goes on, or which record comes next, or
    /// what virtual users send.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// The settings that the scenario gets.
    #[arg(long, value_name = "TEXT", requires = "scenario", default_value = "")]
    scenario_settings: String,
    /// How long the run takes. An open workload's schedule ends then, too.
    #[arg(short = 'z', long = "for", visible_alias = "duration", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// How the hits of an open workload are spread over time.
    #[arg(long, value_enum, default_value = "uniform")]
    arrivals: ArrivalsArgument,
    /// The seed of all random numbers.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Drop hits that would start later than this after the instant at which they are due. By
    /// default they wait.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    late_limit: Option<Duration>,
    /// At the end of the schedule, make the hits that still wait for a connection. By default
    /// they are dropped.
    #[arg(long, requires = "rate")]
    keep_backlog: bool,
    /// Start hits to the microsecond. This keeps whole cores busy.
    #[arg(long)]
    spin: bool,
    /// The number of event loops [default: one for each core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Make at most N hits.
    #[arg(short = 'n', long, visible_alias = "requests", value_name = "N")]
    pub(crate) hits: Option<NonZeroU64>,
    /// After a stop, give the hits that run this long to end.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ArrivalsArgument {
    /// At even distances.
    Uniform,
    /// As a Poisson process.
    Poisson,
}

/// What the records mean for the workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordsLoad {
    /// Whether the records carry instants.
    pub(crate) stepped: bool,
    /// Whether the records end by themselves.
    pub(crate) bounded: bool,
}

impl LoadArguments {
    /// Whether the workload ends by itself, as far as it can be told without the scenario.
    pub(crate) fn has_end(&self, records: RecordsLoad) -> bool {
        self.scenario.is_some() || self.is_bounded(records)
    }

    fn is_bounded(&self, records: RecordsLoad) -> bool {
        let is_schedule = match (&self.rate, &self.workers) {
            (Some(rate), _) => rate.schedule(self.duration, self.hits).is_ok(),
            (None, Some(workers)) => workers.duration_ns() > 0,
            (None, None) => records.stepped,
        };
        is_schedule
            || self.rate.is_none()
                && (self.duration.is_some() || self.hits.is_some() || records.bounded)
    }

    /// The scenario.
    pub(crate) fn scenario(&self) -> Result<Option<Scenario>, Failure> {
        let Some(file) = &self.scenario else {
            return Ok(None);
        };
        let opened = Scenario::open(file, None, &self.scenario_settings, self.seed);
        let opened = opened.map_err(|text| Failure::usage(format!("--scenario: {text}")))?;
        Ok(Some(opened))
    }

    /// The workload, if there is a scenario.
    pub(crate) fn decided(
        &self,
        scenario: &Scenario,
        streams: u32,
        records: RecordsLoad,
    ) -> Result<Workload, Failure> {
        let means = Means {
            workers_max: self.connections.unwrap_or(1000) as usize * streams as usize,
            poisson: matches!(self.arrivals, ArrivalsArgument::Poisson),
            seed: self.seed,
            late_limit: self.late_limit,
            duration_max: self.duration,
            spin: self.spin,
            keep_backlog: self.keep_backlog,
        };
        let workload = scenario.workload(&means);
        let workload = workload.map_err(|text| Failure::usage(format!("--scenario: {text}")))?;
        let Some(workload) = workload else {
            if self.rate.is_some() && scenario.decides() == Decides::Users {
                return Err(Failure::usage(
                    "--scenario: its users decide when they send, so that there can't be a rate: \
                     leave --rate out, and say how many users there are with -c or --workers",
                ));
            }
            // The instants of records belong to their order in the file.
            let records = RecordsLoad {
                stepped: false,
                ..records
            };
            return self.workload(streams, records);
        };
        if self.rate.is_some() || self.workers.is_some() {
            return Err(Failure::usage(
                "--scenario: this component decides the load, so that --rate and --workers cannot be \
                 used with it: leave them out",
            ));
        }
        Ok(workload)
    }

    /// The workload. A worker has one hit at a time, and `streams` workers share a
    /// connection.
    pub(crate) fn workload(&self, streams: u32, records: RecordsLoad) -> Result<Workload, Failure> {
        let open = |arrivals| {
            Workload::Open(OpenSettings {
                arrivals,
                workers_start: 0,
                workers_max: self.connections.unwrap_or(1000) as usize * streams as usize,
                late_limit: self.late_limit,
                duration_max: self.duration,
                spin: self.spin,
                keep_backlog: self.keep_backlog,
            })
        };
        if let Some(rate) = &self.rate {
            let schedule = rate
                .schedule(self.duration, self.hits)
                .map_err(Failure::usage)?;
            return Ok(open(match self.arrivals {
                ArrivalsArgument::Uniform => Arrivals::of(schedule, self.seed),
                ArrivalsArgument::Poisson => Arrivals::Poisson {
                    schedule,
                    seed: self.seed,
                },
            }));
        }
        // The records' own instants count, whatever the number of connections.
        if self.workers.is_none() && records.stepped {
            return Ok(open(Arrivals::Recorded));
        }
        let workers = match (&self.workers, self.connections) {
            (Some(schedule), _) => schedule.clone(),
            (None, Some(0)) => return Err(Failure::usage("--connections is 0")),
            (None, connections) => {
                let workers = connections.unwrap_or(10).saturating_mul(streams);
                Schedule::constant(Level::whole(workers), 0)
            }
        };
        if !self.is_bounded(records) {
            let text = "for how long? Add -z 10s (or another duration) or -n 1000 (a number of hits); \
                 --loop N, --rate SCHEDULE and --workers SCHEDULE also say when it ends";
            return Err(Failure::usage(text));
        }
        Ok(Workload::Closed(ClosedSettings {
            workers,
            duration: self.duration,
            workers_max: 0,
        }))
    }
}

/// A schedule of workers, or one number of workers for the whole run.
fn workers(text: &str) -> Result<Schedule, String> {
    match text.trim().parse::<u32>() {
        Ok(0) => Err("0 workers make no hits".to_owned()),
        Ok(workers) => Ok(Schedule::constant(Level::whole(workers), 0)),
        Err(_) => match Schedule::read(text) {
            Ok(schedule) if schedule.is_poisson() => Err(
                "poisson needs a rate, and a number of workers isn't one: leave it out, or use \
                 --rate"
                    .to_owned(),
            ),
            read => read.map_err(|error| error.to_string()),
        },
    }
}
