//! Starts that are refused, each with its reason.

use std::net::TcpListener;

use encarno_test_peers::NatsServer;

use crate::guests;
use crate::program::run;

#[test]
fn components() {
    let nats = NatsServer::start();
    let file = guests::file;
    let component = |text: &str| guests::component("refused", text);
    let resource = r#"(component
        (import "t:p/res" (instance $i
            (export "thing" (type (sub resource)))))
        (alias export $i "thing" (type $thing))
        (core module $M (func (export "take") (param i32)))
        (core instance $m (instantiate $M))
        (func $take (param "x" (own $thing)) (canon lift (core func $m "take")))
        (export "take" (func $take)))"#;
    let imported_resource = r#"(component
        (import "t:p/res" (instance $i
            (export "thing" (type $thing (sub resource)))
            (export "make" (func (result (own $thing))))))
        (core module $M (func (export "run")))
        (core instance $m (instantiate $M))
        (func $run (canon lift (core func $m "run")))
        (export "run" (func $run)))"#;
    let large = r#"(component
        (core module $M (memory 8192) (func (export "run")))
        (core instance $m (instantiate $M))
        (func $run (canon lift (core func $m "run")))
        (export "run" (func $run)))"#;
    let broken = std::fs::read(&*guests::worker()).unwrap();
    let missing = file("missing.wasm", b"");
    std::fs::remove_file(&*missing).unwrap();
    for (path, about) in [
        (missing, "No such file"),
        (
            file("text.wasm", b"(component)"),
            "it is not a WebAssembly binary",
        ),
        (file("empty.wasm", b""), "it is not a WebAssembly binary"),
        (
            file("module.wasm", b"\0asm\x01\0\0\0"),
            "it is a core module, not a component",
        ),
        (
            file("broken.wasm", &broken[..broken.len() - 7]),
            "broken.wasm",
        ),
        (component("(component)"), "exports no function"),
        (
            component(resource),
            "function `take`: parameter `x`: is a resource",
        ),
        (
            component(imported_resource),
            "cannot provide the import `t:p/res`: function `make`: the result: is a resource",
        ),
        (
            component(large),
            "it starts with 512 MiB of memory, more than --max-memory-mb allows",
        ),
    ] {
        let (code, stderr) = run(&nats.url(), &["i", "e", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.starts_with("error: cannot load the component"),
            "{stderr}"
        );
        assert!(stderr.contains(about), "no {about:?} in {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn servers() {
    let component = guests::worker();
    let component = component.to_str().unwrap();
    let nats = NatsServer::start_with(&["--user", "me", "--pass", "secret"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("nats://{}", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (url, about) in [
        (format!("nats://{closed}"), "Connection refused"),
        (silent, "no answer within 300ms"),
        (nats.url(), "authorization violation"),
        (
            nats.url().replace("//", "//me:wrong@"),
            "authorization violation",
        ),
        ("http://127.0.0.1".into(), "invalid NATS URL"),
    ] {
        let (code, stderr) = run(&url, &["--connect-timeout", "300ms", "i", "e", component]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(about), "no {about:?} in {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!stderr.contains("wrong"), "a password in {stderr}");
    }
}

#[test]
fn arguments() {
    let component = guests::worker();
    let component = component.to_str().unwrap();
    let url = "nats://127.0.0.1:1";
    for (arguments, code, about) in [
        (
            &["--timeout", "10", "i", "e", component][..],
            2,
            "10s, 500ms or 1m30s",
        ),
        (
            &["--max-concurrency", "0", "i", "e", component],
            2,
            "--max-concurrency",
        ),
        (
            &["--max-memory-mb", "5000", "i", "e", component],
            2,
            "--max-memory-mb",
        ),
        (&["i", "e"], 2, "<WORKLOAD>"),
        (
            &["--max-concurrency", "900000", "i", "e", component],
            1,
            "lower --max-concurrency",
        ),
    ] {
        let (exit, stderr) = run(url, arguments);
        assert_eq!(exit, Some(code), "{stderr}");
        assert!(stderr.contains(about), "no {about:?} in {stderr}");
    }
}
