//! What is wrong with a pod, in a sentence that names the way out.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A sentence.
    pub text: String,
    /// Whether it may pass without anybody doing something: a node may be added.
    pub may_pass: bool,
}

/// The most characters of a text of Kubernetes that are shown.
const SHOWN_CHARS_MAX: usize = 400;

/// What is wrong with this pod; `None` if it waits, runs, or has ended well.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let name = pod.metadata.name.as_deref().unwrap_or("a pod");
    let status = pod.status.as_ref()?;
    let never = |text: String| {
        Some(Trouble {
            text,
            may_pass: false,
        })
    };
    if status.reason.as_deref() == Some("Evicted") {
        let why = shown(status.message.as_deref());
        return never(format!("{name} was evicted from its node{why}"));
    }
    let containers = status.container_statuses.iter().flatten();
    let mut containers = containers.chain(status.init_container_statuses.iter().flatten());
    if let Some(text) = containers.find_map(|container| of_container(name, container, pod)) {
        return never(text);
    }
    if status.phase.as_deref() == Some("Failed") {
        let reason = status.reason.as_deref().unwrap_or("no reason is known");
        let why = shown(status.message.as_deref());
        return never(format!("{name} failed ({reason}){why}"));
    }
    let mut conditions = status.conditions.iter().flatten();
    let disrupted = conditions
        .clone()
        .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True");
    if let Some(condition) = disrupted {
        let reason = condition.reason.as_deref().unwrap_or("no reason is known");
        let why = shown(condition.message.as_deref());
        return never(format!(
            "{name} is being taken from its node ({reason}){why}"
        ));
    }
    let unscheduled = conditions.find(|condition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    // What follows is about pods that would have to make room.
    let message = unscheduled.message.as_deref().unwrap_or_default();
    let message = message.split(" preemption:").next().unwrap_or_default();
    let message = message.trim_end_matches(" no new claims to deallocate,");
    let why = shown(Some(message));
    Some(Trouble {
        text: format!(
            "no node takes {name}{why}: request less with --cpu and --memory, take other nodes \
             with --node-selector or --toleration, or wait for more nodes with --node-timeout 5m"
        ),
        may_pass: true,
    })
}

/// Whether all containers of the pod run and are ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the pod has run, or runs.
pub fn has_started(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Running" | "Succeeded" | "Failed"))
}

/// Why the Job can't have its pods, as an event says it.
pub fn refused(event: &Event) -> Option<String> {
    if event.reason.as_deref() != Some("FailedCreate") {
        return None;
    }
    let message = event.message.as_deref().unwrap_or_default();
    let why = shown(event.message.as_deref());
    let way_out = if message.contains("exceeded quota") {
        ": use fewer --agents, request less with --cpu and --memory, or ask for a larger quota"
    } else if message.contains("failed quota") {
        ": the quota wants a limit: give --cpu-limit"
    } else if message.contains("serviceaccount") {
        ": name one that exists with --service-account"
    } else {
        ""
    };
    Some(format!("Kubernetes refuses pods of this run{why}{way_out}"))
}

fn of_container(pod: &str, container: &ContainerStatus, whole: &Pod) -> Option<String> {
    let state = container.state.as_ref()?;
    let image = &container.image;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let why = shown(waiting.message.as_deref());
        return match reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => Some(format!(
                "{pod} can't have the image {image} ({reason}){why}: check --image, --pull-secret \
                 and the registry"
            )),
            "ErrImageNeverPull" => Some(format!(
                "{pod}: its node doesn't have the image {image}, and --pull-policy Never forbids \
                 to pull it"
            )),
            "InvalidImageName" => Some(format!(
                "{pod}: {image} is no name of an image: correct --image"
            )),
            "CreateContainerConfigError" => {
                Some(format!("{pod} can't be configured ({reason}){why}"))
            }
            "CreateContainerError" | "RunContainerError" | "ImageInspectError" => Some(format!(
                "{pod} can't be started from the image {image} ({reason}){why}"
            )),
            "CrashLoopBackOff" => {
                let last = container
                    .last_state
                    .as_ref()
                    .and_then(|last| ended(pod, last, whole));
                Some(last.unwrap_or_else(|| format!("{pod} ends again and again{why}")))
            }
            _ => None,
        };
    }
    ended(pod, state, whole)
}

fn ended(pod: &str, state: &ContainerState, whole: &Pod) -> Option<String> {
    let terminated = state.terminated.as_ref()?;
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let code = terminated.exit_code;
    if reason == "OOMKilled" {
        let containers = whole.spec.iter().flat_map(|spec| &spec.containers);
        let limit = containers
            .filter_map(|container| container.resources.as_ref()?.limits.as_ref()?.get("memory"))
            .next();
        let limit = limit.map_or_else(String::new, |limit| format!(" of {}", limit.0));
        return Some(format!(
            "{pod} was killed because it needed more than its memory{limit} (OOMKilled): give it \
             more with --memory"
        ));
    }
    if code == 0 {
        return None;
    }
    let why = shown(terminated.message.as_deref());
    Some(match reason {
        "StartError" | "ContainerCannotRun" => {
            format!("{pod} can't be started from its image ({reason}){why}")
        }
        _ => format!("{pod} ended with the exit status {code} ({reason}){why}"),
    })
}

/// A text of Kubernetes as the end of a sentence's part: on one line, and not too long.
fn shown(text: Option<&str>) -> String {
    let words: Vec<_> = text.unwrap_or_default().split_whitespace().collect();
    let text = words.join(" ");
    let text: String = match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let text = text.trim_end_matches(['.', ':', ' ']);
    match text.is_empty() {
        true => String::new(),
        false => format!(": {text}"),
    }
}

#[cfg(test)]
mod tests;
