//! Where the programs of all agents meet while they run: values that one of them makes for
//! all, and barriers.
//!
//! A program connects to a port of the loopback interface. Its environment names the port,
//! with a secret that keeps other programs of the machine away. Each connection carries one
//! request, as lines of JSON:
//!
//! | the program writes | the agent answers |
//! |---|---|
//! | `{"secret": S, "once": NAME}` | `{"yours": true}` if the program is to make the value, which then writes `{"value": V}` or `{"error": TEXT}`. To others `{"value": V}` or `{"error": TEXT}`, as soon as the value is made |
//! | `{"secret": S, "barrier": NAME, "parties": N}` | `{}`, as soon as N requests of all agents have named this barrier |
//!
//! V is a text, for the agent without meaning; programs write JSON. What programs share is in
//! the bucket of the runs, under keys of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::CreateErrorKind;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::timeout;

use crate::FleetError;
use crate::bus::{Bus, json};

/// The variable of the environment that says where programs meet: `ADDRESS/SECRET`.
pub(crate) const VARIABLE: &str = "ENCARNO_MEETING";

/// The longest line. A value has to fit into a message of NATS.
const LINE_BYTES_MAX: u64 = 512 << 10;
/// The longest name.
const NAME_BYTES_MAX: usize = 64;
/// The most requests at a time.
const REQUESTS_MAX: usize = 10_000;
/// How long a request may wait for others, and how long a program may make a value.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long a program may take to write its request.
const PROMPT: Duration = Duration::from_secs(10);

