//! From the first object of a run to the last.

use std::sync::mpsc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::watching::Watching;
use super::{Meeting, Trouble, set, text_file};
use crate::KubeError;
use crate::api::Api;
use crate::clean;
use crate::credentials::{self, NATS_PORT, url_of};
use crate::forward::Forward;
use crate::manifest::{COMPONENT, Manifest, Owner, SEEN, nats_name, selector};
use crate::settings::{Nats, Settings};
use crate::states;

/// How often the pods are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many looks apart the coordinator says that it is there.
const LOOKS_PER_SIGN: u32 = 30;

/// The life of a run's pods.
pub(super) struct Life {
    pub(super) run: String,
    pub(super) settings: Settings,
    pub(super) trouble: Trouble,
    pub(super) tell: fn(&str),
}

/// What the coordinator needs, and the port behind it.
struct Ready {
    meeting: Meeting,
    forward: Option<Forward>,
}

impl Life {
    /// Sends the meeting point when all pods run, and removes everything after `stop`.
    pub(super) fn live(
        self,
        ready: &mpsc::Sender<Result<Meeting, KubeError>>,
        stop: oneshot::Receiver<()>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(KubeError::of("no event loop"));
        let unready = match runtime {
            Ok(runtime) => {
                let lived = runtime.block_on(self.go(ready, stop));
                runtime.shutdown_timeout(Duration::from_millis(100));
                lived.err()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = unready {
            // Nobody may wait any more.
            let _told = ready.send(Err(error));
        }
    }

    async fn go(
        &self,
        ready: &mpsc::Sender<Result<Meeting, KubeError>>,
        stop: oneshot::Receiver<()>,
    ) -> Result<(), KubeError> {
        let api = Api::connect(&self.settings.access).await?;
        let owner = match self.create_job(&api).await {
            Ok(owner) => owner,
            Err(error) => {
                // If the answer was lost, it may be there.
                let _gone = api.delete_job(&self.run).await;
                return Err(error);
            }
        };
        let mut watching = Watching::new(api.clone(), &self.run, &self.settings, self.tell);
        let set_up = tokio::select! {
            set_up = self.set_up(&api, owner, &mut watching) => set_up,
            interrupted = interrupted() => interrupted.and_then(|()| {
                Err(KubeError("stopped before the start".to_owned()))
            }),
        };
        let failed = match set_up {
            Ok(set_up) => {
                let forward = set_up.forward;
                // Nobody may wait any more; then `stop` ends it.
                let _told = ready.send(Ok(set_up.meeting));
                tokio::select! {
                    () = self.watch(&api, &mut watching) => {}
                    // It also ends when its sender is gone.
                    _ = stop => {}
                }
                watching.keep_logs().await;
                drop(forward);
                None
            }
            Err(error) => {
                watching.keep_logs().await;
                Some(error)
            }
        };
        self.remove(&api).await;
        failed.map_or(Ok(()), Err)
    }

    /// Makes the Job. It is suspended: it has no pods yet, and can own what they need.
    async fn create_job(&self, api: &Api) -> Result<Owner, KubeError> {
        let mut job = self.manifest(None).job(true);
        job["metadata"]["annotations"] = json!({SEEN: clean::now().to_string()});
        let job: Job = api.create(job).await?;
        (self.tell)(&format!(
            "run {} in the namespace {}: its pods are being started",
            self.run, api.namespace
        ));
        Ok(Owner {
            uid: job.metadata.uid.unwrap_or_default(),
        })
    }

    fn manifest(&self, owner: Option<Owner>) -> Manifest<'_> {
        Manifest {
            run: &self.run,
            settings: &self.settings,
            owner,
        }
    }

    async fn set_up(
        &self,
        api: &Api,
        owner: Owner,
        watching: &mut Watching<'_>,
    ) -> Result<Ready, KubeError> {
        let manifest = self.manifest(Some(owner));
        let ready = match &self.settings.nats {
            Nats::Server { .. } => {
                let credentials = credentials::make(&self.settings, "")?;
                let _made: Secret = api.create(manifest.secret(&credentials)).await?;
                let meeting = Meeting {
                    url: None,
                    ca: None,
                };
                Ready {
                    meeting,
                    forward: None,
                }
            }
            Nats::Pod { .. } => self.start_nats(api, &manifest, watching).await?,
        };
        api.patch_job(&self.run, &json!({"spec": {"suspend": false}}))
            .await?;
        let agents = format!("{},{COMPONENT}=agent", selector(&self.run));
        let deadline = Instant::now() + self.settings.start_timeout;
        let mut most = 0;
        loop {
            let pods = api.pods(&agents).await?;
            watching.check(&pods, true).await?;
            let started = pods.iter().filter(|pod| states::has_started(pod)).count();
            if started >= self.settings.agents {
                (self.tell)(&format!("{started} of {started} agents run"));
                return Ok(ready);
            }
            if started > most {
                most = started;
                (self.tell)(&format!("{started} of {} agents run", self.settings.agents));
            }
            if Instant::now() > deadline {
                return Err(self.late(&format!("{started} of {} agents", self.settings.agents)));
            }
            sleep(LOOK).await;
        }
    }

    async fn start_nats(
        &self,
        api: &Api,
        manifest: &Manifest<'_>,
        watching: &mut Watching<'_>,
    ) -> Result<Ready, KubeError> {
        let service: Service = api.create(manifest.service()).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip);
        let address = address
            .ok_or_else(|| KubeError("the Service of the NATS server has no address".to_owned()))?;
        let credentials = credentials::make(&self.settings, &address)?;
        let _made: Secret = api.create(manifest.secret(&credentials)).await?;
        let _made: NetworkPolicy = api.create(manifest.network_policy()).await?;
        let _made: Pod = api.create(manifest.nats_pod()).await?;
        let nats = format!("{},{COMPONENT}=nats", selector(&self.run));
        let deadline = Instant::now() + self.settings.start_timeout;
        loop {
            let pods = api.pods(&nats).await?;
            watching.check(&pods, true).await?;
            if pods.iter().any(states::is_ready) {
                break;
            }
            if Instant::now() > deadline {
                return Err(self.late("the NATS server doesn't"));
            }
            sleep(LOOK).await;
        }
        let forward = Forward::open(api, &nats_name(&self.run), NATS_PORT).await?;
        let host = forward.address.ip().to_string();
        let url = url_of(&credentials.password, &host, forward.address.port());
        let certificate = credentials.certificate.as_ref();
        let ca = certificate.map(|made| text_file(&made.certificate));
        Ok(Ready {
            meeting: Meeting {
                url: Some(url),
                ca: ca.transpose()?,
            },
            forward: Some(forward),
        })
    }

