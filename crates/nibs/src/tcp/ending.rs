//! Finds where an answer ends, in a stream of bytes that may be split anywhere.

use std::sync::Arc;
use std::time::Duration;

use encarno_nib::{BadOption, Encoding, Options};
use encarno_record::parse_duration;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};

/// The default for the longest answer.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The most bytes of a pattern's tables.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// The options, of which one says where an answer ends.
pub(super) const OPTIONS: [&str; 7] = [
    "answer",
    "answer-until",
    "answer-match",
    "answer-length",
    "answer-bytes",
    "answer-close",
    "answer-silence",
];

/// Where an answer ends.
#[derive(Clone, Debug)]
pub enum Ending {
    /// After these bytes.
    Until(Arc<[u8]>),
    /// With the first byte after which the answer contains the pattern.
    Match(Arc<Pattern>),
    /// Where its length prefix says.
    Length(Prefix),
    /// After this number of bytes.
    Bytes(u64),
    /// When the peer closes the connection.
    Close,
    /// When nothing arrived for this time.
    Silence(Duration),
    /// There is no answer: a hit ends when it is sent.
    None,
}

/// A pattern that is matched byte by byte.
#[derive(Debug)]
pub struct Pattern {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// A length within an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The number of bytes before the length.
    pub offset: u8,
    /// The number of bytes of the length: 1 to 8.
    pub size: u8,
    /// Whether its last byte is the highest.
    pub little_endian: bool,
    /// The number that is added to the length, to get the number of bytes after it.
    pub adjust: i64,
    /// The largest length.
    pub max: u64,
}

impl Ending {
    /// The ending that one of [`OPTIONS`] gives.
    pub(super) fn of(options: &Options) -> Result<Self, BadOption> {
        let given = OPTIONS
            .iter()
            .filter(|name| options.own.contains_key(**name));
        let given: Vec<_> = given.copied().collect();
        let [name] = given[..] else {
            let reason = match given.is_empty() {
                true => format!(
                    "write where an answer ends: one of {}",
                    OPTIONS[1..].join(", ")
                ),
                false => format!("use one of these options: there are {}", given.join(", ")),
            };
            let name = given.last().copied().unwrap_or("answer-until");
            return Err(BadOption::new(name, reason));
        };
        let text = options.own.get(name).map_or("", String::as_str);
        let bad = |reason: String| BadOption::new(name, reason);
        let is_true = || {
            options
                .own::<bool>(name, "true or false")
                .map(|on| on == Some(true))
        };
        match name {
            "answer" if is_true()? => Err(bad(format!(
                "true doesn't say where it ends: use {}",
                OPTIONS[1..].join(", ")
            ))),
            "answer" => Ok(Self::None),
            "answer-close" if is_true()? => Ok(Self::Close),
            "answer-close" => Err(bad("write true, or leave it out".to_owned())),
            "answer-until" => match Encoding::Escaped.decode(text.as_bytes()).map_err(bad)? {
                bytes if bytes.is_empty() => Err(bad("write at least one byte".to_owned())),
                bytes => Ok(Self::Until(bytes.into())),
            },
            "answer-match" => Pattern::new(text)
                .map(|pattern| Self::Match(pattern.into()))
                .map_err(bad),
            "answer-length" => Prefix::parse(text).map(Self::Length).map_err(bad),
            "answer-bytes" => match text.trim().parse() {
                Ok(count) if count > 0 => Ok(Self::Bytes(count)),
                _ => Err(bad(format!("{text:?}: write a number of bytes, 1 or more"))),
            },
            _ => match parse_duration(text).filter(|&ns| ns > 0) {
                Some(ns) => Ok(Self::Silence(Duration::from_nanos(ns))),
                None => Err(bad(format!("{text:?}: write a duration such as 50ms"))),
            },
        }
    }

