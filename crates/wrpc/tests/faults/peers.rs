//! Peers that break wRPC's rules over a server that keeps those of NATS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::nats::{Connection, Options, subject};
use encarno_wrpc::{Counters, ErrorCode, Outcome};
use futures_util::StreamExt as _;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::rig::{
    Behaviour, PREFIX, answer, call, code, connect, echo, limits, list, serve, server, settle,
    within,
};

/// An answer that comes after its caller has gone reaches no other call.
#[tokio::test]
async fn late_answers_reach_nobody() {
    let nats = NatsServer::start();
    let peer = async_nats::connect(nats.url()).await.unwrap();
    let mut calls = peer.subscribe(echo().to_string()).await.unwrap();
    settle(&peer).await;
    tokio::spawn(async move {
        // Each call is answered when the next one has come, in its predecessor's name.
        let mut previous: Option<(async_nats::Subject, Bytes)> = None;
        while let Some(message) = calls.next().await {
            let reply = message.reply.unwrap();
            if let Some((late, payload)) = previous.replace((reply, message.payload)) {
                for (part, payload) in [
                    ("", Bytes::new()),
                    (".results", payload),
                    (".results", Bytes::new()),
                ] {
                    peer.publish(format!("{late}{part}"), payload)
                        .await
                        .unwrap();
                }
            }
        }
    });
    let connection = connect(&nats.url()).await;
    for number in 0..50u8 {
        let outcome = within(5, call(&connection, list(&[number]), 30)).await;
        assert_eq!(
            code(&outcome),
            ErrorCode::Timeout,
            "the answer of another call"
        );
        assert!(outcome.timing.accepted.is_none());
    }
}

/// What a peer publishes is never the end of a connection, whatever it is: neither of the
/// receiver's, to whose function it goes, nor of a caller's, to whose inbox.
#[tokio::test]
async fn messages_that_make_no_sense_are_dropped_and_counted() {
    let nats = NatsServer::start();
    let counters = [(); 2].map(|()| Arc::<Counters>::default());
    let [receiver, connection] = counters.each_ref().map(|counters| {
        let (counters, url) = (Arc::clone(counters), nats.url());
        async move {
            let options = Options::new(&url).unwrap();
            Connection::connect_counted(&options, counters)
                .await
                .unwrap()
        }
    });
    let server = server(receiver.await, limits()).await;
    tokio::spawn(server.run(std::future::pending(), |invocation| {
        tokio::spawn(answer(invocation, Behaviour::Echo));
    }));
    let connection = connection.await;
    echoes(&connection).await;

    // The inbox of the caller is known to whom it calls.
    let spy = async_nats::connect(nats.url()).await.unwrap();
    let mut calls = spy.subscribe(echo().to_string()).await.unwrap();
    settle(&spy).await;
    echoes(&connection).await;
    let reply = within(10, calls.next()).await.unwrap().reply.unwrap();
    let (inbox, _) = reply.rsplit_once('.').unwrap();

    let mut stream = TcpStream::connect(("127.0.0.1", nats.port()))
        .await
        .unwrap();
    let hello = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n";
    stream.write_all(hello).await.unwrap();
    const TIMES: u64 = 50;
    let mut kinds = 0;
    for _ in 0..TIMES {
        kinds = 0;
        for (subject, reply) in [
            (echo().as_bytes(), &b"a.\xff.b"[..]),
            (echo().as_bytes(), b"\xc3\x28"),
            (format!("{inbox}.1").as_bytes(), b"\xff"),
            (&[inbox.as_bytes(), b".\xff"].concat(), b"r"),
        ] {
            let message = [b"PUB ", subject, b" ", reply, b" 1\r\nx\r\n"].concat();
            stream.write_all(&message).await.unwrap();
            kinds += 1;
        }
        for headers in [
            "\r\n\r\n",
            "nonsense",
            "HTTP/1.1 200\r\na: b\r\n\r\n",
            "NATS/1.0\r\nno colon\r\n\r\n",
            "NATS/1.0\r\n: no name\r\n\r\n",
            "NATS/1.0x\r\n\r\n",
        ] {
            for subject in [echo().to_string(), format!("{inbox}.1.results")] {
                let length = headers.len();
                let message = format!("HPUB {subject} r {length} {length}\r\n{headers}\r\n");
                stream.write_all(message.as_bytes()).await.unwrap();
                kinds += 1;
            }
        }
        // Not what we would write, and it says something.
        for (headers, payload) in [
            (&b"NATS/1.0\r\na: \xff\r\n\r\n"[..], "\x01x"),
            (b"NATS/1.0 999999 \xff\r\n\xfe:\r\n\r\n", "\x01x"),
            (b"NATS/1.0", "\x01x"),
        ] {
            let (length, whole) = (headers.len(), headers.len() + payload.len());
            let line = format!("HPUB {} _INBOX.nobody {length} {whole}\r\n", echo());
            let message = [line.as_bytes(), headers, payload.as_bytes(), b"\r\n"].concat();
            stream.write_all(&message).await.unwrap();
        }
    }
    let dropped = || {
        counters
            .each_ref()
            .map(|counters| counters.counted().messages_dropped)
    };
    within(20, async {
        while dropped().iter().sum::<u64>() < TIMES * kinds {
            echoes(&connection).await;
        }
    })
    .await;
    assert_eq!(
        dropped().iter().sum::<u64>(),
        TIMES * kinds,
        "{:?}",
        dropped()
    );
    for counters in counters {
        let counted = counters.counted();
        assert!(
            counted.messages_dropped > 0 && counted.losses == 0,
            "{counted:?}"
        );
    }
}

