#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails here says enough

use std::path::PathBuf;

use super::Schema;

const PROTO: &str = r#"
    syntax = "proto3";
    package shop;
    import "google/protobuf/timestamp.proto";
    service Shop {
      rpc Get (Order) returns (Order);
      rpc Watch (Order) returns (stream Order);
      rpc Put (stream Order) returns (Order);
    }
    enum Size { SMALL = 0; LARGE = 1; }
    message Item { string name = 1; Size size = 2; }
    message Order {
      int64 order_id = 1; repeated Item items = 2; map<string, Item> named = 3;
      bytes raw = 4; google.protobuf.Timestamp at = 5;
      oneof pay { string card = 6; bool cash = 7; }
    }"#;

fn schema() -> Schema {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.proto");
    std::fs::write(&file, PROTO).unwrap();
    Schema::of_protos(&[file], &[]).unwrap()
}

#[test]
fn json_goes_there_and_comes_back() {
    let schema = schema();
    let get = schema
        .method(schema.number("/shop.Shop/Get").unwrap())
        .unwrap();
    let json = br#"{"orderId": "9007199254740993", "items": [{"name": "a", "size": "LARGE"}],
        "named": {"x": {"name": "y"}}, "raw": "AAE=", "at": "2026-01-02T03:04:05Z", "card": "c"}"#;
    for compressed in [false, true] {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        get.encode(json, compressed, &mut bytes).unwrap();
        get.decode(&bytes, 1 << 20, &mut back).unwrap();
        let back = String::from_utf8(back).unwrap();
        for part in [
            r#""orderId":"9007199254740993""#,
            r#""size":"LARGE""#,
            r#""named":{"x":{"name":"y","size":"SMALL"}}"#,
            r#""raw":"AAE=""#,
            r#""at":"2026-01-02T03:04:05Z""#,
            r#""card":"c""#,
        ] {
            assert!(back.contains(part), "{part} {back}");
        }
    }
    let mut bytes = Vec::new();
    get.encode(b" ", false, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 5]);
    let error = get.encode(b"{} {}", false, &mut bytes).unwrap_err();
    assert!(
        error.contains("takes one message, and the body has 2"),
        "{error}"
    );
    let put = schema
        .method(schema.number("shop.Shop/Put").unwrap_or(2))
        .unwrap();
    let (mut bytes, mut back) = (Vec::new(), Vec::new());
    put.encode(b"{\"order_id\": 1}{\"order_id\":2}\n", false, &mut bytes)
        .unwrap();
    put.decode_sent(&bytes, &mut back).unwrap();
    let back = String::from_utf8(back).unwrap();
    assert!(
        back.starts_with(r#"[{"orderId":"1""#) && back.ends_with("}]"),
        "{back}"
    );
    let mut none = Vec::new();
    put.encode(b"", false, &mut none).unwrap();
    assert!(none.is_empty());
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let schema = schema();
    for (path, part) in [
        ("/", "the URL names no method"),
        (
            "/shop.Shop/get",
            "shop.Shop has no method get; did you mean Get?",
        ),
        ("/shop.Shop", "is a service: name its method, too"),
        (
            "/shop.Shops/Get",
            "there is no service shop.Shops; did you mean shop.Shop/Get?",
        ),
    ] {
        let error = schema.number(path).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let get = schema.method(0).unwrap();
    for (json, part) in [
        (
            r#"{"oder_id": 1}"#,
            "shop.Order has no field oder_id; did you mean order_id?",
        ),
        (
            r#"{"items": [{"nam": 1}]}"#,
            "shop.Item has no field nam; did you mean name?",
        ),
        (
            r#"{"named": {"x": {"z": 1}}}"#,
            "shop.Item has no field z; its fields are name, size",
        ),
        (r#"{"order_id": "x"}"#, "isn't shop.Order in JSON"),
        (r#"{"order_id": 1"#, "isn't shop.Order in JSON: EOF"),
        ("hello", "isn't shop.Order in JSON"),
    ] {
        let error = get
            .encode(json.as_bytes(), false, &mut Vec::new())
            .unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_bomb_or_nonsense_is_an_error() {
    let schema = schema();
    let get = schema.method(0).unwrap();
    let mut bytes = Vec::new();
    crate::write(&crate::gzip(&vec![0; 1 << 20]), true, &mut bytes);
    let error = get.decode(&bytes, 1000, &mut Vec::new()).unwrap_err();
    assert!(error.contains("longer than 1000"), "{error}");
    let mut bytes = Vec::new();
    crate::write(&[0xff; 9], false, &mut bytes);
    let error = get.decode(&bytes, 1000, &mut Vec::new()).unwrap_err();
    assert!(error.contains("isn't shop.Order"), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let broken = write("broken.proto", "syntax = \"proto3\";\nmessage {");
    let importing = write(
        "importing.proto",
        "syntax = \"proto3\";\nimport \"not/there.proto\";",
    );
    let missing = PathBuf::from("/not/there.proto");
    for (file, part) in [
        (broken, "broken.proto"),
        (importing, "not/there.proto"),
        (missing, "/not/there.proto: there is no such file"),
    ] {
        let error = Schema::of_protos(&[file], &[]).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let path = PathBuf::from("set.bin");
    let error = Schema::of_sets([(&*path, b"nonsense".to_vec())]).unwrap_err();
    assert!(
        error.contains("set.bin: it isn't a descriptor set"),
        "{error}"
    );
}
