//! NATS, with the buckets and subjects of a group.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::stream::StorageType;
use async_nats::jetstream::{self, kv, object_store, stream};
use async_nats::{Client, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use encarno_record::mask::masked_url;
use encarno_secret::Secret;

use crate::FleetError;
use crate::words::{Presence, is_name};

/// How long the data and results of a run are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// An agent that was silent for longer than this counts as gone.
pub(crate) const PRESENT: Duration = Duration::from_secs(6);
const CONNECT: Duration = Duration::from_secs(10);
const PING: Duration = Duration::from_secs(2);
/// How long it is tried to store a message.
const SAY: Duration = Duration::from_secs(30);
pub(crate) const RETRY: Duration = Duration::from_millis(250);

/// The meeting point of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hub {
    /// The URL of the NATS server, which may contain a user.
    pub url: Secret,
    /// A file with NATS credentials.
    pub credentials: Option<PathBuf>,
    /// A file with certificate authorities, for TLS.
    pub ca: Option<PathBuf>,
    /// The name of the group.
    pub group: String,
}

impl Hub {
    /// The server, for messages.
    pub fn shown(&self) -> String {
        masked_url(self.url.expose())
    }
}

/// A connection to the meeting point.
#[derive(Clone)]
pub(crate) struct Bus {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    group: String,
    pub(crate) agents: kv::Store,
    pub(crate) runs: kv::Store,
    pub(crate) files: ObjectStore,
}

impl Bus {
    pub(crate) async fn connect(hub: &Hub) -> Result<Self, FleetError> {
        let group = &hub.group;
        if !is_name(group) {
            return Err(FleetError(format!(
                "--group {group:?}: a group's name has letters, digits, - and _, 32 at most"
            )));
        }
        let url = hub.shown();
        let mut options = ConnectOptions::new()
            .name("encarno")
            .connection_timeout(CONNECT)
            // After two unanswered pings, the connection counts as broken and is made
            // again.
            .ping_interval(PING)
            .request_timeout(Some(CONNECT));
        // The client itself doesn't look at the user of a URL.
        if let Some((user, password)) = user_of(hub.url.expose()) {
            options = match password {
                Some(password) => options.user_and_password(user, password),
                None => options.token(user),
            };
        }
        if let Some(file) = &hub.credentials {
            let read = options.credentials_file(file).await;
            options = read.map_err(FleetError::of(format!("credentials {}", file.display())))?;
        }
        if let Some(file) = &hub.ca {
            options = options.add_root_certificates(file.clone());
        }
        let client = tokio::time::timeout(CONNECT, options.connect(hub.url.expose())).await;
        let client = client
            .map_err(|_| FleetError(format!("NATS at {url}: no answer within 10 s")))?
            .map_err(|error| {
                // Its own text says only that there was an error.
                let reason = error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                FleetError(format!("NATS at {url}: {reason}"))
            })?;
        let jetstream = jetstream::new(client.clone());
        let without = |what: &str| {
            format!(
                "NATS at {url}, {what} of the group {group} (it needs JetStream: nats-server -js)"
            )
        };
        let bucket = |name: &str, max_age, storage| kv::Config {
            bucket: format!("encarno_{group}_{name}"),
            max_age,
            storage,
            history: 1,
            ..kv::Config::default()
        };
        let agents = jetstream
            .create_key_value(bucket("agents", PRESENT, StorageType::File))
            .await
            .map_err(FleetError::of(without("agents")))?;
        let runs = jetstream
            .create_key_value(bucket("runs", KEPT, StorageType::File))
            .await
            .map_err(FleetError::of(without("runs")))?;
        let files = jetstream
            .create_object_store(object_store::Config {
                bucket: format!("encarno_{group}_files"),
                max_age: KEPT,
                ..object_store::Config::default()
            })
            .await
            .map_err(FleetError::of(without("files")))?;
        jetstream
            .get_or_create_stream(stream::Config {
                name: format!("encarno_{group}_results"),
                subjects: vec![format!("encarno.{group}.results.>")],
                max_age: KEPT,
                // Duplicates within this time are dropped.
                duplicate_window: Duration::from_secs(600),
                ..stream::Config::default()
            })
            .await
            .map_err(FleetError::of(without("results")))?;
        Ok(Self {
            client,
            jetstream,
            group: group.clone(),
            agents,
            runs,
            files,
        })
    }

