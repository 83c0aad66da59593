#![allow(clippy::expect_used)] // a test that can't go on says why

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Trouble, refused, trouble};

fn pod(status: Value) -> Pod {
    let pod = json!({
        "metadata": {"name": "encarno-x-0-abcde"},
        "spec": {"containers": [{"name": "agent", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": status,
    });
    serde_json::from_value(pod).expect("a pod")
}

fn waiting(reason: &str, message: &str) -> Option<String> {
    let status = json!({
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [{
            "name": "agent", "image": "registry.test/encarno:0", "imageID": "", "ready": false,
            "restartCount": 0, "started": false,
            "state": {"waiting": {"reason": reason, "message": message}},
        }],
    });
    trouble(&pod(status)).map(|trouble| trouble.text)
}

fn terminated(phase: &str, state: Value) -> Option<String> {
    let status = json!({
        "phase": phase,
        "containerStatuses": [{
            "name": "agent", "image": "registry.test/encarno:1", "imageID": "", "ready": false,
            "restartCount": 0, "started": false,
            "state": {"terminated": state},
        }],
    });
    trouble(&pod(status)).map(|trouble| trouble.text)
}

#[test]
fn an_image_that_cant_be_had_is_named() {
    let message = "failed to pull and unpack image \"registry.test/encarno:0\": failed to resolve reference: not found";
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        assert_eq!(
            waiting(reason, message).expect("a sentence"),
            format!(
                "encarno-x-0-abcde can't have the image registry.test/encarno:0 ({reason}): {message}: \
                 check --image, --pull-secret and the registry"
            )
        );
    }
    let never =
        "Container image \"registry.test/encarno:0\" is not present with pull policy of Never";
    assert_eq!(
        waiting("ErrImageNeverPull", never).as_deref(),
        Some(
            "encarno-x-0-abcde: its node doesn't have the image registry.test/encarno:0, and --pull-policy \
             Never forbids to pull it"
        )
    );
    assert_eq!(
        waiting("InvalidImageName", "couldn't parse image name").as_deref(),
        Some("encarno-x-0-abcde: registry.test/encarno:0 is no name of an image: correct --image")
    );
}

#[test]
fn a_container_that_cant_be_made_is_told() {
    let message =
        "container has runAsNonRoot and image will run as root (pod: \"x\", container: agent)";
    let text = waiting("CreateContainerConfigError", message).expect("a sentence");
    assert_eq!(
        text,
        format!("encarno-x-0-abcde can't be configured (CreateContainerConfigError): {message}")
    );
    assert_eq!(waiting("ContainerCreating", ""), None);
    assert_eq!(waiting("PodInitializing", ""), None);
}

#[test]
fn a_kill_for_memory_names_the_limit() {
    let state =
        json!({"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-01-01T00:00:00Z"});
    assert_eq!(
        terminated("Failed", state).as_deref(),
        Some(
            "encarno-x-0-abcde was killed because it needed more than its memory of 64Mi (OOMKilled): give \
             it more with --memory"
        )
    );
}

#[test]
fn an_exit_status_is_told_unless_it_is_zero() {
    assert_eq!(
        terminated("Failed", json!({"exitCode": 1, "reason": "Error"})).as_deref(),
        Some("encarno-x-0-abcde ended with the exit status 1 (Error)")
    );
    assert_eq!(
        terminated("Succeeded", json!({"exitCode": 0, "reason": "Completed"})),
        None
    );
    let message = "exec: \"encarno\": executable file not found in $PATH";
    assert_eq!(
        terminated(
            "Failed",
            json!({"exitCode": 128, "reason": "StartError", "message": message})
        )
        .as_deref(),
        Some(
            "encarno-x-0-abcde can't be started from its image (StartError): exec: \"encarno\": executable \
             file not found in $PATH"
        )
    );
}

#[test]
fn an_eviction_is_told() {
    let status = json!({
        "phase": "Failed", "reason": "Evicted",
        "message": "The node was low on resource: memory. Threshold quantity: 100Mi.",
    });
    assert_eq!(
        trouble(&pod(status)).map(|trouble| trouble.text).as_deref(),
        Some(
            "encarno-x-0-abcde was evicted from its node: The node was low on resource: memory. Threshold \
             quantity: 100Mi"
        )
    );
}

#[test]
fn a_pod_without_a_node_may_get_one() {
    let status = json!({
        "phase": "Pending",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes \
                        are available: 1 Preemption is not helpful for scheduling.",
        }],
    });
    let text = "no node takes encarno-x-0-abcde: 0/1 nodes are available: 1 Insufficient cpu: request less \
                with --cpu and --memory, take other nodes with --node-selector or --toleration, or wait for \
                more nodes with --node-timeout 5m";
    let wanted = Trouble {
        text: text.to_owned(),
        may_pass: true,
    };
    assert_eq!(trouble(&pod(status)), Some(wanted));
}

#[test]
fn a_pod_that_runs_or_waits_has_no_trouble() {
    let running = json!({
        "phase": "Running",
        "containerStatuses": [{
            "name": "agent", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }],
    });
    assert_eq!(trouble(&pod(running)), None);
    assert_eq!(trouble(&pod(json!({"phase": "Pending"}))), None);
}

#[test]
fn a_server_that_ends_again_and_again_says_why() {
    let status = json!({
        "phase": "Running",
        "containerStatuses": [{
            "name": "nats", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }],
    });
    assert_eq!(
        trouble(&pod(status)).map(|trouble| trouble.text).as_deref(),
        Some("encarno-x-0-abcde ended with the exit status 1 (Error)")
    );
}

#[test]
fn a_refused_pod_is_told_with_a_way_out() {
    let event = |reason: &str, message: &str| {
        let event = json!({
            "metadata": {}, "involvedObject": {"kind": "Job", "name": "encarno-x"},
            "reason": reason, "message": message,
        });
        refused(&serde_json::from_value(event).expect("an event"))
    };
    let message = "Error creating: pods \"encarno-x-0-abcde\" is forbidden: exceeded quota: small, requested: \
                   requests.cpu=1, used: requests.cpu=1, limited: requests.cpu=2";
    assert_eq!(
        event("FailedCreate", message),
        Some(format!(
            "Kubernetes refuses pods of this run: {message}: use fewer --agents, request less with --cpu and \
             --memory, or ask for a larger quota"
        ))
    );
    assert_eq!(event("SuccessfulCreate", "Created pod"), None);
}

#[test]
fn long_texts_of_the_cluster_are_cut_on_one_line() {
    let text = waiting("ErrImagePull", &"é\n".repeat(1000)).expect("a sentence");
    assert!(text.chars().count() < 600 && !text.contains('\n'), "{text}");
}