    /// Whether answers can be told apart when they follow each other directly.
    pub(super) fn can_pipeline(&self) -> bool {
        !matches!(self, Self::Close | Self::Silence(_))
    }
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(PATTERN_BYTES_MAX))
            .determinize_size_limit(Some(4 * PATTERN_BYTES_MAX));
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(text)
            .map_err(|error| {
                let mut reason = format!("{text:?} can't be used: {error}");
                let mut source = std::error::Error::source(&error);
                while let Some(error) = source {
                    reason = format!("{reason}: {error}");
                    source = error.source();
                }
                reason
            })?;
        let start = start::Config::new().anchored(Anchored::No);
        let start = dfa.start_state(&start).map_err(|error| error.to_string())?;
        if dfa.is_match_state(dfa.next_eoi_state(start)) {
            return Err(format!(
                "{text:?} matches an empty answer, so no answer would be read"
            ));
        }
        Ok(Self { dfa, start })
    }
}

/// Searches a pattern in bytes with a known end, which may be split anywhere.
#[derive(Debug, Default)]
pub(crate) struct Search {
    state: Option<StateID>,
    is_found: bool,
}

impl Search {
    pub(crate) fn feed(&mut self, pattern: &Pattern, bytes: &[u8]) {
        let dfa = &pattern.dfa;
        let mut state = self.state.unwrap_or(pattern.start);
        for &byte in bytes {
            if self.is_found {
                break;
            }
            state = dfa.next_state(state, byte);
            self.is_found = dfa.is_match_state(state);
        }
        self.state = Some(state);
    }

    /// Whether the pattern is found if the bytes end here.
    pub(crate) fn is_found(&self, pattern: &Pattern) -> bool {
        let dfa = &pattern.dfa;
        let state = self.state.unwrap_or(pattern.start);
        self.is_found || dfa.is_match_state(dfa.next_eoi_state(state))
    }
}

impl Prefix {
    /// Parses `4`, or `size=4 offset=2 little adjust=-4 max=1000`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut prefix = Self {
            offset: 0,
            size: 0,
            little_endian: false,
            adjust: 0,
            max: ANSWER_BYTES_MAX,
        };
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        for word in words {
            let bad = || {
                format!(
                    "{word:?}: write size=1 to 8, and if need be offset=BYTES, little or big, adjust=N, max=N"
                )
            };
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name, value) {
                ("little", "") | ("endian", "little") => prefix.little_endian = true,
                ("big", "") | ("endian", "big") => prefix.little_endian = false,
                ("offset", value) => prefix.offset = value.parse().map_err(|_| bad())?,
                ("size", value) => prefix.size = value.parse().map_err(|_| bad())?,
                ("adjust", value) => prefix.adjust = value.parse().map_err(|_| bad())?,
                ("max", value) => prefix.max = value.parse().map_err(|_| bad())?,
                (size, "") => prefix.size = size.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        match prefix.size {
            1..=8 => Ok(prefix),
            size => Err(format!("the length has {size} bytes: write size=1 to 8")),
        }
    }

    /// The length of an answer with this length in it.
    fn total(self, length: u64) -> Result<u64, Bad> {
        let behind = i128::from(length) + i128::from(self.adjust);
        let head = u64::from(self.offset) + u64::from(self.size);
        match u64::try_from(behind) {
            Ok(behind) if behind <= self.max => Ok(head.saturating_add(behind)),
            _ => Err(Bad::Length(length)),
        }
    }
}

/// Why an answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Its prefix has this length.
    Length(u64),
    /// It is too long.
    TooLong,
}

/// Follows one answer after another.
#[derive(Clone, Debug, Default)]
pub(super) struct Finder {
    /// The number of this answer's bytes so far.
    seen: u64,
    /// For a delimiter, how many of its bytes were the last ones; for a length, its value
    /// so far.
    state: u64,
    pattern: Option<StateID>,
}

