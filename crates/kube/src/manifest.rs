//! The objects of a run, as JSON. Pods satisfy the pod security standard `restricted`.

use serde_json::{Map, Value, json};

use crate::credentials::{self, Credentials, NATS_PORT};
use crate::settings::{Nats, Settings};

/// The label that all objects have.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "encarno");
/// The label with the name of the run.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label that tells agents from the NATS server.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The annotation of the Job that says when its coordinator was last there, as Unix time.
pub const SEEN: &str = "encarno/coordinator-seen";

/// The user of all pods, which is no user of a node.
const USER: u32 = 12345;
/// How long a Job may last. NATS keeps a run for as long.
const JOB_SECONDS_MAX: u32 = 24 * 3600;
/// How long after its end a Job and all that it owns are kept, if nobody deletes them.
const JOB_SECONDS_KEPT: u32 = 3600;
/// Agents end if no run comes within this time.
const IDLE: &str = "15m";
/// The folder of the credentials in a pod.
const FOLDER: &str = "/etc/encarno";
/// The space of results and files in the NATS server.
const STORE: &str = "8Gi";

/// The owner of the objects of a run: its Job.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The id that Kubernetes gave it.
    pub uid: String,
}

/// The objects of one run.
pub struct Manifest<'a> {
    /// The name of the run.
    pub run: &'a str,
    /// Its pods.
    pub settings: &'a Settings,
    /// Its Job, if it is there.
    pub owner: Option<Owner>,
}

/// The name of a run's NATS server.
pub(crate) fn nats_name(run: &str) -> String {
    format!("{run}-nats")
}

/// The selector of a run's objects.
pub(crate) fn selector(run: &str) -> String {
    format!("{}={},{INSTANCE}={run}", MANAGED_BY.0, MANAGED_BY.1)
}

