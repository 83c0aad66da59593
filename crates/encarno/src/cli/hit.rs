//! `encarno hit`: makes a run from flags alone.

use clap::Args;
use encarno_engine::settings::{RunSettings, ScriptSettings};

use super::Failure;
use super::flags::bounds::BoundArguments;
use super::flags::connection::ConnectionArguments;
use super::flags::fleet::FleetArguments;
use super::flags::load::LoadArguments;
use super::flags::output::OutputArguments;
use super::flags::part::PartArguments;
use super::flags::request::{RequestArguments, SourceLimits};
use super::flags::verdict::VerdictArguments;
use super::flags::watch::WatchArguments;
use super::read::Local;
use crate::files::Files;
use crate::protocols::Run;

/// The arguments of `encarno hit`.
#[derive(Debug, Args)]
pub(super) struct HitArguments {
    #[command(flatten)]
    request: RequestArguments,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    pub(super) watch: WatchArguments,
    #[command(flatten)]
    verdict: VerdictArguments,
    #[command(flatten)]
    part: PartArguments,
    #[command(flatten)]
    bounds: BoundArguments,
    #[command(flatten)]
    pub(super) fleet: FleetArguments,
}

impl HitArguments {
    /// Checks whether the flags fit together, and makes the run. `given` is the same
    /// flags as names and values.
    pub(super) fn settings(&self, given: &[(String, String)]) -> Result<Run, Failure> {
        let request = &self.request;
        let target = request.target()?;
        let keep_bytes_max = self.output.keep_answer_bytes_max();
        let seed = self.load.seed;
        let protocol = request.protocol(&target, &self.connection, keep_bytes_max, seed)?;
        let streams = protocol.streams();
        let scenario = self.load.scenario()?;
        let workload = match &scenario {
            Some(scenario) => self
                .load
                .decided(scenario, streams, request.records.load())?,
            None => self.load.workload(streams, request.records.load())?,
        };
        let part = self.part.part()?;
        if scenario.is_some() && (part.count > 1 || self.fleet.agents.is_some()) {
            return Err(Failure::usage(
                "--scenario decides for the whole run, which a part of it doesn't know: leave --agents \
                 and --part out",
            ));
        }
        if self.load.hits.is_some() && request.records.per_worker {
            return Err(Failure::usage(
                "-n is the number of all hits, and with --per-worker each worker reads the file for itself: \
                 give --loop or --for instead of -n",
            ));
        }
        let limits = SourceLimits {
            hits_max: self.load.hits,
            one_worker: workload.workers_max() == 1,
        };
        let strings_file = request.records.strings.clone();
        let source = match &scenario {
            Some(scenario) => request.decided(scenario, &target, &protocol, limits)?,
            None => request.source(&target, &protocol, limits)?,
        };
        let settings = RunSettings {
            source,
            workload,
            script: ScriptSettings {
                seed,
                rules: request.rules(),
                ..ScriptSettings::default()
            },
            output: self.output.settings(given, strings_file),
            expected: request.expected,
            threads: self.load.threads,
            grace: self.load.grace,
            part,
            calibrated_rate: None,
        };
        Ok(Run {
            settings,
            protocol,
            judging: self.verdict.judging(),
            progress: self.verdict.progress(),
            scenario,
            capacity: None,
        })
    }

    /// Fails if the agent that this process works for doesn't allow the run.
    pub(super) fn check_bounds(&self, run: &Run, files: &Files) -> Result<(), Failure> {
        self.bounds.check(run, files)
    }

    /// Whether the flags say when the run ends, and take no URL for a file.
    pub(super) fn is_whole(&self) -> bool {
        let records = &self.request.records;
        self.load.has_end(records.load()) && !records.is_url()
    }

    /// Copies the standard input to a file if it is to be read several times. The copy is
    /// deleted when the returned value is dropped.
    pub(super) fn spool(&mut self) -> Result<Option<Local>, Failure> {
        self.request.records.spool()
    }

    /// A hint if flags were probably meant for something else.
    pub(super) fn hint(&self) -> Option<String> {
        let request = self.request.hint();
        let output = || self.output.hint();
        request.or_else(output).or_else(|| {
            let is_plain = self.request.target().is_ok_and(|it| it.scheme == "http");
            (is_plain && self.connection.accepts_any_certificate()).then(|| {
                "-k accepts any certificate, but http:// has none; connections are always kept"
                    .to_owned()
            })
        })
    }

    /// Notes the files that the run's settings don't name.
    pub(super) fn note_files(&self, files: &mut Files) {
        self.request.note_files(files);
        self.fleet.note_files(files);
    }
}