impl Finder {
    /// The number of this answer's bytes so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// How many of the bytes belong to this answer, and whether it ends there.
    pub(super) fn feed(
        &mut self,
        ending: &Ending,
        bytes: &[u8],
        bytes_max: u64,
    ) -> Result<(usize, bool), Bad> {
        let (used, ended) = match ending {
            Ending::Until(end) => self.until(end, bytes),
            Ending::Match(pattern) => self.pattern(pattern, bytes),
            Ending::Length(prefix) => self.length(*prefix, bytes)?,
            Ending::Bytes(count) => up_to(*count - self.seen, bytes),
            Ending::Close | Ending::Silence(_) | Ending::None => (bytes.len(), false),
        };
        self.seen += used as u64;
        if self.seen > bytes_max {
            return Err(Bad::TooLong);
        }
        if ended {
            *self = Self::default();
        }
        Ok((used, ended))
    }

    fn until(&mut self, end: &[u8], bytes: &[u8]) -> (usize, bool) {
        if let [last] = end {
            return match memchr::memchr(*last, bytes) {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            };
        }
        let mut matched = self.state as usize;
        for (at, &byte) in bytes.iter().enumerate() {
            // Continue with the longest beginning of the delimiter that is an end of the
            // received bytes.
            while matched > 0 && end[matched] != byte {
                matched = (0..matched)
                    .rev()
                    .find(|&shorter| end[..shorter] == end[matched - shorter..matched])
                    .unwrap_or(0);
            }
            matched += usize::from(end[matched] == byte);
            if matched == end.len() {
                return (at + 1, true);
            }
        }
        self.state = matched as u64;
        (bytes.len(), false)
    }

    fn pattern(&mut self, pattern: &Pattern, bytes: &[u8]) -> (usize, bool) {
        let dfa = &pattern.dfa;
        let mut state = self.pattern.unwrap_or(pattern.start);
        for (at, &byte) in bytes.iter().enumerate() {
            state = dfa.next_state(state, byte);
            if dfa.is_match_state(dfa.next_eoi_state(state)) {
                return (at + 1, true);
            }
        }
        self.pattern = Some(state);
        (bytes.len(), false)
    }

    fn length(&mut self, prefix: Prefix, bytes: &[u8]) -> Result<(usize, bool), Bad> {
        let start = u64::from(prefix.offset);
        let head = start + u64::from(prefix.size);
        let mut used = 0;
        for &byte in bytes {
            let at = self.seen + used as u64;
            if at >= head {
                break;
            }
            used += 1;
            if at < start {
                continue;
            }
            let byte = u64::from(byte);
            self.state = match prefix.little_endian {
                true => self.state | byte << (8 * (at - start)),
                false => self.state << 8 | byte,
            };
        }
        if self.seen + (used as u64) < head {
            return Ok((used, false));
        }
        let total = prefix.total(self.state)?;
        let left = total - (self.seen + used as u64);
        let (more, ended) = up_to(left, &bytes[used..]);
        Ok((used + more, ended))
    }
}

