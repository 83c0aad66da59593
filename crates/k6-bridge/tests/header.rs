//! The committed header against the source, and the layout that it promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::mem::{offset_of, size_of};
use std::path::Path;

use encarno_k6_bridge::abi::*;

/// With `ENCARNO_WRITE_HEADER=1` it writes the header instead.
#[test]
fn header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut generated = Vec::new();
    cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap())
        .with_src(root.join("src/abi/types.rs"))
        .with_src(root.join("src/abi/mod.rs"))
        .generate()
        .expect("the source")
        .write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    let path = root.join("include/encarno.h");
    if std::env::var_os("ENCARNO_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        generated == committed,
        "{} is not what the source says; `make header` writes it anew",
        path.display()
    );
}

/// `k6-ext/bridge.go` has the same numbers for what C makes of the header.
#[test]
fn layout() {
    assert_eq!(size_of::<EncarnoSample>(), 24);
    assert_eq!(offset_of!(EncarnoSample, value), 16);
    assert_eq!(size_of::<EncarnoRequest>(), 56);
    assert_eq!(offset_of!(EncarnoRequest, trace), 32);
    assert_eq!(size_of::<EncarnoView>(), 16);
    assert_eq!(size_of::<EncarnoOwnedBytes>(), 16);
    assert_eq!(size_of::<EncarnoBridge>(), 16);
    assert_eq!(offset_of!(EncarnoBridge, event_fd), 8);
    assert_eq!(size_of::<EncarnoBlast>(), 88);
    assert_eq!(offset_of!(EncarnoBlast, trace), 64);
    assert_eq!(size_of::<EncarnoCompletion>(), 104);
    assert_eq!(offset_of!(EncarnoCompletion, results), 88);
    assert_eq!(size_of::<EncarnoCall>(), 24);
    assert_eq!(offset_of!(EncarnoCompletion, error), 56);
    assert_eq!(offset_of!(EncarnoCompletion, error_code), 72);
    assert_eq!(size_of::<EncarnoTransportCounts>(), 336);
    assert_eq!(offset_of!(EncarnoTransportCounts, errors), 80);
    assert_eq!(offset_of!(EncarnoCompletion, response), 80);
    assert_eq!(size_of::<EncarnoHttpRequest>(), 32);
    assert_eq!(size_of::<EncarnoHttpResponse>(), 72);
    assert_eq!(offset_of!(EncarnoHttpResponse, status), 64);
}