    fn late(&self, who: &str) -> KubeError {
        KubeError(format!(
            "{who} run after {} s: `kubectl get pods --selector {}` shows why; --start-timeout \
             waits for longer",
            self.settings.start_timeout.as_secs(),
            selector(&self.run),
        ))
    }

    /// Tells what happens to the pods, for as long as it is polled.
    async fn watch(&self, api: &Api, watching: &mut Watching<'_>) {
        for look in 0_u32.. {
            // A cluster without an answer is no reason to end a run: agents don't need it.
            if let Ok(pods) = api.pods(&selector(&self.run)).await
                && let Err(trouble) = watching.check(&pods, false).await
            {
                set(&self.trouble, &trouble.0);
            }
            if look % LOOKS_PER_SIGN == 0 {
                let seen = json!({"metadata": {"annotations": {SEEN: clean::now().to_string()}}});
                let _said = api.patch_job(&self.run, &seen).await;
            }
            sleep(LOOK).await;
        }
    }

    /// Removes everything. After a signal, Kubernetes does it alone.
    async fn remove(&self, api: &Api) {
        let removed = async {
            api.delete_job(&self.run).await?;
            tokio::select! {
                gone = clean::gone(api, &self.run) => gone.map(|()| true),
                interrupted = interrupted() => interrupted.map(|()| false),
            }
        };
        let (run, namespace) = (&self.run, &api.namespace);
        (self.tell)(&match removed.await {
            Ok(true) => {
                format!("everything of the run {run} is removed from the namespace {namespace}")
            }
            Ok(false) => format!(
                "Kubernetes is removing the run {run} from the namespace {namespace}, and goes on with it"
            ),
            Err(error) => format!(
                "{error}: `encarno kube clean --namespace {namespace} --run {run}` removes what is left"
            ),
        });
    }
}

async fn interrupted() -> Result<(), KubeError> {
    let on = |kind| signal(kind).map_err(KubeError::of("no signals"));
    let (mut interrupt, mut terminate) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