/// One message of a peer.
#[derive(Clone, Debug)]
struct Said {
    part: &'static str,
    payload: Vec<u8>,
    reply: bool,
    header: Option<(&'static str, String)>,
}

fn said() -> impl Strategy<Value = Said> {
    let part = prop::sample::select(vec![
        "",
        "",
        ".results",
        ".results",
        ".params",
        ".probe",
        ".results.0",
        ".whole",
        ".",
        "..",
        ".x.y.z",
        "0",
    ]);
    let payload = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..40),
        Just(vec![0xff; 2000]),
    ];
    let name = prop::sample::select(vec![
        "Encarno-Error",
        "Encarno-Error-Message",
        "Encarno-Window",
        "Encarno-Body",
        "Other",
    ]);
    let value = prop_oneof!["timeout", "guest_trap", "", "[0-9]{1,20}", "[ -~]{0,30}"];
    (
        part,
        payload,
        any::<bool>(),
        prop::option::of((name, value)),
    )
        .prop_map(|(part, payload, reply, header)| Said {
            part,
            payload,
            reply,
            header,
        })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn call_bad(connection: &Connection) -> Outcome {
    let bad = subject::function(PREFIX, "pkg:name/echo", "bad").unwrap();
    let deadline = Instant::now() + Duration::from_millis(20);
    connection.call(bad, list(&vec![1; 2000]), deadline).await
}

async fn echoes(connection: &Connection) {
    let outcome = within(10, call(connection, list(b"good"), 10_000)).await;
    assert_eq!(outcome.result, Ok(list(b"good")));
}

/// Whatever a receiver says, its caller gets one answer in time, and others theirs.
#[test]
fn receivers_that_say_anything() {
    let runtime = runtime();
    let nats = NatsServer::start_configured("max_payload: 2048\n"); // parameters in two parts
    let url = nats.url();
    let (connection, peer) = runtime.block_on(async {
        tokio::spawn(async move { serve(&url, Behaviour::Echo).await.await });
        let peer = async_nats::connect(nats.url()).await.unwrap();
        let connection = connect(&nats.url()).await;
        within(10, async {
            while call(&connection, list(b""), 1000).await.result.is_err() {}
        })
        .await;
        (connection, peer)
    });
    let says = prop::collection::vec(said(), 0..8);
    TestRunner::new(ProptestConfig::with_cases(100))
        .run(&says, |says| {
            runtime.block_on(async {
                let bad = subject::function(PREFIX, "pkg:name/echo", "bad").unwrap();
                let mut calls = peer.subscribe(bad.to_string()).await.unwrap();
                settle(&peer).await;
                let calling = call_bad(&connection);
                let answering = async {
                    let reply = calls.next().await.unwrap().reply.unwrap();
                    for said in says {
                        say(&peer, &reply, said).await;
                    }
                };
                let (outcome, ()) = within(10, async { tokio::join!(calling, answering) }).await;
                let took = outcome.timing.finished;
                assert!(took.is_some());
                calls.unsubscribe().await.unwrap();
                echoes(&connection).await;
            });
            Ok(())
        })
        .unwrap();
}

async fn say(peer: &async_nats::Client, reply: &async_nats::Subject, said: Said) {
    let subject = format!("{reply}{}", said.part);
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = said.header {
        headers.insert(name, value);
    }
    let payload = Bytes::from(said.payload);
    // What can't be said over NATS isn't.
    let _ = match said.reply {
        true => {
            let own = "_INBOX.of.nobody";
            peer.publish_with_reply_and_headers(subject, own, headers, payload)
                .await
        }
        false => peer.publish_with_headers(subject, headers, payload).await,
    };
}

/// Whatever a caller says, the receiver goes on.
#[test]
fn callers_that_say_anything() {
    let runtime = runtime();
    let nats = NatsServer::start();
    let url = nats.url();
    let (connection, peer) = runtime.block_on(async {
        tokio::spawn(async move { serve(&url, Behaviour::Echo).await.await });
        let peer = async_nats::connect(nats.url()).await.unwrap();
        let connection = connect(&nats.url()).await;
        within(10, async {
            while call(&connection, list(b""), 1000).await.result.is_err() {}
        })
        .await;
        (connection, peer)
    });
    let params = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        // The beginning of parameters, and more than they announce.
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut rest| {
            rest.insert(0, 30);
            rest
        }),
        Just(vec![0xff, 0xff, 0xff, 0x07]),
    ];
    let says = (params, prop::collection::vec(said(), 0..8));
    TestRunner::new(ProptestConfig::with_cases(100))
        .run(&says, |(params, says)| {
            runtime.block_on(async {
                let reply = peer.new_inbox();
                let mut answers = peer.subscribe(format!("{reply}.>")).await.unwrap();
                let mut accepted = peer.subscribe(reply.clone()).await.unwrap();
                peer.publish_with_reply(echo().to_string(), reply, Bytes::from(params))
                    .await
                    .unwrap();
                let receiver = within(10, accepted.next()).await.unwrap().reply.unwrap();
                for said in says {
                    say(&peer, &receiver, said).await;
                }
                // The end of the parameters: now there must be an answer.
                peer.publish(format!("{receiver}.params"), Bytes::new())
                    .await
                    .unwrap();
                while !within(10, answers.next()).await.unwrap().payload.is_empty() {}
                echoes(&connection).await;
            });
            Ok(())
        })
        .unwrap();
}
