//! One function, and the values of its calls.

use std::sync::Arc;

use encarno_wrpc::value::{DecodeError, Reader};
use serde::Serialize;
use serde_json::Value;

use crate::decode::Text;
use crate::encode::{described, encode};
use crate::error::ValueError;
use crate::shape::{Field, Shape, TypeIndex, Types};

/// A function as WIT declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    instance: String,
    name: String,
    params: Vec<Field>,
    result: Option<TypeIndex>,
    #[serde(skip)]
    types: Arc<Types>,
}

impl Function {
    pub(crate) fn new(
        instance: String,
        name: String,
        params: Vec<Field>,
        result: Option<TypeIndex>,
        types: &Arc<Types>,
    ) -> Self {
        Self {
            instance,
            name,
            params,
            result,
            types: Arc::clone(types),
        }
    }

    /// The interface that it is one of, as wRPC calls it; empty for a function of a world.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Its name within the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|param| &*param.name)
    }

    /// Whether a call of it has results.
    pub fn has_result(&self) -> bool {
        self.result.is_some()
    }

    /// Encodes arguments.
    pub fn encode(&self, arguments: &[Value]) -> Result<Vec<u8>, ValueError> {
        if arguments.len() != self.params.len() {
            return Err(ValueError::new(format!(
                "{} takes {}, and {} given",
                self.name,
                self.signature(),
                counted(arguments.len())
            )));
        }
        let mut out = Vec::with_capacity(64);
        for (index, (value, param)) in arguments.iter().zip(&self.params).enumerate() {
            encode(&self.types, param.of, value, &mut out)
                .map_err(|error| error.within(format!("args[{index}]")))?;
        }
        Ok(out)
    }

    /// Encodes arguments that one text of JSON has: of a function with one parameter, that
    /// argument; of any other, an array of them, or an object with their names. No text at
    /// all is no arguments.
    pub fn encode_json(&self, text: &[u8]) -> Result<Vec<u8>, ValueError> {
        if text.trim_ascii().is_empty() {
            return self.encode(&[]);
        }
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| ValueError::new(format!("it isn't JSON: {error}")))?;
        match (value, self.params.len()) {
            (value, 1) => self.encode(&[value]),
            (Value::Array(arguments), _) => self.encode(&arguments),
            (Value::Object(mut named), count) if count > 1 => {
                let taken = self.params.iter().map(|param| {
                    let value = named.remove(&param.name);
                    let value = value.or_else(|| named.remove(&param.name.replace('-', "_")));
                    value.ok_or_else(|| {
                        ValueError::new(format!("the argument `{}` is missing", param.name))
                    })
                });
                let taken = taken.collect::<Result<Vec<_>, _>>()?;
                match named.keys().next() {
                    Some(unknown) => Err(ValueError::new(format!(
                        "{} takes {}, and {unknown:?} is none of them",
                        self.name,
                        self.signature()
                    ))),
                    None => self.encode(&taken),
                }
            }
            (value, _) => Err(ValueError::new(format!(
                "{} takes {}: write an array of them, not {}",
                self.name,
                self.signature(),
                described(&value)
            ))),
        }
    }

    /// Whether these bytes are its results and nothing else.
    pub fn check_results(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.decode_results(bytes, &mut Vec::new(), 0)
    }

    /// Whether its results, which are some, say `err`.
    pub fn is_err(&self, results: &[u8]) -> bool {
        let shape = self.result.map(|result| self.types.shape(result));
        matches!(shape, Some(Shape::Result { .. })) && results.first() == Some(&1)
    }

    /// Appends results as JSON, at most so many bytes of it. All of them are checked.
    pub fn decode_results(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut text = Text::new(&self.types, out, bytes_max);
        if let Some(result) = self.result {
            text.value(result, &mut reader)?;
        }
        reader.finish()
    }

    /// Appends arguments as an array of JSON, at most so many bytes of it.
    pub fn decode_params(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut text = Text::new(&self.types, out, bytes_max);
        let params = self.params.iter().map(|param| param.of);
        text.sequence(params, &mut reader)?;
        reader.finish()
    }

    /// What it takes, for people: `2 arguments (x: u8, y: u8)`.
    fn signature(&self) -> String {
        if self.params.is_empty() {
            return "no arguments".to_owned();
        }
        let name = |param: &Field| format!("{}: {}", param.name, self.types.name(param.of));
        let params: Vec<_> = self.params.iter().map(name).collect();
        let noun = if params.len() == 1 {
            "argument"
        } else {
            "arguments"
        };
        format!("{} {noun} ({})", params.len(), params.join(", "))
    }
}

fn counted(count: usize) -> String {
    match count {
        0 => "none was".to_owned(),
        1 => "1 was".to_owned(),
        count => format!("{count} were"),
    }
}
