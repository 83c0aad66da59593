//! What `k6-ext/values` tests itself by, so that both codecs are held to the same: the
//! shapes that this crate makes of WIT, and values with what they are on the wire.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use std::path::Path;

use encarno_wrpc_value::{Interfaces, Source};
use serde_json::{Value, json};

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k6-ext/values/testdata");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn interfaces() -> Interfaces {
    Interfaces::parse(&[Source::new("every.wit", file("every.wit"))]).unwrap()
}

#[test]
fn the_shapes_are_those_of_the_file() {
    let made = serde_json::to_value(interfaces()).unwrap();
    let kept: Value = serde_json::from_str(&file("every.json")).unwrap_or_default();
    assert!(made == kept, "every.json has to be:\n{made}");
}

#[test]
fn the_answers_are_those_of_the_file() {
    let interfaces = interfaces();
    let answers: Vec<Value> = serde_json::from_str(&file("answers.json")).unwrap();
    assert!(answers.len() > 10);
    for answer in answers {
        let name = answer["function"].as_str().unwrap();
        let function = interfaces
            .function(&format!("test:all/every@1.2.0.{name}"))
            .unwrap();
        let encoded = function.encode(answer["json"].as_array().unwrap()).unwrap();
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(json!(hex), answer["wire"], "{answer}");
    }
}