    /// The stream of all results.
    pub(crate) fn stream(&self) -> String {
        format!("encarno_{}_results", self.group)
    }

    /// The subject for an agent's results of a run; `*` means all agents.
    pub(crate) fn results(&self, run: &str, agent: &str) -> String {
        format!("encarno.{}.results.{run}.{agent}", self.group)
    }

    /// The subject for questions about the coordinator's clock.
    pub(crate) fn clock(&self, run: &str) -> String {
        format!("encarno.{}.clock.{run}", self.group)
    }

    /// The subject for heartbeats of agents.
    pub(crate) fn beat(&self, run: &str, agent: &str) -> String {
        format!("encarno.{}.beat.{run}.{agent}", self.group)
    }

    /// Stores a value about a run. If the server is being started again, the value is stored
    /// afterwards.
    pub(crate) async fn say(&self, key: &str, value: &impl Serialize) -> Result<(), FleetError> {
        let value = json(value)?;
        let deadline = Instant::now() + SAY;
        loop {
            let error = match self.runs.put(key, value.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(FleetError::of("NATS did not store a message")(error));
            }
            sleep(RETRY).await;
        }
    }

    /// The value of a key.
    pub(crate) async fn heard<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, FleetError> {
        let value = self
            .runs
            .get(key)
            .await
            .map_err(FleetError::of("NATS did not return a message"))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Whether an agent is present. This asks for its name, because a list of all agents
    /// can miss one that announces itself at the same moment.
    pub(crate) async fn is_present(&self, name: &str) -> Result<bool, FleetError> {
        let word = self.agents.get(name).await;
        let word = word.map_err(FleetError::of("NATS can't list the agents"))?;
        Ok(word.is_some())
    }

    /// The present agents, by name.
    pub(crate) async fn present(&self) -> Result<Vec<Presence>, FleetError> {
        use futures_util::StreamExt as _;
        let untold = "NATS can't list the agents";
        let mut keys = self.agents.keys().await.map_err(FleetError::of(untold))?;
        let mut present: Vec<Presence> = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(FleetError::of(untold))?;
            let value = self.agents.get(&key).await;
            let value = value.map_err(FleetError::of(untold))?;
            let word = value.and_then(|value| serde_json::from_slice(&value).ok());
            // Check the name, which becomes a part of paths and subjects.
            present.extend(word.filter(|word: &Presence| word.name == key && is_name(&key)));
        }
        present.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(present)
    }
}

/// The user of a URL with the password; a name without one is a token.
fn user_of(url: &str) -> Option<(String, Option<String>)> {
    let address: ServerAddr = url.parse().ok()?;
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((plain(address.username()?), address.password().map(plain)))
}

pub(crate) fn json(value: &impl Serialize) -> Result<bytes::Bytes, FleetError> {
    let json = serde_json::to_vec(value).map_err(FleetError::of("a message can't be encoded"))?;
    Ok(json.into())
}

#[cfg(test)]
mod tests {
    use super::user_of;

    #[test]
    fn a_url_may_have_a_user_or_a_token() {
        let some = |user: &str, password: Option<&str>| {
            Some((user.to_owned(), password.map(str::to_owned)))
        };
        assert_eq!(
            user_of("nats://me:p%40ss@hub:4222"),
            some("me", Some("p@ss"))
        );
        assert_eq!(user_of("tls://s3cret@hub"), some("s3cret", None));
        assert_eq!(user_of("nats://hub:4222"), None);
    }
}
