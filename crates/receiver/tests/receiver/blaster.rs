//! The component that load tests call, on the receiver that they call it by.

use std::path::PathBuf;
use std::time::Duration;

use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::blaster::{FUNCTION, INSTANCE, Packet};

use crate::program::{Client, Receiver};

fn blaster() -> PathBuf {
    let component = encarno_test_peers::root().join("blaster-component/blaster-component.wasm");
    assert!(
        component.exists(),
        "{} does not exist: run `make component` first",
        component.display()
    );
    component
}

#[tokio::test]
async fn packets() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &blaster(), &["--max-memory-mb", "64"]);
    let client = Client::connect(&nats.url()).await;
    let payload = vec![0x5a; 3_000_000];
    let packet = Packet::default();
    for packet in [
        packet.clone(),
        Packet {
            id: "one",
            payload: &payload,
            ..packet
        },
        Packet {
            mem_burn_mb: 30,
            ..packet
        },
        Packet {
            cpu_burn_ms: 20,
            wait_ms: 30,
            ..packet
        },
    ] {
        let least = Duration::from_millis(packet.cpu_burn_ms + packet.wait_ms);
        let outcome = client.outcome(INSTANCE, FUNCTION, &packet.encode()).await;
        assert_eq!(outcome.result.as_deref(), Ok(&[][..]));
        let took = outcome.timing.finished.unwrap() - outcome.timing.sent.unwrap();
        assert!(took >= least, "{took:?}");
    }
    let packet = Packet {
        mem_burn_mb: 100,
        ..packet
    };
    let outcome = client.outcome(INSTANCE, FUNCTION, &packet.encode()).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code, ErrorCode::GuestLimit, "{error}");
    assert!(error.message.contains("memory limit of 64 MiB"), "{error}");
}