fn up_to(left: u64, bytes: &[u8]) -> (usize, bool) {
    let used = left.min(bytes.len() as u64) as usize;
    (used, used as u64 == left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use encarno_nib::Options;

    use super::{Bad, Ending, Finder, Pattern, Search};

    fn ending(option: &str, text: &str) -> Ending {
        let mut options = Options::default();
        options.own.insert(option.to_owned(), text.to_owned());
        Ending::of(&options).unwrap()
    }

    fn answers(ending: &Ending, bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Bad> {
        let (mut finder, mut answers, mut answer) = (Finder::default(), Vec::new(), Vec::new());
        for mut bytes in bytes.chunks(piece) {
            while !bytes.is_empty() {
                let (used, ended) = finder.feed(ending, bytes, 1000)?;
                answer.extend_from_slice(&bytes[..used]);
                bytes = &bytes[used..];
                if ended {
                    answers.push(std::mem::take(&mut answer));
                }
            }
        }
        Ok(answers)
    }

    /// The option, its value, the received bytes, and the answers in them.
    type Case<'a> = (&'a str, &'a str, &'a [u8], &'a [&'a [u8]]);

    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        let cases: [Case<'_>; 9] = [
            ("answer-until", r"\n", b"a\nbc\nd", &[b"a\n", b"bc\n"]),
            (
                "answer-until",
                r"\r\n\r\n",
                b"a\r\n\r\r\n\r\nb",
                &[b"a\r\n\r\r\n\r\n"],
            ),
            (
                "answer-until",
                "aab",
                b"aaab.aabaaaab",
                &[b"aaab", b".aab", b"aaaab"],
            ),
            ("answer-bytes", "3", b"abcdefg", &[b"abc", b"def"]),
            (
                "answer-length",
                "2",
                b"\0\x03abc\0\0\0\x01z\0",
                &[b"\0\x03abc", b"\0\0", b"\0\x01z"],
            ),
            (
                "answer-length",
                "size=2 offset=1 little adjust=-3",
                b"X\x05\0ab.",
                &[b"X\x05\0ab"],
            ),
            (
                "answer-match",
                r"(OK|ERR)\s",
                b"12 OK\nERR x ",
                &[b"12 OK\n", b"ERR "],
            ),
            ("answer-match", r"END$", b"a END\r", &[b"a END"]),
            (
                "answer-match",
                r"[\x80-\xff]",
                b"a\xc3\xa9",
                &[b"a\xc3", b"\xa9"],
            ),
        ];
        for (option, text, bytes, expected) in cases {
            let ending = ending(option, text);
            for piece in [1, 2, 3, 1000] {
                assert_eq!(
                    answers(&ending, bytes, piece).unwrap(),
                    expected,
                    "{option} {text}, {piece}"
                );
            }
        }
    }

    #[test]
    fn a_pattern_is_found_in_a_message_as_in_a_text() {
        for (text, message, expected) in [
            (r#""n":"#, &br#"{"m":1,"n":2}"#[..], true),
            (r#""n":"#, br#"{"n" :2}"#, false),
            ("END$", b"END of it", false),
            ("END$", b"the END", true),
            ("^a.c$", b"abc", true),
            ("^a.c$", b"abcd", false),
            ("x", b"", false),
        ] {
            let pattern = Pattern::new(text).unwrap();
            for piece in [1, 2, 100] {
                let mut search = Search::default();
                for piece in message.chunks(piece) {
                    search.feed(&pattern, piece);
                }
                assert_eq!(search.is_found(&pattern), expected, "{text} {message:?}");
            }
        }
    }

    #[test]
    fn a_length_that_lies_and_an_answer_without_end_are_told() {
        let length = ending("answer-length", "size=4 max=100");
        for bytes in [&b"\xff\xff\xff\xffx"[..], b"\0\0\0\x65"] {
            assert!(matches!(answers(&length, bytes, 1), Err(Bad::Length(_))));
        }
        let less = ending("answer-length", "size=1 adjust=-4");
        assert_eq!(answers(&less, b"\x03", 1), Err(Bad::Length(3)));
        let line = ending("answer-until", r"\n");
        assert_eq!(answers(&line, &[b'x'; 1001], 7), Err(Bad::TooLong));
    }

    #[test]
    fn what_says_not_where_an_answer_ends_is_refused() {
        for (option, text) in [
            ("answer", "true"),
            ("answer", "maybe"),
            ("answer-until", ""),
            ("answer-until", r"\q"),
            ("answer-match", "("),
            ("answer-match", "x*"),
            ("answer-match", ".{500}.{500}[ab].{900}"),
            ("answer-length", "size=9"),
            ("answer-length", "offset=2"),
            ("answer-length", "wide"),
            ("answer-bytes", "0"),
            ("answer-silence", "soon"),
            ("answer-close", "false"),
            ("none", ""),
        ] {
            let mut options = Options::default();
            options.own.insert(option.to_owned(), text.to_owned());
            let error = Ending::of(&options).map(|_| ()).unwrap_err();
            assert!(!error.reason.is_empty(), "{option} {text}");
        }
    }
}
