//! The packet that this crate encodes is the one that `wit/` declares.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use encarno_wrpc::blaster;
use wit_parser::{Resolve, Type, TypeDefKind};

#[test]
fn the_packet_is_the_one_in_wit() {
    let mut resolve = Resolve::default();
    let directory = encarno_test_peers::root().join("wit");
    let (package, _) = resolve.push_path(directory).expect("wit/");
    let name = &resolve.packages[package].name;
    let (_, &interface) = resolve.packages[package]
        .interfaces
        .iter()
        .find(|(interface, _)| interface.as_str() == "blaster")
        .expect("interface blaster");
    let instance = name.interface_id("blaster");
    assert_eq!(instance, blaster::INSTANCE);

    let interface = &resolve.interfaces[interface];
    let function = &interface.functions[blaster::FUNCTION];
    assert!(function.result.is_none());
    let Type::Id(packet) = function.params[0].ty else {
        panic!("blast takes a packet");
    };
    let TypeDefKind::Record(record) = &resolve.types[packet].kind else {
        panic!("a packet is a record");
    };
    let fields: Vec<(&str, String)> = record
        .fields
        .iter()
        .map(|field| (field.name.as_str(), type_name(&resolve, field.ty)))
        .collect();
    // The order in which Packet::encode writes.
    assert_eq!(
        fields,
        [
            ("id", "string".to_owned()),
            ("payload", "list<u8>".to_owned()),
            ("mem-burn-mb", "u64".to_owned()),
            ("cpu-burn-ms", "u64".to_owned()),
            ("wait-ms", "u64".to_owned()),
        ]
    );
}

fn type_name(resolve: &Resolve, ty: Type) -> String {
    match ty {
        Type::String => "string".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Id(id) => match resolve.types[id].kind {
            TypeDefKind::List(element) => format!("list<{}>", type_name(resolve, element)),
            _ => "other".to_owned(),
        },
        _ => "other".to_owned(),
    }
}