/// Serves the programs of one agent, until it is dropped.
pub(crate) struct Meeting {
    address: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Meeting {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Meeting {
    /// Opens it for the agent's part of a run.
    pub(crate) async fn open(bus: &Bus, run: &str, agent: &str) -> Result<Self, FleetError> {
        let failed = FleetError::of("no port for the run's program");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr();
        let address = address.map_err(FleetError::of("no port for the run's program"))?;
        let secret = secret()?;
        let place = Arc::new(Place {
            bus: bus.clone(),
            run: run.to_owned(),
            agent: agent.to_owned(),
            secret: secret.clone(),
            arrived: Mutex::default(),
        });
        Ok(Self {
            address: format!("{address}/{secret}"),
            serving: tokio::spawn(serve(listener, place)),
        })
    }

    /// The value of [`VARIABLE`].
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

fn secret() -> Result<String, FleetError> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(FleetError::of("no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn serve(listener: TcpListener, place: Arc<Place>) {
    let slots = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptors, most likely: they come back when programs end requests.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let place = place.clone();
        tokio::spawn(async move {
            place.answer(stream).await;
            drop(slot);
        });
    }
}

#[derive(Deserialize)]
struct Request {
    secret: String,
    once: Option<String>,
    barrier: Option<String>,
    #[serde(default)]
    parties: u64,
}

/// A value that one program made for all, or why it couldn't.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Made {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The agent whose program makes it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Made {
    fn failed(reason: impl Into<String>) -> Self {
        Self {
            error: Some(reason.into()),
            ..Self::default()
        }
    }

    fn is_made(&self) -> bool {
        self.value.is_some() || self.error.is_some()
    }
}

struct Place {
    bus: Bus,
    run: String,
    agent: String,
    secret: String,
    /// By barrier: how many requests of this agent have come, and of all agents.
    arrived: Mutex<HashMap<String, Arrivals>>,
}

struct Arrivals {
    own: u64,
    all: watch::Receiver<u64>,
}

impl Place {
    async fn answer(&self, stream: TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let Ok(Some(line)) = timeout(PROMPT, line(&mut read)).await else {
            return;
        };
        let Ok(request) = serde_json::from_slice::<Request>(&line) else {
            return;
        };
        if request.secret != self.secret {
            return;
        }
        let answered = match (&request.once, &request.barrier) {
            (Some(name), None) if is_sound(name) => self.once(name, &mut read, &mut write).await,
            (None, Some(name)) if is_sound(name) => {
                let met = self.barrier(name, request.parties, &mut read).await;
                met.unwrap_or_else(Made::failed)
            }
            _ => Made::failed(format!("a name has 1 to {NAME_BYTES_MAX} bytes")),
        };
        // If the program is gone, nobody needs the answer.
        let _said = say(&mut write, &answered).await;
    }

    fn key(&self, kind: &str, name: &str) -> String {
        let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{kind}.{hex}", self.run)
    }

    async fn once(
        &self,
        name: &str,
        read: &mut BufReader<OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
    ) -> Made {
        let key = self.key("once", name);
        let begun = Made {
            by: Some(self.agent.clone()),
            ..Made::default()
        };
        let Ok(begun) = json(&begun) else {
            return Made::failed("it can't be encoded");
        };
        match self.bus.runs.create(&key, begun).await {
            Ok(_) => {
                let made = self.make(read, write).await;
                if let Err(error) = self.bus.say(&key, &made).await {
                    return Made::failed(error.to_string());
                }
                made
            }
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                match timeout(PATIENCE, self.wait(&key)).await {
                    Ok(Ok(made)) => made,
                    Ok(Err(error)) => Made::failed(error.to_string()),
                    Err(_) => {
                        Made::failed(format!("nobody made it within {} s", PATIENCE.as_secs()))
                    }
                }
            }
            Err(error) => Made::failed(format!("NATS did not store a message: {error}")),
        }
    }

    /// Lets the program make the value.
    async fn make(&self, read: &mut BufReader<OwnedReadHalf>, write: &mut OwnedWriteHalf) -> Made {
        let gone = || Made::failed("the virtual user that made it ended before");
        if write.write_all(b"{\"yours\": true}\n").await.is_err() {
            return gone();
        }
        match timeout(PATIENCE, line(read)).await {
            Ok(Some(line)) => serde_json::from_slice(&line)
                .ok()
                .filter(Made::is_made)
                .unwrap_or_else(|| {
                    Made::failed(format!(
                        "its value has more than {} KiB, or none",
                        LINE_BYTES_MAX >> 10
                    ))
                }),
            Ok(None) => gone(),
            Err(_) => Made::failed(format!("nobody made it within {} s", PATIENCE.as_secs())),
        }
    }

    /// Waits until another program has made it.
    async fn wait(&self, key: &str) -> Result<Made, FleetError> {
        let words = self.bus.runs.watch_with_history(key).await;
        let mut words = words.map_err(FleetError::of("NATS sends no values"))?;
        while let Some(word) = words.next().await {
            // A lost message comes again.
            let Ok(word) = word else { continue };
            let made = serde_json::from_slice::<Made>(&word.value).ok();
            if let Some(made) = made.filter(Made::is_made) {
                return Ok(made);
            }
        }
        Err(FleetError("NATS sends no more values".to_owned()))
    }

    async fn barrier(
        &self,
        name: &str,
        parties: u64,
        read: &mut BufReader<OwnedReadHalf>,
    ) -> Result<Made, String> {
        let mut all = self.arrive(name).await.map_err(|error| error.to_string())?;
        let met = async {
            let met = all.wait_for(|arrived| *arrived >= parties).await;
            met.map(|_| Made::default())
                .map_err(|_| "NATS sends no more arrivals".to_owned())
        };
        tokio::select! {
            met = timeout(PATIENCE, met) => met.unwrap_or_else(|_| {
                let arrived = *all.borrow();
                Err(format!("{arrived} of {parties} arrived within {} s", PATIENCE.as_secs()))
            }),
            // The program waits in silence; it is gone.
            _ = line(read) => Err("it is gone".to_owned()),
        }
    }

    /// Counts a request, and returns the count of all agents.
    async fn arrive(&self, name: &str) -> Result<watch::Receiver<u64>, FleetError> {
        let key = self.key("barrier", name);
        let mut arrived = self.arrived.lock().await;
        if !arrived.contains_key(name) {
            let all = self.count(&key).await?;
            arrived.insert(name.to_owned(), Arrivals { own: 0, all });
        }
        let Some(arrivals) = arrived.get_mut(name) else {
            return Err(FleetError("an arrival is lost".to_owned()));
        };
        arrivals.own += 1;
        let all = arrivals.all.clone();
        let own = format!("{key}.{}", self.agent);
        self.bus.say(&own, &arrivals.own).await?;
        Ok(all)
    }

    /// Adds the requests of all agents.
    async fn count(&self, key: &str) -> Result<watch::Receiver<u64>, FleetError> {
        let words = self.bus.runs.watch_with_history(format!("{key}.*")).await;
        let mut words = words.map_err(FleetError::of("NATS sends no arrivals"))?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            let mut by_agent = HashMap::new();
            while let Some(word) = words.next().await {
                let Ok(word) = word else { continue };
                if let Ok(count) = serde_json::from_slice::<u64>(&word.value) {
                    by_agent.insert(word.key, count);
                }
                if sender.send(by_agent.values().sum()).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

fn is_sound(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// The next line; `None` if there is none, or if it is too long.
async fn line(read: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = read.take(LINE_BYTES_MAX);
    limited.read_until(b'\n', &mut line).await.ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}

async fn say(write: &mut OwnedWriteHalf, made: &Made) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(made).unwrap_or_default();
    line.push(b'\n');
    write.write_all(&line).await
}
