//! What a guest is, and whether it keeps the rules: `encarno nib check`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use encarno_nib::Encoding;
use encarno_record::files::read_whole;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use wasmtime::component::types::ComponentItem;

use crate::component::{ComponentError, Loaded};
use crate::nib::conversation::{Broken, Conversation, Ended, Rules};
use crate::nib::framer::Need;
use crate::nib::instance::{Instance, Recipe, Traits};
use crate::nib::{ANSWER_BYTES_MAX, MEMORY_MB};
use crate::store::{Bounds, Fault};

/// A longer file of vectors isn't read.
const VECTORS_BYTES_MAX: u64 = 16 << 20;
/// So many mutations of each answer.
const MUTATIONS: usize = 200;
/// An answer is cut at so many places at most.
const CUTS_MAX: usize = 500;
/// So many faults are told in words.
const TOLD_MAX: usize = 10;

/// What is checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// The component.
    pub file: PathBuf,
    /// What `configure` gets.
    pub settings: String,
    /// Records with their answers, one JSON object a line. None = the component's name with
    /// `.vectors`, if there is such a file.
    pub vectors: Option<PathBuf>,
    /// What mutations begin with.
    pub seed: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// For people, line by line.
    pub lines: Vec<String>,
    /// Rules that were broken.
    pub broken: usize,
}

/// A record, what is sent for it, and what comes back. Texts have escapes such as `\x00`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    record: String,
    #[serde(default)]
    sent: Option<String>,
    answer: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    failed: Option<String>,
}

/// The same as bytes.
struct Case {
    number: usize,
    record: Vec<u8>,
    sent: Option<Vec<u8>>,
    answer: Vec<u8>,
    status: u16,
    failed: Option<String>,
}

/// One guest after the other: one that broke down isn't used again.
struct Bench<'a> {
    recipe: &'a Recipe,
    rules: Rules,
    guest: Option<Instance>,
    findings: Findings,
}

/// How a hit ended, and with which byte of its answer.
#[derive(Debug, PartialEq, Eq)]
struct End {
    status: u16,
    error: Option<String>,
    at: usize,
}

impl Check {
    /// Reads the files, and replays the answers. The error says why that wasn't possible.
    pub fn run(&self) -> Result<Findings, ComponentError> {
        let loaded = Loaded::open(&self.file, None)?;
        let mut lines = described(&loaded);
        let bounds = Bounds {
            memory_bytes: MEMORY_MB << 20,
            seed: self.seed,
            timeless: false,
        };
        let recipe = Recipe::new(loaded.clone(), &self.settings, bounds)?;
        let (guest, traits) = recipe.instance(0).map_err(|fault| loaded.error(fault.0))?;
        lines.push(said(&traits));
        let mut bench = Bench {
            recipe: &recipe,
            rules: Rules {
                traits,
                answer_bytes_max: ANSWER_BYTES_MAX,
            },
            guest: Some(guest),
            findings: Findings { lines, broken: 0 },
        };
        let (file, cases) = self.cases()?;
        match &file {
            Some(file) => bench.say(format!("vectors  {}: {}", file.display(), cases.len())),
            None => {
                let name = vectors_of(&self.file);
                let name = name.display();
                bench.say(format!(
                    "vectors  none: write them to {name}, or give --vectors"
                ));
            }
        }
        bench.replay("whole", &cases, |case| vec![case.answer.clone()]);
        bench.replay("byte by byte", &cases, |case| {
            case.answer.chunks(1).map(<[u8]>::to_vec).collect()
        });
        bench.cut(&cases);
        bench.mutate(&cases, self.seed);
        Ok(bench.findings)
    }

    fn cases(&self) -> Result<(Option<PathBuf>, Vec<Case>), ComponentError> {
        let file = match &self.vectors {
            Some(file) => file.clone(),
            None => vectors_of(&self.file),
        };
        if self.vectors.is_none() && !file.exists() {
            return Ok((None, Vec::new()));
        }
        let error = |reason: String| ComponentError {
            file: file.clone(),
            reason,
        };
        let text = read_whole(&file, VECTORS_BYTES_MAX).map_err(|bad| error(bad.to_string()))?;
        let mut cases = Vec::new();
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let number = number + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let case = Case::read(number, line);
            cases.push(case.map_err(|reason| error(format!("line {number}: {reason}")))?);
        }
        Ok((Some(file), cases))
    }
}

/// The usual file of a component's vectors.
fn vectors_of(file: &Path) -> PathBuf {
    file.with_extension("vectors")
}

impl Case {
    fn read(number: usize, line: &[u8]) -> Result<Self, String> {
        let vector: Vector = serde_json::from_slice(line).map_err(|bad| bad.to_string())?;
        let bytes = |text: &str| Encoding::Escaped.decode(text.as_bytes());
        Ok(Self {
            number,
            record: bytes(&vector.record)?,
            sent: vector.sent.as_deref().map(bytes).transpose()?,
            answer: bytes(&vector.answer)?,
            status: vector.status,
            failed: vector.failed,
        })
    }
}

