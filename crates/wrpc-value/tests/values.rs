//! Values between JSON and the wire, and errors that name them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails here says enough

use std::fs;
use std::path::Path;

use encarno_wrpc::blaster::Packet;
use encarno_wrpc_value::{Function, Interfaces, Source};
use serde_json::{Value, json};

const ALL: &str = r#"package test:all@1.2.0;
interface every {
  record point { x: u8, far-y: option<s32> }
  variant kind { none, number(s16), both(tuple<char, f64>) }
  enum colour { red, light-green, blue }
  flags bits { a, b, c, d, e, f, g, h, i }
  type points = list<point>;
  numbers: func(a: u8, b: u16, c: u32, d: u64, e: s8, f: s16, g: s32, h: s64);
  floats: func(a: f32, b: f64);
  texts: func(on: bool, one: char, text: string, bytes: list<u8>);
  compound: func(points: points, kind: kind, colour: colour, bits: bits) -> result<u64, string>;
  nested: func(x: option<option<u8>>, y: result, z: result<option<u8>, tuple<u8, u8>>) -> bool;
  one: func(x: point) -> point;
  nothing: func();
  resource r { m: func(); }
  send: func(r: own<r>);
  wait: func() -> future<u8>;
}
world w { export run: func() -> u8; export inline: interface { go: func(x: u8); } }
"#;

fn every(name: &str) -> Function {
    let interfaces = Interfaces::parse(&[Source::new("all.wit", ALL)]).unwrap();
    let name = format!("test:all/every@1.2.0.{name}");
    interfaces.function(&name).unwrap().clone()
}

/// What the arguments are on the wire; they come back as the same JSON.
fn wire(name: &str, arguments: Value) -> Vec<u8> {
    let function = every(name);
    let encoded = function.encode(arguments.as_array().unwrap()).unwrap();
    let mut text = Vec::new();
    function
        .decode_params(&encoded, &mut text, usize::MAX)
        .unwrap();
    let decoded: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(decoded, arguments);
    encoded
}

fn error(name: &str, arguments: Value) -> String {
    let refused = every(name).encode(arguments.as_array().unwrap());
    refused.expect_err("it is encoded").to_string()
}

#[test]
fn what_stands_on_the_wire() {
    let numbers = json!([255, 300, 70_000, u64::MAX, -1, -129, i32::MIN, i64::MIN]);
    let mut expected = vec![0xff, 0xac, 0x02, 0xf0, 0xa2, 0x04];
    expected.extend([0xff; 9]);
    expected.extend([0x01, 0xff, 0xff, 0x7e, 0x80, 0x80, 0x80, 0x80, 0x78]);
    expected.extend([0x80; 9]);
    expected.push(0x7f);
    assert_eq!(wire("numbers", numbers), expected);
    let floats = wire("floats", json!([0.5, -2.25]));
    assert_eq!(floats, [0, 0, 0, 0x3f, 0, 0, 0, 0, 0, 0, 0x02, 0xc0]);
    let texts = wire("texts", json!([true, "€", "añ", [1, 2, 255]]));
    assert_eq!(texts, b"\x01\xe2\x82\xac\x03a\xc3\xb1\x03\x01\x02\xff");
    let compound = json!([
        [{"x": 1, "far-y": -1}, {"x": 2, "far-y": null}],
        {"tag": "both", "val": ["z", 0.0]}, "light-green", ["a", "i"],
    ]);
    let compound = wire("compound", compound);
    assert_eq!(
        compound,
        b"\x02\x01\x01\x7f\x02\x00\x02z\0\0\0\0\0\0\0\0\x01\x01\x01"
    );
    let nested = json!([
        {"tag": "some", "val": null}, {"tag": "ok"}, {"tag": "err", "val": [1, 2]}
    ]);
    assert_eq!(wire("nested", nested), [1, 0, 0, 1, 1, 2]);
    assert!(wire("nothing", json!([])).is_empty());
}