impl Manifest<'_> {
    /// The Job whose pods are the agents. A suspended one has no pods yet.
    pub fn job(&self, suspended: bool) -> Value {
        let settings = self.settings;
        let mut arguments = vec!["agent", "--nats", "$(ENCARNO_NATS)", "--group", self.run];
        arguments.extend(["--once", "--idle", IDLE, "--allow", &settings.command]);
        let mut secrets = vec![];
        let (ca, credentials) = match &settings.nats {
            Nats::Pod { .. } => (true, false),
            Nats::Server {
                ca, credentials, ..
            } => (ca.is_some(), credentials.is_some()),
        };
        let files = [
            (ca, "--nats-ca", "ca.crt"),
            (credentials, "--nats-credentials", "nats.creds"),
        ];
        let mut options: Vec<String> = Vec::new();
        for (_, option, file) in files.iter().filter(|(there, _, _)| *there) {
            options.extend([(*option).to_owned(), format!("{FOLDER}/{file}")]);
            secrets.push(json!({"key": file, "path": file}));
        }
        let arguments: Vec<String> = arguments
            .into_iter()
            .map(str::to_owned)
            .chain(options)
            .collect();
        let mut mounts = vec![json!({"name": "tmp", "mountPath": "/tmp"})];
        let mut volumes = vec![json!({"name": "tmp", "emptyDir": {}})];
        if !secrets.is_empty() {
            mounts.push(json!({"name": "nats", "mountPath": FOLDER, "readOnly": true}));
            volumes.push(json!({"name": "nats", "secret":
                {"secretName": self.run, "defaultMode": 0o440, "items": secrets}}));
        }
        let mut limits = json!({"memory": settings.memory});
        if let Some(cpu) = &settings.cpu_limit {
            limits["cpu"] = json!(cpu);
        }
        let container = json!({
            "name": "agent",
            "image": settings.image,
            "command": ["encarno"],
            "args": arguments,
            "env": [
                {"name": "ENCARNO_NATS", "valueFrom": {"secretKeyRef": {"name": self.run, "key": "url"}}},
                {"name": "HOME", "value": "/tmp"},
            ],
            "resources": {
                "requests": {"cpu": settings.cpu, "memory": settings.memory},
                "limits": limits,
            },
            "volumeMounts": mounts,
        });
        let mut pod = self.pod(container, volumes, "Never");
        // Agents measure best with a node of their own. If there are too few, they share.
        pod["topologySpreadConstraints"] = json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {INSTANCE: self.run, COMPONENT: "agent"}},
        }]);
        let mut job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.run, "labels": self.labels("agent")},
            "spec": {
                "completionMode": "Indexed",
                "completions": settings.agents,
                "parallelism": settings.agents,
                // No agent is started again. With backoffLimit instead, one lost agent would
                // end all others.
                "backoffLimitPerIndex": 0,
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": JOB_SECONDS_MAX,
                "ttlSecondsAfterFinished": JOB_SECONDS_KEPT,
                "template": {"metadata": {"labels": self.pod_labels("agent")}, "spec": pod},
            },
        });
        if suspended {
            job["spec"]["suspend"] = json!(true);
        }
        job
    }

    /// The pod of the NATS server.
    pub(crate) fn nats_pod(&self) -> Value {
        let image = match &self.settings.nats {
            Nats::Pod { image } if !image.is_empty() => image,
            _ => &self.settings.image,
        };
        let container = json!({
            "name": "nats",
            "image": image,
            "command": ["nats-server"],
            "args": ["--config", format!("{FOLDER}/nats.conf")],
            "ports": [{"name": "nats", "containerPort": NATS_PORT}],
            // It stops after the first success: each connection without TLS is an error in the log.
            "startupProbe": {"tcpSocket": {"port": NATS_PORT}, "periodSeconds": 1, "failureThreshold": 600},
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": match &self.settings.cpu_limit {
                    // A quota that bounds the CPU asks for a limit of each pod.
                    Some(_) => json!({"memory": "512Mi", "cpu": "1"}),
                    None => json!({"memory": "512Mi"}),
                },
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "nats", "mountPath": FOLDER, "readOnly": true},
            ],
        });
        let items =
            ["nats.conf", "tls.crt", "tls.key"].map(|file| json!({"key": file, "path": file}));
        let volumes = vec![
            json!({"name": "data", "emptyDir": {"sizeLimit": STORE}}),
            json!({"name": "nats", "secret":
                {"secretName": self.run, "defaultMode": 0o440, "items": items}}),
        ];
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": nats_name(self.run), "labels": self.pod_labels("nats")},
            // It is started again at its place, with its data.
            "spec": self.pod(container, volumes, "Always"),
        });
        self.own(&mut pod);
        pod
    }

    /// The address of the NATS server for agents.
    pub(crate) fn service(&self) -> Value {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": nats_name(self.run), "labels": self.labels("nats")},
            "spec": {
                "selector": {INSTANCE: self.run, COMPONENT: "nats"},
                "ports": [{"name": "nats", "port": NATS_PORT, "targetPort": NATS_PORT}],
            },
        });
        self.own(&mut service);
        service
    }

    /// Only the agents of the run reach its NATS server, and it reaches nobody.
    pub(crate) fn network_policy(&self) -> Value {
        let mut policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": nats_name(self.run), "labels": self.labels("nats")},
            "spec": {
                "podSelector": {"matchLabels": {INSTANCE: self.run, COMPONENT: "nats"}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{
                    "from": [{"podSelector": {"matchLabels": {INSTANCE: self.run, COMPONENT: "agent"}}}],
                    "ports": [{"port": NATS_PORT, "protocol": "TCP"}],
                }],
                "egress": [],
            },
        });
        self.own(&mut policy);
        policy
    }

    /// The credentials of the NATS server.
    pub(crate) fn secret(&self, credentials: &Credentials) -> Value {
        let mut data = json!({"url": credentials.url});
        match (&self.settings.nats, &credentials.certificate) {
            (
                Nats::Server {
                    ca, credentials, ..
                },
                _,
            ) => {
                if let Some(ca) = ca {
                    data["ca.crt"] = json!(ca);
                }
                if let Some(credentials) = credentials {
                    data["nats.creds"] = json!(credentials.expose());
                }
            }
            (Nats::Pod { .. }, certificate) => {
                data["nats.conf"] = json!(format!(
                    "port: {NATS_PORT}\nserver_name: {}\n\
                     jetstream {{ store_dir: /data, max_memory_store: 64MB, max_file_store: 7GB }}\n\
                     authorization {{ user: encarno, password: \"{}\" }}\n\
                     tls {{ cert_file: {FOLDER}/tls.crt, key_file: {FOLDER}/tls.key }}\n",
                    nats_name(self.run),
                    credentials.password,
                ));
                data["password"] = json!(credentials.password);
                if let Some(made) = certificate {
                    data["ca.crt"] = json!(made.certificate);
                    data["tls.crt"] = json!(made.certificate);
                    data["tls.key"] = json!(made.key);
                }
            }
        }
        let mut secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": self.run, "labels": self.labels("nats")},
            "stringData": data,
        });
        self.own(&mut secret);
        secret
    }

    /// What all pods have in common.
    fn pod(&self, mut container: Value, volumes: Vec<Value>, restart: &str) -> Value {
        let settings = self.settings;
        container["securityContext"] = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        if let Some(policy) = &settings.pull_policy {
            container["imagePullPolicy"] = json!(policy);
        }
        let mut pod = json!({
            "restartPolicy": restart,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 10,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        });
        if let Some(account) = &settings.service_account {
            pod["serviceAccountName"] = json!(account);
        }
        if !settings.node_selector.is_empty() {
            pod["nodeSelector"] = map(&settings.node_selector);
        }
        if !settings.pull_secrets.is_empty() {
            let secrets = settings
                .pull_secrets
                .iter()
                .map(|name| json!({"name": name}));
            pod["imagePullSecrets"] = secrets.collect();
        }
        if !settings.tolerations.is_empty() {
            let tolerations = settings.tolerations.iter().map(|(key, value)| match value {
                Some(value) => json!({"key": key, "operator": "Equal", "value": value}),
                None => json!({"key": key, "operator": "Exists"}),
            });
            pod["tolerations"] = tolerations.collect();
        }
        pod
    }

    fn labels(&self, component: &str) -> Value {
        json!({
            "app.kubernetes.io/name": "encarno",
            MANAGED_BY.0: MANAGED_BY.1,
            INSTANCE: self.run,
            COMPONENT: component,
        })
    }

    fn pod_labels(&self, component: &str) -> Value {
        let mut labels = map(&self.settings.labels);
        if let (Value::Object(all), Value::Object(own)) = (&mut labels, self.labels(component)) {
            // Those of the run are the ones that it is found by.
            all.extend(own);
        }
        labels
    }

    fn own(&self, object: &mut Value) {
        if let Some(owner) = &self.owner {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": self.run,
                "uid": owner.uid,
            }]);
        }
    }
}

fn map(pairs: &[(String, String)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// All objects of a run, for those who apply them themselves. Agents and coordinator meet
/// at the name of the Service.
pub fn whole(
    run: &str,
    namespace: &str,
    settings: &Settings,
) -> Result<Vec<Value>, crate::KubeError> {
    let manifest = Manifest {
        run,
        settings,
        owner: None,
    };
    let host = format!("{}.{namespace}.svc", nats_name(run));
    let credentials = credentials::make(settings, &host)?;
    let mut all = vec![manifest.secret(&credentials)];
    if matches!(settings.nats, Nats::Pod { .. }) {
        all.extend([
            manifest.service(),
            manifest.network_policy(),
            manifest.nats_pod(),
        ]);
    }
    all.push(manifest.job(false));
    for object in &mut all {
        object["metadata"]["namespace"] = json!(namespace);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
