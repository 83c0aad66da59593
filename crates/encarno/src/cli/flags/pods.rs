//! Flags for agents that are pods of Kubernetes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use encarno_kube::settings::{self, Access, Nats, Settings, label, name, quantity, toleration};

use encarno_secret::Secret;

use super::duration;
use super::fleet::{Agents, FleetArguments, HubArguments};
use crate::cli::Failure;

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct AccessArguments {
    /// The namespace of the pods [default: that of the context].
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) namespace: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the account of this pod].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// How the pods of the agents look.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct PodArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    /// The image of the agents: it has encarno of this version, and k6 for scripts of k6.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// When nodes pull images.
    #[arg(long, value_enum, value_name = "WHEN")]
    pull_policy: Option<PullPolicy>,
    /// A Secret of the namespace with the credentials for images.
    #[arg(long, value_name = "SECRET", value_parser = name)]
    pull_secret: Vec<String>,
    /// The CPU that each agent requests.
    #[arg(long, value_name = "QUANTITY", value_parser = quantity, default_value = "1")]
    cpu: String,
    /// The most CPU that an agent may use. Kubernetes pauses an agent that uses more, so that
    /// its hits are late [default: no limit].
    #[arg(long, value_name = "QUANTITY", value_parser = quantity)]
    cpu_limit: Option<String>,
    /// The memory of each agent, as request and limit.
    #[arg(long, value_name = "QUANTITY", value_parser = quantity, default_value = "1Gi")]
    memory: String,
    /// Only nodes with this label get pods.
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    node_selector: Vec<(String, String)>,
    /// Nodes with this taint get pods, too.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = toleration)]
    toleration: Vec<(String, Option<String>)>,
    /// The service account of the pods. They don't get its token.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// A further label for the pods.
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pod_label: Vec<(String, String)>,
    /// The image of the NATS server, which runs in a pod unless you name a server with --nats
    /// [default: the agents' image].
    #[arg(long, value_name = "IMAGE", conflicts_with = "nats")]
    nats_image: Option<String>,
    /// How long the pods may take to run.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    start_timeout: Duration,
    /// How long a pod may wait for a node. Give more if your cluster adds nodes by itself.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    node_timeout: Duration,
    /// Write the logs of all pods to this folder at the end.
    #[arg(long, value_name = "FOLDER")]
    pod_logs: Option<PathBuf>,
}

/// When nodes pull images, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// The options of pods, such as --image. All have a value.
pub(crate) fn pod_options() -> Vec<String> {
    let command = PodArguments::augment_args(clap::Command::new("kube"));
    let names = command.get_opts().filter_map(clap::Arg::get_long);
    names.map(|name| format!("--{name}")).collect()
}

impl AccessArguments {
    pub(crate) fn access(&self) -> Access {
        Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl PodArguments {
    /// The pods for a run whose agents accept `command`.
    pub(crate) fn settings(
        &self,
        command: &str,
        fleet: &FleetArguments,
    ) -> Result<Settings, Failure> {
        let agents = match fleet.agents {
            Some(Agents::Group(agents)) => agents,
            Some(Agents::Local(_)) => {
                let text = "--agents local:N is for this machine: in Kubernetes, write --agents N";
                return Err(Failure::usage(text));
            }
            None => {
                let text = "how many agents? Write --agents N: each is a pod";
                return Err(Failure::usage(text));
            }
        };
        if fleet.hub.group != HubArguments::GROUP {
            let text = "the pods of a run are a group of their own: leave out --group";
            return Err(Failure::usage(text));
        }
        Ok(Settings {
            access: self.access.access(),
            agents,
            command: command.to_owned(),
            image: self.image.clone(),
            pull_policy: self.pull_policy.map(|policy| format!("{policy:?}")),
            pull_secrets: self.pull_secret.clone(),
            cpu: self.cpu.clone(),
            cpu_limit: self.cpu_limit.clone(),
            memory: self.memory.clone(),
            node_selector: self.node_selector.clone(),
            tolerations: self.toleration.clone(),
            service_account: self.service_account.clone(),
            labels: self.pod_label.clone(),
            start_timeout: self.start_timeout,
            node_timeout: self.node_timeout,
            logs: self.pod_logs.clone(),
            nats: self.nats(&fleet.hub)?,
        })
    }

    fn nats(&self, hub: &HubArguments) -> Result<Nats, Failure> {
        let read = |file: &Option<PathBuf>| match file {
            None => Ok(None),
            Some(file) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(Failure::setup(format!("{}: {error}", file.display()))),
            },
        };
        match &hub.nats {
            Some(url) => Ok(settings::Nats::Server {
                url: Secret::new(url.exposed()),
                ca: read(&hub.nats_ca)?,
                credentials: read(&hub.nats_credentials)?.map(Secret::new),
            }),
            None if hub.nats_ca.is_some() || hub.nats_credentials.is_some() => {
                let text = "--nats-ca and --nats-credentials are for a server of yours: name it with --nats URL";
                Err(Failure::usage(text))
            }
            None => Ok(Nats::Pod {
                image: self.nats_image.clone().unwrap_or_default(),
            }),
        }
    }
}
