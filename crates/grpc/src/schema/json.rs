//! JSON to and from messages.

use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::{Deserializer, Value};

use super::{Method, there_are};
use crate::{gunzip, gzip, messages, write};

impl Method {
    /// Appends the messages of a body, which has one JSON object after the other. Without an
    /// object, a method that takes one message gets one without fields.
    pub fn encode(
        &self,
        json: &[u8],
        is_compressed: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut reader = Deserializer::from_slice(json);
        let mut count = 0;
        while reader.end().is_err() {
            let message = DynamicMessage::deserialize(self.input.clone(), &mut reader)
                .map_err(|error| self.explained(json, &error))?;
            count += 1;
            self.append(&message, is_compressed, out);
        }
        if count == 0 && !self.takes_stream {
            self.append(&DynamicMessage::new(self.input.clone()), is_compressed, out);
        }
        if count > 1 && !self.takes_stream {
            let path = &self.path[1..];
            return Err(format!(
                "{path} takes one message, and the body has {count}"
            ));
        }
        Ok(())
    }

    fn append(&self, message: &DynamicMessage, is_compressed: bool, out: &mut Vec<u8>) {
        let bytes = message.encode_to_vec();
        match is_compressed {
            true => write(&gzip(&bytes), true, out),
            false => write(&bytes, false, out),
        }
    }

    /// Appends the JSON of the complete messages of an answer: an array if the method returns
    /// a stream, otherwise one object. `bytes_max` bounds a message after decompression.
    pub fn decode(&self, bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.json(
            bytes,
            (&self.output, self.gives_stream),
            &options,
            bytes_max,
            out,
        )
    }

    /// The same for the messages of a request.
    pub fn decode_sent(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let options = SerializeOptions::new();
        self.json(
            bytes,
            (&self.input, self.takes_stream),
            &options,
            64 << 20,
            out,
        )
    }

    fn json(
        &self,
        bytes: &[u8],
        (kind, is_stream): (&MessageDescriptor, bool),
        options: &SerializeOptions,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut separator = if is_stream { "[" } else { "" };
        let mut left = bytes_max;
        for message in messages(bytes) {
            out.extend_from_slice(separator.as_bytes());
            separator = ",";
            let unpacked;
            let bytes = match message.is_compressed {
                false => message.bytes,
                true => {
                    unpacked = gunzip(message.bytes, left)?;
                    left -= unpacked.len();
                    &unpacked
                }
            };
            let message = DynamicMessage::decode(kind.clone(), bytes)
                .map_err(|error| format!("it isn't {}: {error}", kind.full_name()))?;
            let mut writer = serde_json::Serializer::new(&mut *out);
            message
                .serialize_with_options(&mut writer, options)
                .map_err(|error| format!("it can't be written as JSON: {error}"))?;
        }
        if is_stream {
            out.extend_from_slice(if separator == "[" { b"[]" } else { b"]" });
        }
        Ok(())
    }

    /// The text of an error in the JSON, with the names that exist.
    fn explained(&self, json: &[u8], error: &serde_json::Error) -> String {
        let kind = self.input.full_name();
        let values = Deserializer::from_slice(json).into_iter::<Value>();
        let mut values = values.map_while(Result::ok);
        match values.find_map(|value| unknown(&value, &self.input)) {
            Some((name, message)) => {
                let names: Vec<_> = message.fields().map(|it| it.name().to_owned()).collect();
                let there = there_are(&name, &names).replace("there are", "its fields are");
                format!("{} has no field {name}; {there}", message.full_name())
            }
            None => format!("the body isn't {kind} in JSON: {error}"),
        }
    }
}

/// The first unknown field, with the type that doesn't have it.
fn unknown(value: &Value, kind: &MessageDescriptor) -> Option<(String, MessageDescriptor)> {
    let Value::Object(fields) = value else {
        return None;
    };
    if kind.full_name().starts_with("google.protobuf.") {
        return None;
    }
    for (name, value) in fields {
        let field = kind.get_field_by_name(name);
        let Some(field) = field.or_else(|| kind.get_field_by_json_name(name)) else {
            let is_extension = name.starts_with('[');
            if is_extension {
                continue;
            }
            return Some((name.clone(), kind.clone()));
        };
        let Kind::Message(inner) = field.kind() else {
            continue;
        };
        let found = match value {
            Value::Array(values) => values.iter().find_map(|value| unknown(value, &inner)),
            Value::Object(values) if field.is_map() => match inner.map_entry_value_field().kind() {
                Kind::Message(inner) => values.values().find_map(|value| unknown(value, &inner)),
                _ => None,
            },
            value => unknown(value, &inner),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
