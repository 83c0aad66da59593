//! What a start makes of a component: compiled once, kept, and served as far as it can be.

use encarno_test_peers::NatsServer;
use rustix::process::Signal;

use crate::guests;
use crate::program::{Receiver, run};

/// One with three tables, as other toolchains than Rust's make them.
const TABLES: &str = r#"(component
    (core module $M (memory 1) (table 1 funcref) (table 1 funcref) (table 1 funcref)
      (func (export "run")))
    (core instance $m (instantiate $M))
    (func $run (canon lift (core func $m "run")))
    (export "run" (func $run)))"#;

#[test]
fn a_component_is_compiled_once_and_kept() {
    let nats = NatsServer::start();
    let component = guests::component("tables", TABLES);
    let directory = encarno_test_peers::scratch("cache").join("compiled");
    let cache = ["--cache", directory.to_str().unwrap()];
    let debug = [("RUST_LOG", "encarno_receiver=debug")];
    let start = |arguments: &[&str]| {
        let mut receiver = Receiver::start_with(&nats.url(), &component, arguments, &debug);
        receiver.signal(Signal::TERM);
        assert_eq!(receiver.wait().code(), Some(0), "{}", receiver.stderr());
        let log = receiver.stderr();
        let compiled = log.matches("compiling the component").count();
        (compiled, log.contains("taken from the cache"))
    };
    assert_eq!(start(&[]), (1, false));
    assert_eq!(start(&cache), (1, false));
    assert_eq!(start(&cache), (0, true));
    let _ = std::fs::remove_dir_all(&directory);
}

#[test]
fn imports_of_wasi_that_nobody_provides_are_refused() {
    let nats = NatsServer::start();
    let logging = r#"(component
        (import "wasi:logging/logging@0.1.0" (instance $i (export "log" (func (param "x" string)))))
        (core module $M (func (export "run")))
        (core instance $m (instantiate $M))
        (func $run (canon lift (core func $m "run")))
        (export "run" (func $run)))"#;
    let component = guests::component("logging", logging);
    let (code, stderr) = run(&nats.url(), &["i", "e", component.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{stderr}");
    for about in ["wasi:logging/logging@0.1.0", "--call wasi:logging"] {
        assert!(stderr.contains(about), "no {about} in {stderr}");
    }
    Receiver::start(&nats.url(), &component, &["--call", "wasi:logging"]);
}

#[tokio::test]
async fn exports_that_cannot_be_served_are_left_out() {
    let nats = NatsServer::start();
    let mixed = r#"(component
        (type $own (resource (rep i32)))
        (export $thing "thing" (type $own))
        (core module $M
          (func (export "take") (param i32))
          (func (export "who") (result i32) (i32.const 7)))
        (core instance $m (instantiate $M))
        (func $take (param "x" (own $thing)) (canon lift (core func $m "take")))
        (func $who (result u8) (canon lift (core func $m "who")))
        (export "take" (func $take))
        (instance $work (export "who" (func $who)))
        (export "test:guest/work@0.1.0" (instance $work)))"#;
    let component = guests::component("mixed", mixed);
    let receiver = Receiver::start(&nats.url(), &component, &[]);
    assert!(
        receiver.ready.contains("test:guest/work@0.1.0.who"),
        "{}",
        receiver.ready
    );
    assert!(!receiver.ready.contains("take"), "{}", receiver.ready);
    receiver
        .logged("cannot serve the export `take`: function `take`: parameter `x`: is a resource")
        .await;
    let client = crate::program::Client::connect(&nats.url()).await;
    assert_eq!(&client.call("who", &[]).await.unwrap()[..], [7]);
}
