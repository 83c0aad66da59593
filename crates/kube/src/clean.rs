//! Removes what runs have left in a namespace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::batch::v1::Job;
use tokio::time::{Instant, sleep};

use crate::KubeError;
use crate::api::Api;
use crate::manifest::{MANAGED_BY, SEEN, selector};
use crate::settings::Access;

/// A coordinator that was there within this time counts as alive. It says so every 30 s, by
/// its own clock.
const ALIVE: Duration = Duration::from_secs(120);
/// How long Kubernetes may take to remove the pods.
const GONE: Duration = Duration::from_secs(120);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// The namespace.
    pub namespace: String,
    /// The runs that were removed.
    pub removed: Vec<String>,
    /// The runs whose coordinator is alive, and which were left alone.
    pub alive: Vec<String>,
}

/// Removes the runs of the namespace whose coordinator is gone, or just `run`, or with
/// `all` every run.
pub fn clean(access: &Access, run: Option<&str>, all: bool) -> Result<Cleaned, KubeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KubeError::of("no event loop"))?;
    runtime.block_on(clean_all(access, run, all))
}

async fn clean_all(access: &Access, run: Option<&str>, all: bool) -> Result<Cleaned, KubeError> {
    let api = Api::connect(access).await?;
    let any = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    let selector = run.map_or(any, selector);
    let mut cleaned = Cleaned {
        namespace: api.namespace.clone(),
        ..Cleaned::default()
    };
    for job in api.jobs(&selector).await? {
        // Without that annotation, somebody applied it by hand.
        let Some(name) = job.metadata.name.clone().filter(|_| seen(&job).is_some()) else {
            continue;
        };
        if is_alive(&job) && !all && run.is_none() {
            cleaned.alive.push(name);
            continue;
        }
        api.delete_job(&name).await?;
        cleaned.removed.push(name);
    }
    for name in &cleaned.removed {
        gone(&api, name).await?;
    }
    Ok(cleaned)
}

/// Waits until the pods of a run are gone.
pub(crate) async fn gone(api: &Api, run: &str) -> Result<(), KubeError> {
    let deadline = Instant::now() + GONE;
    loop {
        let left = api.pods(&selector(run)).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let names = left.iter().filter_map(|pod| pod.metadata.name.clone());
            let names: Vec<_> = names.collect();
            return Err(KubeError(format!(
                "Kubernetes hasn't removed these pods within {} s, and goes on with it: {}",
                GONE.as_secs(),
                names.join(", ")
            )));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn is_alive(job: &Job) -> bool {
    let ended = job.status.as_ref();
    let ended = ended.is_some_and(|status| status.completion_time.is_some());
    !ended && seen(job).is_some_and(|seen| now().abs_diff(seen) < ALIVE.as_secs())
}

/// When the coordinator was last there, as Unix time.
fn seen(job: &Job) -> Option<u64> {
    let annotations = job.metadata.annotations.as_ref()?;
    annotations.get(SEEN)?.parse().ok()
}

/// Unix time in seconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)] // a test that can't go on says why

    use serde_json::json;

    use super::{SEEN, is_alive, now};

    #[test]
    fn a_run_is_left_alone_while_its_coordinator_is_there() {
        let job = |seen: u64, ended: bool| {
            let mut job = json!({"metadata": {"annotations": {SEEN: seen.to_string()}}});
            if ended {
                job["status"] = json!({"completionTime": "2026-01-01T00:00:00Z"});
            }
            serde_json::from_value(job).expect("a Job")
        };
        assert!(is_alive(&job(now() - 60, false)));
        assert!(is_alive(&job(now() + 60, false)), "its clock is ahead");
        assert!(!is_alive(&job(now() - 300, false)), "it was killed");
        assert!(!is_alive(&job(now(), true)), "the run has ended");
    }
}
