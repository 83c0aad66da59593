//! k6's REST API: <https://grafana.com/docs/k6/latest/reference/k6-rest-api/>.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use crate::cli::Failure;

/// The state of k6 after it has made the VUs, when it waits to be resumed.
const PAUSED_BEFORE_RUN: u64 = 4;
/// The limit for a script's `setup`, which is longer than k6's own limit.
const PATIENCE: Duration = Duration::from_secs(900);
/// The longest answer. Only the value of a script's `setup` may be long.
const BYTES_MAX: u64 = 1 << 20;

/// The API of one k6 on this machine.
pub(super) struct Surface {
    agent: Agent,
    base: String,
}

/// A free port. If another process takes it first, k6 reports that and ends.
pub(super) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::setup)?;
    Ok(listener.local_addr().map_err(Failure::setup)?.port())
}

impl Surface {
    pub(super) fn at(port: u16) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build();
        Self {
            agent: Agent::new_with_config(config),
            base: format!("http://127.0.0.1:{port}/v1"),
        }
    }

    /// Whether k6 has made all VUs and waits; false as long as it doesn't answer.
    pub(super) fn is_waiting(&self) -> bool {
        let asked = self.agent.get(format!("{}/status", self.base)).call();
        let answer = asked.ok().and_then(|answer| read(answer).ok());
        answer.is_some_and(|status| {
            status["data"]["attributes"]["status"] == json!(PAUSED_BEFORE_RUN)
        })
    }

    /// Runs the script's `setup`, and returns its value as JSON; `None` if it has none.
    pub(super) fn set_up(&self) -> Result<Option<String>, String> {
        let asked = self.agent.post(format!("{}/setup", self.base)).send_empty();
        let answer = read(asked.map_err(|error| format!("setup() failed: {error}"))?)?;
        let data = &answer["data"]["attributes"]["data"];
        Ok((!data.is_null()).then(|| data.to_string()))
    }

    /// Gives VUs the value of another k6's `setup`.
    pub(super) fn take_data(&self, data: &str) -> Result<(), String> {
        let asked = self.agent.put(format!("{}/setup", self.base)).send(data);
        asked
            .map(drop)
            .map_err(|error| format!("the data of setup() isn't taken: {error}"))
    }

    /// Lets k6 start.
    pub(super) fn resume(&self) -> Result<(), String> {
        let body =
            json!({"data": {"type": "status", "id": "default", "attributes": {"paused": false}}});
        let asked = self
            .agent
            .patch(format!("{}/status", self.base))
            .send(body.to_string());
        asked
            .map(drop)
            .map_err(|error| format!("k6 doesn't start: {error}"))
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, String> {
    let bytes = answer
        .body_mut()
        .with_config()
        .limit(BYTES_MAX)
        .read_to_vec();
    let bytes = bytes.map_err(|error| format!("k6's answer can't be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("k6's answer is no JSON: {error}"))
}
