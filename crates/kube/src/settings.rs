//! What the user wants of the pods of a run.

use std::path::PathBuf;
use std::time::Duration;

use encarno_secret::Secret;

/// Where the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig. Without it: that of `KUBECONFIG`, `~/.kube/config`, or the account of
    /// the pod that this program runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The namespace. Without it: the context's.
    pub namespace: Option<String>,
}

/// The pods of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the cluster is.
    pub access: Access,
    /// The number of agents.
    pub agents: usize,
    /// The command that the agents accept: hit, run or k6.
    pub command: String,
    /// The image of the agents.
    pub image: String,
    /// When nodes pull images: Always, IfNotPresent or Never.
    pub pull_policy: Option<String>,
    /// Secrets with the credentials for images.
    pub pull_secrets: Vec<String>,
    /// The CPU that each agent requests.
    pub cpu: String,
    /// The most CPU that an agent may use. Without it, there is no such limit.
    pub cpu_limit: Option<String>,
    /// The memory of each agent, which is also its limit.
    pub memory: String,
    /// Labels that a node must have.
    pub node_selector: Vec<(String, String)>,
    /// Taints of nodes that the pods tolerate.
    pub tolerations: Vec<(String, Option<String>)>,
    /// The service account of the pods.
    pub service_account: Option<String>,
    /// Further labels of the pods.
    pub labels: Vec<(String, String)>,
    /// How long pods may take to run.
    pub start_timeout: Duration,
    /// How long a pod may wait for a node.
    pub node_timeout: Duration,
    /// Write the logs of all pods to this folder at the end.
    pub logs: Option<PathBuf>,
    /// Where the agents meet.
    pub nats: Nats,
}

/// The NATS server of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nats {
    /// A pod with this image; an empty name is the image of the agents.
    Pod {
        /// The image.
        image: String,
    },
    /// A server that is there already.
    Server {
        /// Its URL, which may contain a user.
        url: Secret,
        /// The content of the file with authorities.
        ca: Option<String>,
        /// The content of the file with NATS credentials.
        credentials: Option<Secret>,
    },
}

impl Default for Nats {
    fn default() -> Self {
        Self::Pod {
            image: String::new(),
        }
    }
}

/// Checks a quantity of Kubernetes, such as 500m or 1Gi.
pub fn quantity(text: &str) -> Result<String, String> {
    const UNITS: [&str; 11] = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let positive = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    match positive && UNITS.contains(&unit) {
        true => Ok(text.to_owned()),
        false => Err("expected a quantity, such as 2, 500m or 1Gi".to_owned()),
    }
}

/// Splits a label, such as disk=fast.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as disk=fast".to_owned()),
    }
}

/// Splits a toleration, such as load or dedicated=load.
pub fn toleration(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        _ => Err("expected NAME or NAME=VALUE of a taint, such as dedicated=load".to_owned()),
    }
}

/// Checks the name of a namespace, a Secret or the like: it becomes a part of a URL.
pub fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fits = text.len() <= 63 && text.chars().all(good);
    match fits && ends(text.chars().next()) && ends(text.chars().last()) {
        true => Ok(text.to_owned()),
        false => Err("expected a name of lower-case letters, digits and -".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{label, name, quantity, toleration};

    #[test]
    fn options_are_checked() {
        for good in ["1", "500m", "0.5", "1Gi", "64Mi", "2G"] {
            assert_eq!(quantity(good).as_deref(), Ok(good));
        }
        for bad in ["", "0", "-1", "1gb", "Gi", "1.2.3", "1 Gi", "NaN"] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
        assert_eq!(label("disk="), Ok(("disk".to_owned(), String::new())));
        assert!(label("=x").is_err() && label("disk").is_err());
        assert_eq!(toleration("load"), Ok(("load".to_owned(), None)));
        assert!(toleration("").is_err() && toleration("=x").is_err());
        for bad in ["", "-a", "a-", "A", "a/b", "a.b", "../x", &"a".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert_eq!(name("load-1").as_deref(), Ok("load-1"));
    }
}
