#![allow(clippy::expect_used)] // a test that can't go on says why

use encarno_secret::Secret;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret as SecretObject, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use super::{Manifest, Owner, whole};
use crate::certificate;
use crate::credentials::Credentials;
use crate::settings::{Nats, Settings};

fn settings() -> Settings {
    Settings {
        agents: 8,
        command: "run".to_owned(),
        image: "registry.test/encarno:1".to_owned(),
        pull_policy: Some("IfNotPresent".to_owned()),
        pull_secrets: vec!["pull".to_owned()],
        cpu: "500m".to_owned(),
        memory: "512Mi".to_owned(),
        node_selector: vec![("disk".to_owned(), "fast".to_owned())],
        tolerations: vec![
            ("load".to_owned(), None),
            ("dedicated".to_owned(), Some("load".to_owned())),
        ],
        service_account: Some("loader".to_owned()),
        labels: vec![
            ("team".to_owned(), "shop".to_owned()),
            (super::INSTANCE.to_owned(), "other".to_owned()),
        ],
        ..Settings::default()
    }
}

fn job_of(settings: &Settings) -> Value {
    let manifest = Manifest {
        run: "encarno-x",
        settings,
        owner: None,
    };
    manifest.job(true)
}

/// What the pod security standard `restricted` asks for.
fn assert_restricted(pod: &Value) {
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_ne!(pod["securityContext"]["runAsUser"], 0);
    let profile = &pod["securityContext"]["seccompProfile"]["type"];
    assert_eq!(profile, "RuntimeDefault");
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(pod[name], Value::Null);
    }
    for container in pod["containers"].as_array().expect("containers") {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(context["privileged"], Value::Null);
        assert_eq!(container["ports"][0]["hostPort"], Value::Null);
    }
    for volume in pod["volumes"].as_array().expect("volumes") {
        let kinds: Vec<_> = volume.as_object().into_iter().flatten().collect();
        let allowed = |name: &str| ["name", "emptyDir", "secret"].contains(&name);
        assert!(kinds.iter().all(|(name, _)| allowed(name)), "{volume}");
    }
}

#[test]
fn the_job_has_one_pod_for_each_agent_and_restarts_none() {
    let job = job_of(&settings());
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    assert_eq!(
        (&spec["completions"], &spec["parallelism"]),
        (&json!(8), &json!(8))
    );
    assert_eq!(spec["backoffLimitPerIndex"], 0);
    assert_eq!(
        spec["backoffLimit"],
        Value::Null,
        "a lost agent ends no other"
    );
    assert_eq!(spec["suspend"], true);
    assert_eq!(spec["ttlSecondsAfterFinished"], 3600);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_restricted(pod);
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(pod["serviceAccountName"], "loader");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
    let tolerations = json!([
        {"key": "load", "operator": "Exists"},
        {"key": "dedicated", "operator": "Equal", "value": "load"},
    ]);
    assert_eq!(pod["tolerations"], tolerations);
    let agent = &pod["containers"][0];
    assert_eq!(agent["image"], "registry.test/encarno:1");
    assert_eq!(agent["imagePullPolicy"], "IfNotPresent");
    assert_eq!(
        agent["resources"],
        json!({"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}})
    );
    let arguments = json!([
        "agent",
        "--nats",
        "$(ENCARNO_NATS)",
        "--group",
        "encarno-x",
        "--once",
        "--idle",
        "15m",
        "--allow",
        "run",
        "--nats-ca",
        "/etc/encarno/ca.crt",
    ]);
    assert_eq!(agent["args"], arguments);
    // The run is found by its own labels, whatever the user's are.
    let labels = json!({
        "app.kubernetes.io/name": "encarno",
        "app.kubernetes.io/managed-by": "encarno",
        "app.kubernetes.io/instance": "encarno-x",
        "app.kubernetes.io/component": "agent",
        "team": "shop",
    });
    assert_eq!(spec["template"]["metadata"]["labels"], labels);
}

#[test]
fn a_limit_of_the_cpu_is_an_option() {
    let limited = Settings {
        cpu_limit: Some("2".to_owned()),
        ..settings()
    };
    let job = job_of(&limited);
    let limits = &job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits, &json!({"cpu": "2", "memory": "512Mi"}));
}

#[test]
fn everything_belongs_to_the_job_and_kubernetes_knows_every_field() {
    let settings = settings();
    let manifest = Manifest {
        run: "encarno-x",
        settings: &settings,
        owner: Some(Owner {
            uid: "u-1".to_owned(),
        }),
    };
    let credentials = Credentials {
        url: "tls://encarno:hunter2@10.0.0.1:4222".to_owned(),
        password: "hunter2".to_owned(),
        certificate: certificate::make(&["10.0.0.1".to_owned()]).ok(),
    };
    let secret = manifest.secret(&credentials);
    let pod = manifest.nats_pod();
    assert_restricted(&pod["spec"]);
    let owned = [
        secret.clone(),
        pod.clone(),
        manifest.service(),
        manifest.network_policy(),
    ];
    for object in &owned {
        let owner =
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "encarno-x", "uid": "u-1"}]);
        assert_eq!(object["metadata"]["ownerReferences"], owner);
        assert_eq!(object["metadata"]["labels"][super::INSTANCE], "encarno-x");
    }
    // What a type of Kubernetes doesn't know is lost on the way through it.
    fn through<K>(object: &Value)
    where
        K: serde::Serialize + serde::de::DeserializeOwned,
    {
        let typed: K = serde_json::from_value(object.clone()).expect("a known type");
        assert_eq!(&serde_json::to_value(typed).expect("JSON"), object);
    }
    through::<SecretObject>(&secret);
    through::<Pod>(&pod);
    through::<Service>(&manifest.service());
    through::<NetworkPolicy>(&manifest.network_policy());
    through::<Job>(&manifest.job(true));
    // The password is in the Secret alone.
    let others = [pod, manifest.job(false)].map(|object| object.to_string());
    assert!(others.iter().all(|text| !text.contains("hunter2")));
    let configuration = secret["stringData"]["nats.conf"].as_str();
    assert!(configuration.is_some_and(|text| text.contains("password: \"hunter2\"")));
}

#[test]
fn a_server_of_yours_needs_no_pod() {
    let settings = Settings {
        nats: Nats::Server {
            url: Secret::new("nats://u:hunter2@hub:4222"),
            ca: None,
            credentials: Some(Secret::new("creds")),
        },
        ..settings()
    };
    let all = whole("encarno-x", "load", &settings).expect("the objects");
    let kinds: Vec<_> = all.iter().map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("Secret"), Some("Job")]);
    assert!(
        all.iter()
            .all(|object| object["metadata"]["namespace"] == "load")
    );
    let data = json!({"url": "nats://u:hunter2@hub:4222", "nats.creds": "creds"});
    assert_eq!(all[0]["stringData"], data);
    let agent = &all[1]["spec"]["template"]["spec"]["containers"][0];
    let arguments = agent["args"].as_array().expect("arguments");
    assert_eq!(
        arguments[10..],
        ["--nats-credentials", "/etc/encarno/nats.creds"]
    );
    assert!(!all[1].to_string().contains("hunter2"));
}
