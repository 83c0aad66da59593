//! Callers that go on until they are stopped, and the account of their calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::nats::Connection;
use encarno_wrpc::nats::serve::Responder;
use encarno_wrpc::serve::{Invocation, Parameters};
use tokio::task::JoinHandle;

use crate::rig::{Behaviour, answer, call, connect, limits, list, server, within};

/// A busy machine may be late by so much.
const SLACK: Duration = Duration::from_secs(5);

/// How often each call was executed, by its number.
#[derive(Clone, Default)]
pub(crate) struct Executions(Arc<Mutex<HashMap<u64, u32>>>);

impl Executions {
    /// Serves echo, and remembers the number with which the payload of each call begins.
    pub(crate) async fn serve(&self, url: &str) -> JoinHandle<()> {
        let executions = self.clone();
        let server = server(connect(url).await, limits()).await;
        tokio::spawn(server.run(
            std::future::pending(),
            move |invocation: Invocation<Responder>| {
                if let Parameters::Whole(params) = &invocation.parameters {
                    executions.note(params);
                }
                tokio::spawn(answer(invocation, Behaviour::Echo));
            },
        ))
    }

    fn note(&self, params: &Bytes) {
        // The length of a payload of at least 128 bytes takes two bytes.
        let number = u64::from_le_bytes(params[2..10].try_into().unwrap());
        *self.0.lock().unwrap().entry(number).or_default() += 1;
    }
}

/// What became of the calls of a load.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) answered: Vec<u64>,
    pub(crate) failed: HashMap<ErrorCode, u64>,
}

pub(crate) struct Load {
    callers: Vec<JoinHandle<Account>>,
    stopped: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Load {
    /// Calls by so many callers, each with payloads of so many bytes.
    pub(crate) fn start(
        connection: &Connection,
        callers: usize,
        payload_bytes: usize,
        timeout: Duration,
    ) -> Self {
        let stopped = Arc::<AtomicBool>::default();
        let (answers, made) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let caller = |_| {
            let connection = connection.clone();
            let stopped = Arc::clone(&stopped);
            let (answers, made) = (Arc::clone(&answers), Arc::clone(&made));
            tokio::spawn(async move {
                let mut account = Account::default();
                let mut payload = vec![0xab; payload_bytes.max(128)];
                while !stopped.load(Ordering::Relaxed) {
                    let number = made.fetch_add(1, Ordering::Relaxed);
                    payload[..8].copy_from_slice(&number.to_le_bytes());
                    let params = list(&payload);
                    let began = Instant::now();
                    let outcome =
                        call(&connection, params.clone(), timeout.as_millis() as u64).await;
                    let took = began.elapsed();
                    assert!(took < timeout + SLACK, "{took:?}: {:?}", outcome.result);
                    match outcome.result {
                        Ok(result) => {
                            assert_eq!(result, params, "the answer of another call");
                            answers.fetch_add(1, Ordering::Relaxed);
                            account.answered.push(number);
                        }
                        Err(error) => {
                            *account.failed.entry(error.code).or_default() += 1;
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                }
                account
            })
        };
        Self {
            callers: (0..callers).map(caller).collect(),
            stopped,
            answers,
            made,
        }
    }

    /// Waits until so many further calls have succeeded.
    pub(crate) async fn progress(&self, further: u64) {
        let goal = self.answers.load(Ordering::Relaxed) + further;
        within(60, async {
            while self.answers.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Stops, and checks that each call ended once: as an error, or with a result
    /// after one execution.
    pub(crate) async fn account(self, executions: &Executions) -> Account {
        self.stopped.store(true, Ordering::Relaxed);
        let mut all = Account::default();
        for caller in self.callers {
            let account = within(60, caller).await.unwrap();
            all.answered.extend(account.answered);
            for (code, count) in account.failed {
                *all.failed.entry(code).or_default() += count;
            }
        }
        let failed: u64 = all.failed.values().sum();
        let made = self.made.load(Ordering::Relaxed);
        assert_eq!(all.answered.len() as u64 + failed, made);
        let executions = executions.0.lock().unwrap();
        assert!(
            executions.values().all(|&times| times == 1),
            "executed twice"
        );
        for number in &all.answered {
            assert!(
                executions.contains_key(number),
                "{number} was never executed"
            );
        }
        all
    }
}