/// The component, before it runs.
fn described(loaded: &Loaded) -> Vec<String> {
    let engine = loaded.component.engine();
    let kind = loaded.component.component_type();
    let is_interface = |item: &ComponentItem| matches!(item, ComponentItem::ComponentInstance(_));
    let exports = kind.exports(engine);
    let exports = exports.filter(|(_, item)| is_interface(&item.ty));
    let exports: Vec<_> = exports.map(|(name, _)| name.to_owned()).collect();
    let imports: Vec<_> = kind
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let or_none = |names: Vec<String>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    vec![
        format!("{}: {} bytes", loaded.file.display(), loaded.bytes),
        format!("sha256   {}", loaded.sha256),
        format!("exports  {}", or_none(exports)),
        format!("imports  {}", or_none(imports)),
    ]
}

fn said(traits: &Traits) -> String {
    let need = match &traits.need {
        Need::Any => "whatever arrives".to_owned(),
        Need::Exactly(count) => format!("{count} bytes at a time"),
        Need::Until(end) => format!("bytes until {:?}", String::from_utf8_lossy(end)),
        Need::Prefixed(prefix) => format!(
            "messages with a length of {} bytes after {} others",
            prefix.size, prefix.offset
        ),
        Need::Close => "everything until the peer closes".to_owned(),
    };
    let starts = match (traits.starts_itself, traits.sees_payload) {
        (true, _) => "the host starts them",
        (false, true) => "it starts them, and sees what is sent",
        (false, false) => "it starts them",
    };
    format!(
        "traits   {}: up to {} hits on a connection; {starts}; it gets {need}",
        traits.name, traits.streams
    )
}

impl Bench<'_> {
    fn say(&mut self, line: String) {
        self.findings.lines.push(line);
    }

    fn note_broken(&mut self, line: String) {
        self.findings.broken += 1;
        if self.findings.broken <= TOLD_MAX {
            self.say(format!("  {line}"));
        }
    }

    fn guest(&mut self) -> Result<&mut Instance, Fault> {
        if self.guest.is_none() {
            self.guest = Some(self.recipe.instance(0)?.0);
        }
        self.guest
            .as_mut()
            .ok_or_else(|| Fault("there is no guest".to_owned()))
    }

    /// What is sent for a record.
    fn prepared(&mut self, record: &[u8]) -> Result<Vec<u8>, String> {
        match self.guest().and_then(|guest| guest.prepare(record)) {
            Ok(prepared) => prepared.map_err(|text| format!("prepare refuses the record: {text}")),
            Err(fault) => {
                self.guest = None;
                Err(format!("prepare: {fault}"))
            }
        }
    }

    /// One hit on one connection, which gets its answer in pieces.
    fn hit(
        &mut self,
        prepared: &[u8],
        pieces: &[Vec<u8>],
    ) -> (Vec<u8>, Vec<End>, Result<(), Broken>) {
        let mut talk = Conversation::default();
        let mut ends = Vec::new();
        let mut sent = Vec::new();
        let rules = self.rules.clone();
        let held = self.guest().map_err(Broken::Fault).and_then(|guest| {
            talk.push(0, Bytes::copy_from_slice(prepared), false);
            talk.open(guest, 0, 1, &mut noting(&mut ends, 0))?;
            talk.start(guest, &rules, 1, &mut noting(&mut ends, 0))?;
            sent.extend_from_slice(&talk.outbox);
            let mut at = 0;
            for piece in pieces {
                at += piece.len();
                talk.feed(guest, &rules, piece, 2, &mut noting(&mut ends, at))?;
            }
            if ends.is_empty() {
                talk.peer_closed(guest, &rules, 3, &mut noting(&mut ends, at))?;
            }
            Ok(())
        });
        let (connection, _) = talk.close();
        let broke = matches!(held, Err(Broken::Fault(_)));
        let held = match (connection, &mut self.guest) {
            (Some(connection), Some(guest)) if !broke => {
                let dropped = guest.drop_connection(connection);
                held.and(dropped.map_err(Broken::Fault))
            }
            _ => held,
        };
        if matches!(held, Err(Broken::Fault(_))) {
            self.guest = None;
        }
        (sent, ends, held)
    }

    /// Each answer ends its hit, with its last byte.
    fn replay(&mut self, how: &str, cases: &[Case], pieces: impl Fn(&Case) -> Vec<Vec<u8>>) {
        let before = self.findings.broken;
        for case in cases {
            let number = case.number;
            let prepared = match self.prepared(&case.record) {
                Ok(prepared) => prepared,
                Err(text) => {
                    self.note_broken(format!("line {number}: {text}"));
                    continue;
                }
            };
            let (sent, ends, held) = self.hit(&prepared, &pieces(case));
            if let Some(expected) = case.sent.as_ref().filter(|expected| **expected != sent) {
                let (sent, expected) = (shown(&sent), shown(expected));
                self.note_broken(format!("line {number}: {sent} is sent, not {expected}"));
            }
            let expected = End {
                status: case.status,
                error: case.failed.clone(),
                at: case.answer.len(),
            };
            match held {
                Err(Broken::Unasked) if ends.first().is_some_and(|it| it.at < expected.at) => {
                    self.note_broken(format!("line {number}: {}", instead(case, &ends)));
                }
                Err(broken) => self.note_broken(format!("line {number}: {}", told(&broken))),
                Ok(()) if ends == [expected] => {}
                Ok(()) => self.note_broken(format!("line {number}: {}", instead(case, &ends))),
            }
        }
        let broken = self.findings.broken - before;
        if !cases.is_empty() {
            let as_expected = cases.len().saturating_sub(broken);
            self.say(format!(
                "{how:<13}  {as_expected} of {} as expected",
                cases.len()
            ));
        }
    }

    /// A peer that closes in the middle breaks no guest down.
    fn cut(&mut self, cases: &[Case]) {
        let before = self.findings.broken;
        let mut count = 0;
        for case in cases {
            let Ok(prepared) = self.prepared(&case.record) else {
                continue;
            };
            let step = case.answer.len().div_ceil(CUTS_MAX).max(1);
            for end in (0..case.answer.len()).step_by(step) {
                count += 1;
                let piece = case.answer[..end].to_vec();
                self.survives(case.number, &prepared, piece);
            }
        }
        let faults = self.findings.broken - before;
        if count > 0 {
            self.say(format!("cut            {count} answers, {faults} faults"));
        }
    }

    /// Nor does one that says anything else.
    fn mutate(&mut self, cases: &[Case], seed: u64) {
        let before = self.findings.broken;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut count = 0;
        let nothing = Case {
            number: 0,
            record: Vec::new(),
            sent: None,
            answer: b"any\r\n".to_vec(),
            status: 0,
            failed: None,
        };
        for case in cases.iter().chain([&nothing]) {
            let prepared = self.prepared(&case.record).unwrap_or_default();
            for _ in 0..MUTATIONS {
                count += 1;
                let piece = mutated(&case.answer, &mut random);
                self.survives(case.number, &prepared, piece);
            }
        }
        let faults = self.findings.broken - before;
        self.say(format!("mutated        {count} answers, {faults} faults"));
    }

    fn survives(&mut self, number: usize, prepared: &[u8], piece: Vec<u8>) {
        let pieces = [piece];
        if let (_, _, Err(broken @ (Broken::Fault(_) | Broken::Guest(_)))) =
            self.hit(prepared, &pieces)
        {
            let answer = shown(&pieces[0]);
            let told = told(&broken);
            let line = match number {
                0 => format!("{told}, after {answer}"),
                _ => format!("line {number}: {told}, after {answer}"),
            };
            self.note_broken(line);
        }
    }
}

