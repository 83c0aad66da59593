//! `encarno kube`: runs on agents that are pods of Kubernetes.

use clap::{Args, Subcommand};
use encarno_kube::clean::clean;
use encarno_kube::{credentials, manifest};
use encarno_record::statistics::counted;

use super::flags::fleet::FleetArguments;
use super::flags::pods::{AccessArguments, PodArguments};
use super::{DURATIONS, Failure, complain, hit, hit_with, k6, print, run};
use crate::exit;

/// The arguments of `encarno kube`.
#[derive(Debug, Args)]
pub(super) struct KubeArguments {
    #[command(subcommand)]
    command: KubeCommand,
}

#[derive(Debug, Subcommand)]
enum KubeCommand {
    /// Run a configuration file on pods, which exist only for the run.
    #[command(after_help = DURATIONS)]
    Run(Box<OnPods<run::RunArguments>>),
    /// Hit a URL, or send a file of records, from pods.
    #[command(after_help = DURATIONS)]
    Hit(Box<OnPods<hit::HitArguments>>),
    /// Run a script of k6 on pods.
    K6(K6OnPods),
    /// Print the objects of a run as YAML, for those who apply them themselves.
    #[command(after_help = DURATIONS)]
    Manifest(Box<ManifestArguments>),
    /// Remove what a coordinator that was killed has left.
    Clean(CleanArguments),
}

/// A command whose agents are pods. The pods come last, so that their heading in the help
/// doesn't go on into what follows.
#[derive(Debug, Args)]
struct OnPods<A: Args> {
    #[command(flatten)]
    run: A,
    #[command(flatten)]
    pods: PodArguments,
}

#[derive(Debug, Args)]
struct K6OnPods {
    #[command(subcommand)]
    command: K6Command,
}

#[derive(Debug, Subcommand)]
enum K6Command {
    /// Run a script on pods. Each pod runs a segment of it; thresholds are judged on the
    /// metrics of all of them.
    #[command(after_help = DURATIONS)]
    Run(Box<OnPods<k6::RunArguments>>),
}

#[derive(Debug, Args)]
struct ManifestArguments {
    /// The commands that the agents accept.
    #[arg(long, value_name = "COMMANDS", default_value = "hit,run", value_parser = ["hit", "run", "hit,run", "k6"])]
    allow: String,
    #[command(flatten)]
    fleet: FleetArguments,
    #[command(flatten)]
    pods: PodArguments,
}

#[derive(Debug, Args)]
struct CleanArguments {
    /// Remove this run, whether or not its coordinator is there.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Remove all runs, also those whose coordinator is there.
    #[arg(long, conflicts_with = "run")]
    all: bool,
    #[command(flatten)]
    access: AccessArguments,
}

impl KubeArguments {
    /// `given` is the flags as names and values.
    pub(super) fn run(self, given: &[(String, String)]) -> Result<u8, Failure> {
        match self.command {
            KubeCommand::Run(mut on) => {
                on.run.fleet.pods = Some(on.pods.settings("run", &on.run.fleet)?);
                on.run.run()
            }
            KubeCommand::Hit(mut on) => {
                on.run.fleet.pods = Some(on.pods.settings("hit", &on.run.fleet)?);
                hit_with(&mut on.run, given)
            }
            KubeCommand::K6(k6) => {
                let K6Command::Run(mut on) = k6.command;
                on.run.fleet.pods = Some(on.pods.settings("k6", &on.run.fleet)?);
                on.run.on_agents()
            }
            KubeCommand::Manifest(arguments) => arguments.run(),
            KubeCommand::Clean(arguments) => arguments.run(),
        }
    }
}

impl ManifestArguments {
    fn run(&self) -> Result<u8, Failure> {
        let settings = self.pods.settings(&self.allow, &self.fleet)?;
        let run = credentials::new_run().map_err(Failure::setup)?;
        let namespace = self.pods.access.namespace.as_deref().unwrap_or("default");
        let objects = manifest::whole(&run, namespace, &settings).map_err(Failure::setup)?;
        let mut text = String::from(
            "# The agents of one run. They end after it, or when no run has come for 15 minutes.\n\
             #   kubectl apply -f FILE\n",
        );
        if self.fleet.hub.nats.is_none() {
            text += &format!(
                "#   kubectl --namespace {namespace} port-forward pod/{run}-nats 4222 &\n\
                 #   secret() {{ kubectl --namespace {namespace} get secret {run} \
                 --output \"jsonpath={{.data.$1}}\" | base64 -d; }}\n\
                 #   secret 'ca\\.crt' >ca.crt\n\
                 #   encarno run shop.yml --agents {agents} --group {run} --nats-ca ca.crt \
                 --nats \"tls://encarno:$(secret password)@127.0.0.1:4222\" -o run.enc\n",
                agents = settings.agents
            );
        }
        text += &format!(
            "#   kubectl --namespace {namespace} delete job,pod,service,secret,networkpolicy \
             --selector {}={run}\n",
            manifest::INSTANCE
        );
        for object in &objects {
            text += "---\n";
            text += &serde_saphyr::to_string(object).map_err(Failure::setup)?;
        }
        print(|out| std::io::Write::write_all(out, text.as_bytes()))?;
        Ok(exit::OK)
    }
}

impl CleanArguments {
    fn run(&self) -> Result<u8, Failure> {
        let cleaned = clean(&self.access.access(), self.run.as_deref(), self.all);
        let cleaned = cleaned.map_err(Failure::setup)?;
        let namespace = &cleaned.namespace;
        for run in &cleaned.alive {
            complain(&format!(
                "{run}: its coordinator is there, so it stays; --all or --run {run} removes it"
            ));
        }
        let removed = counted(cleaned.removed.len() as u64, "run");
        print(|out| {
            let names = cleaned.removed.join(", ");
            let names = if names.is_empty() {
                names
            } else {
                format!(": {names}")
            };
            std::io::Write::write_fmt(
                out,
                format_args!("{removed} removed from the namespace {namespace}{names}\n"),
            )
        })?;
        Ok(exit::OK)
    }
}
