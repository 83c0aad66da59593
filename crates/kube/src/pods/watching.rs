//! Looks at the pods, and tells what is wrong with them, once.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::KubeError;
use crate::api::Api;
use crate::manifest::selector;
use crate::settings::Settings;
use crate::states;

/// The lines that are shown of a failed pod's log.
const LINES: i64 = 10;
/// The most failed pods whose logs are shown.
const LOGS_MAX: usize = 3;

pub(super) struct Watching<'a> {
    api: Api,
    run: &'a str,
    settings: &'a Settings,
    tell: fn(&str),
    /// When pods were first without a node.
    waiting: HashMap<String, Instant>,
    /// The pods whose end was told.
    told: HashSet<String>,
}

impl<'a> Watching<'a> {
    pub(super) fn new(api: Api, run: &'a str, settings: &'a Settings, tell: fn(&str)) -> Self {
        Self {
            api,
            run,
            settings,
            tell,
            waiting: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// An error if something is wrong with a pod that doesn't pass. Before the start, it is
    /// also one if Kubernetes refuses to make pods; afterwards, each pod that fails is told.
    pub(super) async fn check(&mut self, pods: &[Pod], starting: bool) -> Result<(), KubeError> {
        let mut wrong = Vec::new();
        for pod in pods {
            let Some(trouble) = states::trouble(pod) else {
                continue;
            };
            let name = pod.metadata.name.clone().unwrap_or_default();
            if trouble.may_pass {
                let timeout = self.settings.node_timeout;
                let first = self.waiting.is_empty();
                let since = self.waiting.entry(name).or_insert_with(Instant::now);
                if since.elapsed() < timeout {
                    if first {
                        (self.tell)(&format!("{}; it waits for one", trouble.text));
                    }
                    continue;
                }
                wrong.push(trouble.text);
                continue;
            }
            if self.told.insert(name.clone()) {
                if self.told.len() <= LOGS_MAX {
                    self.show_log(&name).await;
                }
                if !starting {
                    (self.tell)(&trouble.text);
                }
            }
            wrong.push(trouble.text);
        }
        if starting && wrong.is_empty() && pods.len() < self.settings.agents {
            // Events tell why there are no pods. Who may not read them waits.
            let events = self.api.events(self.run).await.unwrap_or_default();
            wrong.extend(events.iter().find_map(states::refused));
        }
        let others = wrong.len().saturating_sub(1);
        match wrong.into_iter().next() {
            None => Ok(()),
            Some(text) if others == 0 => Err(KubeError(text)),
            Some(text) if others == 1 => Err(KubeError(format!("{text} (and one other pod)"))),
            Some(text) => Err(KubeError(format!("{text} (and {others} other pods)"))),
        }
    }

    /// Shows the end of a failed pod's log. A pod that never ran has none.
    async fn show_log(&self, pod: &str) {
        let log = self.api.log(pod, Some(LINES)).await.unwrap_or_default();
        for line in log.lines().filter(|line| !line.trim().is_empty()) {
            (self.tell)(&format!("{pod}: {line}"));
        }
    }

    /// Writes the logs of all pods to the folder for them.
    pub(super) async fn keep_logs(&self) {
        let Some(folder) = &self.settings.logs else {
            return;
        };
        let kept = async {
            let failed = || KubeError::of(folder.display().to_string());
            std::fs::create_dir_all(folder).map_err(failed())?;
            for pod in self.api.pods(&selector(self.run)).await? {
                let name = pod.metadata.name.unwrap_or_default();
                // A pod that never ran has no log.
                let Ok(log) = self.api.log(&name, None).await else {
                    continue;
                };
                let file = folder.join(format!("{name}.log"));
                std::fs::write(&file, log).map_err(KubeError::of(file.display().to_string()))?;
            }
            Ok::<_, KubeError>(())
        };
        if let Err(error) = kept.await {
            (self.tell)(&format!("the logs of the pods: {error}"));
        }
    }
}
