//! Asks a server for its descriptors before the run.

use std::collections::{BTreeMap, BTreeSet};

use encarno_grpc::reflection::{PATHS, Question, Told};
use encarno_grpc::wire::{Value, fields};
use encarno_grpc::{Schema, Status, messages, write};
use encarno_http1::Request;
use encarno_http2::Prepared;
use encarno_nib::{Alone, Keep, Network, Nib, Opening};
use encarno_record::{Payload, code};

use super::answers::Answers;
use crate::http2::{Http2, Http2Protocol};

/// The most bytes of a server's answers.
const BYTES_MAX: u32 = 64 << 20;
/// The most files; real services have fewer.
const FILES_MAX: usize = 10_000;
/// The most questions in one call.
const QUESTIONS_MAX: usize = 256;

/// The methods of the server.
pub(super) fn schema(
    http2: &Http2Protocol,
    opening: &Opening,
    network: &Network,
) -> Result<Schema, String> {
    let way_out = "give --proto FILE or --descriptors FILE";
    let Some(address) = network.settings().address.as_deref() else {
        return Err(format!(
            "without a URL no server can be asked for its services: {way_out}"
        ));
    };
    let host = match address.split_once("://") {
        Some((scheme, host)) if !scheme.ends_with("unix") => host.trim_end_matches('/'),
        _ => "localhost",
    };
    let system =
        |errno: rustix::io::Errno| format!("can't ask the server for its services: {errno}");
    let mut alone = Alone::new().map_err(system)?;
    let answers = Answers::new(None, BYTES_MAX, &alone.seat());
    let mut nib = http2.nib_of(answers, network.dialer(&alone.seat()), &alone.seat());
    let place = nib.connection();
    let mut server = Server {
        alone: &mut alone,
        nib: &mut nib,
        place,
        network,
        opening,
        host,
        path: PATHS[0],
    };
    let files = server.files().map_err(|reason| {
        format!("the server at {host} doesn't tell its services (reflection): {reason}: {way_out}")
    })?;
    Schema::of_files(&in_order(files)).map_err(|reason| {
        format!(
            "what the server at {host} tells of its services can't be used: {reason}: {way_out}"
        )
    })
}

/// Files by their names.
type Files = BTreeMap<String, Vec<u8>>;

struct Server<'a, N: Nib> {
    alone: &'a mut Alone,
    nib: &'a mut N,
    place: N::Connection,
    network: &'a Network,
    opening: &'a Opening,
    host: &'a str,
    path: &'static str,
}

impl Server<'_, Http2<Answers>> {
    /// All files of all services.
    fn files(&mut self) -> Result<Files, String> {
        let mut services = None;
        for path in PATHS {
            self.path = path;
            services = self.ask(&[Question::Services])?;
            if services.is_some() {
                break;
            }
        }
        let Some(told) = services else {
            return Err(Status::UNIMPLEMENTED.to_string());
        };
        let names = told.into_iter().find_map(|told| match told {
            Told::Services(names) => Some(names),
            _ => None,
        });
        let names = names.ok_or("it doesn't list them")?;
        let is_reflection = |name: &String| name.starts_with("grpc.reflection.");
        let mut questions: Vec<_> = names
            .into_iter()
            .filter(|name| !is_reflection(name))
            .map(Question::FileOf)
            .collect();
        let (mut files, mut asked) = (Files::new(), BTreeSet::new());
        let mut error = None;
        while !questions.is_empty() {
            let now = questions.split_off(questions.len().saturating_sub(QUESTIONS_MAX));
            for told in self.ask(&now)?.unwrap_or_default() {
                match told {
                    Told::Files(told) => add(told, &mut files)?,
                    Told::Error(text) => error = Some(text),
                    Told::Services(_) => {}
                }
            }
            if questions.is_empty() {
                let imports = files.values().flat_map(|file| texts(file, 3));
                let missing = imports.filter(|name| !files.contains_key(name));
                let missing: BTreeSet<_> = missing.collect();
                let missing = missing
                    .into_iter()
                    .filter(|name| asked.insert(name.clone()));
                questions.extend(missing.map(Question::File));
            }
        }
        match error {
            Some(text) if files.is_empty() => Err(text),
            _ => Ok(files),
        }
    }

    /// The server's answers to the questions; `None` if it doesn't have the method.
    fn ask(&mut self, questions: &[Question]) -> Result<Option<Vec<Told>>, String> {
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/grpc\r\nte: trailers\r\n",
            self.path, self.host
        );
        for (name, value) in &self.opening.headers {
            head.push_str(&format!("{name}: {}\r\n", value.expose()));
        }
        head.push_str("\r\n");
        let request = Request::parse(head.as_bytes()).ok_or("the request can't be written")?;
        let mut body = Vec::new();
        for question in questions {
            write(&question.to_bytes(), false, &mut body);
        }
        let prepared = Prepared::head(&request, false)?;
        let payload = [&[0; 4][..], &prepared, &body].concat();
        let keep = Keep {
            head: true,
            body_bytes_max: BYTES_MAX as usize,
            wire_bytes_max: 0,
        };
        let hit = self.alone.hit(
            self.nib,
            &mut self.place,
            Payload::Memory(payload.into()),
            keep,
            self.network.settings().timeout,
        );
        let hit = hit.map_err(|errno| errno.to_string())?;
        if hit.net_code == 0 && hit.protocol_code == Status::UNIMPLEMENTED.http() {
            return Ok(None);
        }
        if hit.net_code == code::TIMEOUT {
            let text =
                "it says nothing (grpcs:// is for a port that speaks TLS, grpc:// for any other)";
            return Err(text.to_owned());
        }
        if hit.net_code != 0 || hit.protocol_code != Status::OK.http() {
            return Err(self.alone.text(hit.error).to_string());
        }
        let response = self.nib.response(&self.place);
        let bad = "what it says isn't a message of reflection";
        let mut all = Vec::new();
        for message in messages(response.body()) {
            all.extend(Told::of_bytes(message.bytes).map_err(|_| bad)?);
        }
        Ok(Some(all))
    }
}

fn add(told: Vec<Vec<u8>>, files: &mut Files) -> Result<(), String> {
    for file in told {
        let name = texts(&file, 1).pop().unwrap_or_default();
        files.insert(name, file);
        if files.len() > FILES_MAX {
            return Err(format!("it has more than {FILES_MAX} files"));
        }
    }
    Ok(())
}

/// The texts in the fields with a number.
fn texts(file: &[u8], wanted: u32) -> Vec<String> {
    let values = fields(file).map_while(Result::ok);
    let texts = values.filter_map(|(number, value)| match value {
        Value::Bytes(bytes) if number == wanted => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => None,
    });
    texts.collect()
}

/// The files, each after those that it imports.
fn in_order(mut files: Files) -> Vec<Vec<u8>> {
    let mut ordered = Vec::new();
    while !files.is_empty() {
        let ready: Vec<_> = files
            .iter()
            .filter(|(_, file)| !texts(file, 3).iter().any(|name| files.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        // A circle of imports is reported when the schema is made.
        let ready = match ready.is_empty() {
            true => files.keys().cloned().collect(),
            false => ready,
        };
        ordered.extend(ready.iter().filter_map(|name| files.remove(name)));
    }
    ordered
}
