//! The messages of server reflection, by which a server sends its descriptors:
//! `grpc.reflection.v1.ServerReflection`. The messages of v1alpha are the same.

use crate::Status;
use crate::wire::{BadWire, Value, fields, write_bytes, write_number};

/// The paths of the methods, the current version first.
pub const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A client's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The names of all services.
    Services,
    /// The file that declares a symbol, with the files that it imports.
    FileOf(String),
    /// The file with a name.
    File(String),
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The descriptors of files.
    Files(Vec<Vec<u8>>),
    /// The names of services.
    Services(Vec<String>),
    /// The server can't answer.
    Error(String),
}

impl Question {
    /// Encodes the question as a message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::File(name) => write_bytes(3, name.as_bytes(), &mut out),
            Self::FileOf(symbol) => write_bytes(4, symbol.as_bytes(), &mut out),
            Self::Services => write_bytes(7, b"", &mut out),
        }
        out
    }

    /// Decodes a message; `None` if it is another kind of question.
    pub fn of_bytes(bytes: &[u8]) -> Result<Option<Self>, BadWire> {
        let mut question = None;
        for field in fields(bytes) {
            let (number, Value::Bytes(bytes)) = field? else {
                continue;
            };
            let text = || String::from_utf8_lossy(bytes).into_owned();
            match number {
                3 => question = Some(Self::File(text())),
                4 => question = Some(Self::FileOf(text())),
                7 => question = Some(Self::Services),
                _ => {}
            }
        }
        Ok(question)
    }
}

impl Told {
    /// Encodes the answer to the message `question`.
    pub fn to_bytes(&self, question: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_bytes(2, question, &mut out);
        let mut inner = Vec::new();
        let field = match self {
            Self::Files(files) => {
                files
                    .iter()
                    .for_each(|file| write_bytes(1, file, &mut inner));
                4
            }
            Self::Services(names) => {
                for name in names {
                    let mut service = Vec::new();
                    write_bytes(1, name.as_bytes(), &mut service);
                    write_bytes(1, &service, &mut inner);
                }
                6
            }
            Self::Error(text) => {
                write_number(1, u64::from(Status::NOT_FOUND.number()), &mut inner);
                write_bytes(2, text.as_bytes(), &mut inner);
                7
            }
        };
        write_bytes(field, &inner, &mut out);
        out
    }

    /// Decodes a message; `None` if it has no answer of these kinds.
    pub fn of_bytes(bytes: &[u8]) -> Result<Option<Self>, BadWire> {
        let mut told = None;
        for field in fields(bytes) {
            let (number, Value::Bytes(inner)) = field? else {
                continue;
            };
            match number {
                4 => told = Some(Self::Files(all_of(inner, 1)?)),
                6 => {
                    let mut names = Vec::new();
                    for service in all_of(inner, 1)? {
                        for name in all_of(&service, 1)? {
                            names.push(String::from_utf8_lossy(&name).into_owned());
                        }
                    }
                    told = Some(Self::Services(names));
                }
                7 => {
                    let text = all_of(inner, 2)?.pop().unwrap_or_default();
                    told = Some(Self::Error(String::from_utf8_lossy(&text).into_owned()));
                }
                _ => {}
            }
        }
        Ok(told)
    }
}

/// The values of the fields with a number.
fn all_of(bytes: &[u8], wanted: u32) -> Result<Vec<Vec<u8>>, BadWire> {
    let mut found = Vec::new();
    for field in fields(bytes) {
        if let (number, Value::Bytes(bytes)) = field?
            && number == wanted
        {
            found.push(bytes.to_vec());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Question, Told};

    #[test]
    fn questions_and_answers_there_and_back() {
        for question in [
            Question::Services,
            Question::File("a.proto".to_owned()),
            Question::FileOf("a.B".to_owned()),
        ] {
            let bytes = question.to_bytes();
            assert_eq!(Question::of_bytes(&bytes), Ok(Some(question)));
        }
        for told in [
            Told::Files(vec![b"one".to_vec(), b"two".to_vec()]),
            Told::Services(vec!["a.B".to_owned(), "c".to_owned()]),
            Told::Error("no such file".to_owned()),
        ] {
            assert_eq!(Told::of_bytes(&told.to_bytes(b"?")), Ok(Some(told)));
        }
        assert!(Told::of_bytes(&[0x22, 0xff]).is_err());
    }
}