#[test]
fn other_ways_to_write_the_same() {
    let encode = |name: &str, arguments: Value| every(name).encode(arguments.as_array().unwrap());
    let camel = encode("one", json!([{"x": 1, "farY": 2}])).unwrap();
    assert_eq!(
        camel,
        encode("one", json!([{"far_y": 2.0, "x": 1}])).unwrap()
    );
    assert_eq!(
        encode("one", json!([{"x": 1}])).unwrap(),
        [1, 0],
        "an option may be left out"
    );
    let bytes = encode("texts", json!([false, "a", "", "as text"])).unwrap();
    assert!(bytes.ends_with(b"\x07as text"));
    let flags = json!([[], "none", "blue", {"b": true, "i": true, "a": false}]);
    assert_eq!(encode("compound", flags).unwrap(), [0, 0, 2, 2, 1]);
    let nan = encode("floats", json!(["NaN", "-Infinity"])).unwrap();
    let mut text = Vec::new();
    every("floats").decode_params(&nan, &mut text, 100).unwrap();
    assert_eq!(text, br#"["NaN","-Infinity"]"#);
}

#[test]
fn errors_name_the_value() {
    for (name, arguments, text) in [
        (
            "texts",
            json!([true, "a", "", [0, 1, 2, 300]]),
            "args[3][3]: 300 doesn't fit u8",
        ),
        ("one", json!([{"x": -1}]), "args[0].x: -1 doesn't fit u8"),
        ("one", json!([{"x": 1.5}]), "args[0].x: 1.5 doesn't fit u8"),
        (
            "one",
            json!([{"x": "1"}]),
            r#"args[0].x: the string "1" isn't u8"#,
        ),
        (
            "one",
            json!([{"x": 1, "far-y": 2147483648u64}]),
            "args[0].far-y: 2147483648 doesn't fit s32",
        ),
        (
            "one",
            json!([{}]),
            "args[0].x: it is missing: u8 is expected",
        ),
        (
            "one",
            json!([{"x": 1, "z": 2}]),
            "args[0].z: there is no such field: there are x, far-y",
        ),
        (
            "one",
            json!([{"x": 1, "far_y": 2, "farY": 2}]),
            "args[0]: a field is given twice: there are x, far-y",
        ),
        ("one", json!([3]), "args[0]: 3 isn't an object (point)"),
        (
            "one",
            json!([]),
            "one takes 1 argument (x: point), and none was given",
        ),
        (
            "floats",
            json!([1e300, 0]),
            "args[0]: 1e+300 doesn't fit f32",
        ),
        ("texts", json!([1, "a", "", []]), "args[0]: 1 isn't bool"),
        (
            "texts",
            json!([true, "ab", "", []]),
            r#"args[1]: the string "ab" isn't a string of one character (char)"#,
        ),
        (
            "texts",
            json!([true, "a", 5, []]),
            "args[2]: 5 isn't string",
        ),
        (
            "texts",
            json!([true, "a", "", 5]),
            "args[3]: 5 isn't an array of bytes, or a string (list<u8>)",
        ),
        (
            "compound",
            json!([[{"x": 1}, {"x": 256}], "none", "red", []]),
            "args[0][1].x: 256 doesn't fit u8",
        ),
        (
            "compound",
            json!([[], "nun", "red", []]),
            r#"args[1]: there is no case "nun": there are none, number, both"#,
        ),
        (
            "compound",
            json!([[], {"tag": "number", "val": 40000}, "red", []]),
            "args[1].val: 40000 doesn't fit s16",
        ),
        (
            "compound",
            json!([[], {"tag": "number"}, "red", []]),
            "args[1].val: it is missing: number holds s16",
        ),
        (
            "compound",
            json!([[], {"tag": "none", "val": 1}, "red", []]),
            "args[1].val: none holds nothing, not 1",
        ),
        (
            "compound",
            json!([[], {"tag": "both", "val": ["z"]}, "red", []]),
            "args[1].val: an array of 1 isn't an array of 2 (tuple)",
        ),
        (
            "compound",
            json!([[], "none", "green", []]),
            r#"args[2]: there is no case "green": there are red, light-green, blue"#,
        ),
        (
            "compound",
            json!([[], "none", "red", ["z"]]),
            r#"args[3][0]: "z" is no flag: there are a, b, c, d, e, f, g, h, i"#,
        ),
        (
            "nested",
            json!([1, "ok", "ok"]),
            r#"args[0]: 1 isn't an option within an option: write null or {"tag": "some", "val": …}"#,
        ),
        (
            "nested",
            json!([null, {"tag": "okay"}, "ok"]),
            r#"args[1]: there is no case "okay": there are ok, err"#,
        ),
        (
            "numbers",
            json!([0, 0, 0, 1.8446744073709552e19, 0, 0, 0, 0]),
            "args[3]: 1.8446744073709552e+19 doesn't fit u64",
        ),
    ] {
        assert_eq!(error(name, arguments.clone()), text, "{name} {arguments}");
    }
}

#[test]
fn one_text_has_all_arguments() {
    let one = every("one");
    assert_eq!(one.encode_json(br#" {"x": 7} "#).unwrap(), [7, 0]);
    let floats = every("floats");
    let array = floats.encode_json(b"[1, 2]").unwrap();
    assert_eq!(floats.encode_json(br#"{"b": 2, "a": 1}"#).unwrap(), array);
    assert!(every("nothing").encode_json(b" \n").unwrap().is_empty());
    for (text, part) in [
        (
            "1",
            "floats takes 2 arguments (a: f32, b: f64): write an array of them, not 1",
        ),
        (r#"{"a": 1}"#, "the argument `b` is missing"),
        (r#"{"a": 1, "b": 2, "c": 3}"#, r#""c" is none of them"#),
        (
            "[1",
            "it isn't JSON: EOF while parsing a list at line 1 column 2",
        ),
        ("", "none was given"),
    ] {
        let error = floats
            .encode_json(text.as_bytes())
            .expect_err(text)
            .to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn results() {
    let compound = every("compound");
    let decoded = |bytes: &[u8]| {
        let mut text = Vec::new();
        let read = compound.decode_results(bytes, &mut text, usize::MAX);
        read.map(|()| String::from_utf8(text).unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(decoded(&[0, 5]).as_deref(), Ok(r#"{"tag":"ok","val":5}"#));
    assert_eq!(
        decoded(b"\x01\x02no").as_deref(),
        Ok(r#"{"tag":"err","val":"no"}"#)
    );
    assert!(compound.is_err(b"\x01\x00") && !compound.is_err(&[0, 1]) && !compound.is_err(&[]));
    assert!(!every("nested").is_err(&[1]), "a bool is no result");
    for (bytes, part) in [
        (&[][..], "truncated"),
        (&[0], "truncated"),
        (&[2, 5], "invalid result"),
        (&[0, 5, 5], "left over"),
        (b"\x01\xff\xff\xff\xff\x0f", "4294967295 more expected"),
        (b"\x01\x01\xff", "UTF-8"),
    ] {
        let error = decoded(bytes).expect_err(part);
        assert!(error.contains(part), "{error}");
        assert!(compound.check_results(bytes).is_err());
    }
    assert!(every("nothing").check_results(&[]).is_ok());
    assert!(
        every("nothing").check_results(&[0]).is_err(),
        "it has no results"
    );
}

#[test]
fn text_ends_at_its_bound() {
    let texts = every("texts");
    let long = "x".repeat(1000);
    let arguments = json!([true, "€", long, vec![7; 1000]]);
    let encoded = texts.encode(arguments.as_array().unwrap()).unwrap();
    let whole = arguments.to_string();
    for bytes_max in [0, 1, 6, 9, 500, 1100] {
        let mut text = b"before ".to_vec();
        texts.decode_params(&encoded, &mut text, bytes_max).unwrap();
        assert_eq!(text, [b"before ", &whole.as_bytes()[..bytes_max]].concat());
    }
}

#[test]
fn names_of_functions() {
    let interfaces = Interfaces::parse(&[Source::new("all.wit", ALL)]).unwrap();
    for (name, instance, function) in [
        ("test:all/every@1.2.0.one", "test:all/every@1.2.0", "one"),
        ("test:all/every@1.2.0#one", "test:all/every@1.2.0", "one"),
        ("test:all/every.one", "test:all/every@1.2.0", "one"),
        ("run", "", "run"),
        ("inline.go", "inline", "go"),
    ] {
        let found = interfaces.function(name).expect(name);
        assert_eq!((found.instance(), found.name()), (instance, function));
    }
    for (name, part) in [
        ("every.one", "the WIT has test:all/every@1.2.0.one"),
        ("x", "inline.go, run, test:all/every@1.2.0.[method]r.m"),
        (
            "test:all/every@1.2.0.send",
            "can't be called: parameter `r`: a resource can't be sent",
        ),
        (
            "test:all/every@1.2.0.wait",
            "can't be called: its result: a future can't be sent",
        ),
        (
            "test:all/every@1.2.0.[method]r.m",
            "it is one of a resource",
        ),
    ] {
        let error = interfaces.function(name).expect_err(name);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_packet_of_a_blast() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let interfaces = Interfaces::read(&wit).unwrap();
    let blast = interfaces.function("xk6:wrpc/blaster@0.0.1.blast").unwrap();
    let packet = r#"{"id": "id-1", "payload": [171, 171], "mem-burn-mb": 300, "cpu-burn-ms": 1, "wait-ms": 0}"#;
    let expected = Packet {
        id: "id-1",
        payload: &[171; 2],
        mem_burn_mb: 300,
        cpu_burn_ms: 1,
        wait_ms: 0,
    };
    assert_eq!(
        blast.encode_json(packet.as_bytes()).unwrap(),
        expected.encode()
    );
    // Its dependencies have streams and resources, which only matters to who calls those.
    let handle = interfaces
        .names()
        .find(|name| name.ends_with("incoming-handler@0.1.0.handle"));
    assert!(
        interfaces
            .function(handle.unwrap())
            .expect_err("streams")
            .contains("can't be sent")
    );
    let alone = Interfaces::read(&wit.join("blaster.wit")).unwrap();
    assert!(
        alone.function("xk6:wrpc/blaster.blast").is_ok(),
        "a file will do"
    );
}

#[test]
fn files_that_are_no_wit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let error = |name: &str| Interfaces::read(&at(name)).expect_err(name);
    assert!(error("none.wit").contains("No such file"));
    fs::create_dir(at("empty")).unwrap();
    assert!(error("empty").contains("no file *.wit"));
    fs::write(at("bytes.wit"), [0xff, 0]).unwrap();
    assert!(error("bytes.wit").contains("is no text"));
    fs::write(at("bad.wit"), "package a:b;\ninterface c { f: funk(); }").unwrap();
    assert!(
        error("bad.wit").contains("bad.wit:2:"),
        "{}",
        error("bad.wit")
    );
    fs::write(
        at("deep.wit"),
        format!("package a:b; type x = {};", "option<".repeat(100_000)),
    )
    .unwrap();
    assert!(error("deep.wit").contains("types within types"));
    let file = fs::File::create(at("long.wit")).unwrap();
    file.set_len(2 << 20).unwrap();
    assert!(error("long.wit").contains("longer than"));
    fs::write(
        at("missing.wit"),
        "package a:b; interface c { use d:e/f.{g}; }",
    )
    .unwrap();
    assert!(
        error("missing.wit").contains("d:e"),
        "{}",
        error("missing.wit")
    );
}

#[test]
fn a_type_that_is_used_again_and_again_stands_there_once() {
    let chain = |count: usize, of: &str| {
        let types = (1..=count).map(|n| {
            format!(
                "type t{n} = tuple<{}>;",
                of.replace('N', &(n - 1).to_string())
            )
        });
        let types: String = types.collect();
        let text =
            format!("package a:b; interface c {{ type t0 = u8; {types} f: func(x: t{count}); }}");
        Interfaces::parse(&[Source::new("c.wit", text)]).unwrap()
    };
    let doubled = chain(60, "tN, tN");
    let function = doubled.function("a:b/c.f").unwrap();
    assert!(
        function
            .decode_params(&[0; 1000], &mut Vec::new(), usize::MAX)
            .is_err()
    );
    assert!(serde_json::to_string(&doubled).unwrap().len() < 10_000);
    assert!(
        chain(2000, "tN")
            .function("a:b/c.f")
            .expect_err("deep")
            .contains("types within types")
    );
    let names = "type t0 = u8;".to_owned()
        + &(1..3000)
            .map(|n| format!("type t{n} = t{};", n - 1))
            .collect::<String>();
    let text = format!("package a:b; interface c {{ {names} f: func(x: t2999); }}");
    // Whatever becomes of it, the stack holds.
    let _either = Interfaces::parse(&[Source::new("c.wit", text)])
        .unwrap()
        .function("a:b/c.f")
        .map(drop);
}
