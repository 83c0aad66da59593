//! The API of Kubernetes, in one namespace. Every call has a deadline, and errors say what
//! to do.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::KubeError;
use crate::settings::{Access, name};

/// How long the cluster may take for an answer.
const CALL: Duration = Duration::from_secs(30);
/// The most bytes of a log.
const LOG_BYTES_MAX: i64 = 16 << 20;

/// A namespace of a cluster.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    pub(crate) namespace: String,
}

impl Api {
    pub(crate) async fn connect(access: &Access) -> Result<Self, KubeError> {
        let unknown =
            "no cluster can be reached: name a --kubeconfig and --context, or set KUBECONFIG";
        let config = if access.kubeconfig.is_none() && access.context.is_none() {
            Config::infer()
                .await
                .map_err(|error| text_of(unknown, &error))?
        } else {
            let read = match &access.kubeconfig {
                Some(file) => Kubeconfig::read_from(file),
                None => Kubeconfig::read(),
            };
            let read = read.map_err(|error| text_of("the kubeconfig can't be read", &error))?;
            let options = KubeConfigOptions {
                context: access.context.clone(),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_custom_kubeconfig(read, &options).await;
            config.map_err(|error| text_of("the kubeconfig can't be used", &error))?
        };
        let namespace = access.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        // It becomes a part of URLs.
        name(&namespace).map_err(|error| KubeError(format!("namespace {namespace:?}: {error}")))?;
        let client = Client::try_from(config);
        let client = client.map_err(|error| text_of("no connection to the cluster", &error))?;
        Ok(Self { client, namespace })
    }

    pub(crate) fn of<K>(&self) -> kube::Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        kube::Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object.
    pub(crate) async fn create<K>(&self, object: Value) -> Result<K, KubeError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let what = format!("create {}", K::plural(&()));
        let object = serde_json::from_value(object).map_err(KubeError::of(what.clone()))?;
        let api = self.of::<K>();
        let params = PostParams::default();
        self.within(&what, api.create(&params, &object)).await
    }

    pub(crate) async fn pods(&self, selector: &str) -> Result<Vec<Pod>, KubeError> {
        let api = self.of::<Pod>();
        let params = ListParams::default().labels(selector);
        let list = self.within("list pods", api.list(&params)).await?;
        Ok(list.items)
    }

    pub(crate) async fn jobs(&self, selector: &str) -> Result<Vec<Job>, KubeError> {
        let api = self.of::<Job>();
        let params = ListParams::default().labels(selector);
        let list = self.within("list jobs", api.list(&params)).await?;
        Ok(list.items)
    }

    /// The events about a Job.
    pub(crate) async fn events(&self, job: &str) -> Result<Vec<Event>, KubeError> {
        let api = self.of::<Event>();
        let field = format!("involvedObject.kind=Job,involvedObject.name={job}");
        let params = ListParams::default().fields(&field);
        let list = self.within("list events", api.list(&params)).await?;
        Ok(list.items)
    }

    pub(crate) async fn patch_job(&self, job: &str, patch: &Value) -> Result<(), KubeError> {
        let api = self.of::<Job>();
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.within("patch jobs", api.patch(job, &params, &patch));
        patched.await.map(drop)
    }

    /// Deletes a Job, and with it all that it owns. One that is gone is no error.
    pub(crate) async fn delete_job(&self, job: &str) -> Result<(), KubeError> {
        let api = self.of::<Job>();
        let params = DeleteParams::background();
        match timeout(CALL, api.delete(job, &params)).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            Ok(deleted) => deleted
                .map(drop)
                .map_err(|error| self.explain("delete jobs", &error)),
            Err(_) => Err(late("delete jobs")),
        }
    }

    /// The end of a pod's log, or all of it.
    pub(crate) async fn log(&self, pod: &str, lines: Option<i64>) -> Result<String, KubeError> {
        let api = self.of::<Pod>();
        let params = LogParams {
            tail_lines: lines,
            limit_bytes: Some(LOG_BYTES_MAX),
            ..LogParams::default()
        };
        self.within("get pods/log", api.logs(pod, &params)).await
    }

    async fn within<T>(
        &self,
        what: &str,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, KubeError> {
        match timeout(CALL, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(what, &error)),
            Err(_) => Err(late(what)),
        }
    }

    /// `what` is a verb and a resource, as in a Role.
    pub(crate) fn explain(&self, what: &str, error: &kube::Error) -> KubeError {
        let namespace = &self.namespace;
        let kube::Error::Api(status) = error else {
            return text_of(&format!("{what}: no answer of the cluster"), error);
        };
        let message = &status.message;
        let text = match status.code {
            401 => format!("the cluster doesn't know you: {message}"),
            403 if message.contains("violates PodSecurity") => {
                format!("the namespace {namespace} refuses the pods: {message}")
            }
            403 if message.contains("quota") => format!(
                "the namespace {namespace} has no room: {message}: use fewer --agents, request \
                 less with --cpu and --memory, or ask for a larger quota"
            ),
            403 => format!(
                "you may not {what} in the namespace {namespace}: docs/kubernetes.md has a Role \
                 with what a run needs ({message})"
            ),
            404 if message.starts_with("namespaces ") => format!(
                "there is no namespace {namespace}: `kubectl create namespace {namespace}` makes it"
            ),
            _ => format!("{what} in the namespace {namespace}: {message}"),
        };
        KubeError(text)
    }
}

fn late(what: &str) -> KubeError {
    KubeError(format!("{what}: the cluster gave no answer within 30 s"))
}

/// The error with its causes, which it doesn't always name itself.
fn text_of(what: &str, error: &(dyn std::error::Error + 'static)) -> KubeError {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    KubeError(text)
}