/// Notes hits that end, with so many bytes of the answer.
fn noting(ends: &mut Vec<End>, at: usize) -> impl FnMut(Ended<'_>) {
    move |ended| {
        ends.push(End {
            status: ended.status,
            error: ended.error.map(str::to_owned),
            at,
        });
    }
}

/// Some bytes are others, or more, or fewer.
fn mutated(answer: &[u8], random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut bytes = answer.to_vec();
    for _ in 0..1 + random.next_u64() % 4 {
        let at = random.next_u64() as usize % (bytes.len() + 1);
        let byte = random.next_u64() as u8;
        match random.next_u64() % 4 {
            0 if at < bytes.len() => bytes[at] = byte,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}

fn instead(case: &Case, ends: &[End]) -> String {
    let length = case.answer.len();
    match ends {
        [] => format!("no hit has ended after all {length} bytes"),
        [end] if end.at < length => {
            format!("the hit ended after {} of {length} bytes", end.at)
        }
        [end] => format!(
            "the hit ended with {}, not with {}",
            outcome(end.status, end.error.as_deref()),
            outcome(case.status, case.failed.as_deref())
        ),
        ends => format!("{} hits ended, and there was one", ends.len()),
    }
}

fn outcome(status: u16, error: Option<&str>) -> String {
    match error {
        None => format!("status {status}"),
        Some(error) => format!("status {status} and the error {error:?}"),
    }
}

fn told(broken: &Broken) -> String {
    match broken {
        Broken::Fault(fault) => fault.to_string(),
        Broken::Guest(text) => text.clone(),
        Broken::Unasked => "the guest ends a hit, and there is none".to_owned(),
        Broken::Bad(bad) => format!("what arrives isn't what is needed: {bad:?}"),
        Broken::Closed => "the guest closes the connection".to_owned(),
        Broken::Stuck => "the guest sends too much".to_owned(),
    }
}

/// Bytes for people, cut.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 60;
    let text = bytes[..bytes.len().min(SHOWN_MAX)].escape_ascii();
    let more = if bytes.len() > SHOWN_MAX { "…" } else { "" };
    format!("\"{text}\"{more}")
}
