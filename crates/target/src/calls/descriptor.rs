//! The descriptor of the service: `echo.proto` as a FileDescriptorProto.

use encarno_grpc::wire::{write_bytes, write_number};

/// The name of the file.
pub(super) const NAME: &str = "echo.proto";

const STRING: u64 = 9;
const INT64: u64 = 3;
const UINT32: u64 = 13;
const OPTIONAL: u64 = 1;

/// The descriptor of the file, with its service and its message.
pub(super) fn file() -> Vec<u8> {
    let mut file = Vec::new();
    write_bytes(1, NAME.as_bytes(), &mut file);
    write_bytes(2, b"encarno", &mut file);
    write_bytes(4, &words(), &mut file);
    write_bytes(6, &service(), &mut file);
    write_bytes(12, b"proto3", &mut file);
    file
}

fn words() -> Vec<u8> {
    let mut message = Vec::new();
    write_bytes(1, b"Words", &mut message);
    for (number, name, json, kind) in [
        (1, "text", "text", STRING),
        (2, "number", "number", INT64),
        (3, "times", "times", UINT32),
        (4, "pause_ms", "pauseMs", UINT32),
        (5, "status", "status", UINT32),
        (6, "status_text", "statusText", STRING),
    ] {
        let mut field = Vec::new();
        write_bytes(1, name.as_bytes(), &mut field);
        write_number(3, number, &mut field);
        write_number(4, OPTIONAL, &mut field);
        write_number(5, kind, &mut field);
        write_bytes(10, json.as_bytes(), &mut field);
        write_bytes(2, &field, &mut message);
    }
    message
}

fn service() -> Vec<u8> {
    let mut service = Vec::new();
    write_bytes(1, b"Echo", &mut service);
    for (name, takes_stream, gives_stream) in [
        ("Say", false, false),
        ("Repeat", false, true),
        ("Collect", true, false),
        ("Chat", true, true),
    ] {
        let mut method = Vec::new();
        write_bytes(1, name.as_bytes(), &mut method);
        write_bytes(2, b".encarno.Words", &mut method);
        write_bytes(3, b".encarno.Words", &mut method);
        write_number(5, u64::from(takes_stream), &mut method);
        write_number(6, u64::from(gives_stream), &mut method);
        write_bytes(2, &method, &mut service);
    }
    service
}
