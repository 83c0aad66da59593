//! Command lines of other tools, read as ours.
//!
//! Users of wrk, hey, oha, ab, bombardier, siege, vegeta and curl type the command lines
//! that they know. A line that isn't one of ours is read as each of these tools would. If
//! one reading is left, it runs, and the program says what it understood. An option that
//! two of the tools read differently is refused with both readings, unless other options
//! of the line tell which tool it is. [`tools`] says which option is which.

mod tool;
mod tools;
mod users;

use std::path::Path;

use encarno_record::mask::{Shown, masked_url};
use encarno_record::parse_duration;
use encarno_secret::MASK;

use tool::{Opt, Ours, Takes, Tool};
use tools::TOOLS;

/// The meaning of a command line for one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) tool: &'static str,
    /// The words of our command line, from `hit` on.
    pub(super) words: Vec<String>,
    /// The number of options that are ours and not the tool's.
    own: usize,
    /// The tool's options, as they were written, each with the words that it became.
    options: Vec<(&'static str, Vec<String>)>,
    /// Whether the line doesn't say when the run ends, so that the tool's usual end
    /// applies.
    ends_as_usual: bool,
}

impl Reading {
    /// A reading of words that mean the same to the tool and to us.
    pub(super) fn of_words(tool: &'static str, words: Vec<String>) -> Self {
        Self {
            tool,
            words,
            own: 0,
            options: Vec::new(),
            ends_as_usual: false,
        }
    }

    /// Whether the other tool reads an option of this line differently.
    fn contradicts(&self, other: &Self) -> bool {
        self.options.iter().any(|(name, words)| {
            let same = other.options.iter().find(|(known, _)| known == name);
            same.is_some_and(|(_, others)| words != others)
        })
    }

    /// The line for messages, with quotes where a shell needs them, and without secrets.
    pub(super) fn shown(&self) -> String {
        let mut shown = vec!["encarno".to_owned()];
        let mut option = "";
        for word in &self.words {
            let is_body = option == "--data" && !word.starts_with('@');
            let text = match (option, word.split_once(':')) {
                ("--user", _) => MASK.to_owned(),
                _ if is_body => MASK.to_owned(),
                ("-H" | "--header", Some((name, _)))
                    if !Shown::default().shows_header(name) && name != "Connection" =>
                {
                    format!("{name}: {MASK}")
                }
                _ if word.contains("://") => masked_url(word),
                _ => word.clone(),
            };
            let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,*".contains(c);
            shown.push(match !text.is_empty() && text.chars().all(is_plain) {
                true => text,
                false => format!("'{}'", text.replace('\'', r"'\''")),
            });
            option = word;
        }
        shown.join(" ")
    }
}

/// The line of a tool that is named by its first word: `wrk -t2 …`, `attack -rate=50 …`.
/// `hit` is the definition of our own command.
pub(super) fn named(words: &[String], hit: &clap::Command) -> Option<Result<Reading, String>> {
    let (first, rest) = words.split_first()?;
    let (first, rest) = match rest.split_first() {
        Some((second, rest)) if first == "vegeta" && second == "attack" => (second, rest),
        _ => (first, rest),
    };
    let tool = TOOLS.iter().find(|tool| tool.word == Some(first))?;
    if rest.iter().any(|word| word == "-h" || word == "--help") {
        let help = ["hit", "--help"].map(str::to_owned);
        return Some(Ok(Reading::of_words(tool.name, help.to_vec())));
    }
    Some(read(tool, rest, hit))
}

/// The readings of a line by each tool that it could be for: those that know most of its
/// options. `is_valid` tells whether a reading can be carried out.
///
/// A reading that doesn't say when the run ends can't run, but it can contradict other
/// readings: it shows that one of their options can mean something else.
pub(super) fn readings(
    words: &[String],
    hit: &clap::Command,
    is_valid: impl Fn(&Reading) -> bool,
) -> Vec<Reading> {
    let all = all_readings(words, hit, is_valid);
    let ended = all.iter().filter(|reading| !reading.ends_as_usual);
    let Some(own) = ended.clone().map(|reading| reading.own).min() else {
        return Vec::new();
    };
    let chosen: Vec<_> = ended.filter(|reading| reading.own == own).collect();
    let is_meant = |reading: &&Reading| {
        let contradicts = || chosen.iter().any(|one| one.contradicts(reading));
        match reading.ends_as_usual {
            true => reading.own <= own && contradicts(),
            false => reading.own == own,
        }
    };
    all.iter().filter(is_meant).cloned().collect()
}

/// The readings of a line if none of them says when the run ends, each with the usual end
/// of its tool.
pub(super) fn unended_readings(
    words: &[String],
    hit: &clap::Command,
    is_valid: impl Fn(&Reading) -> bool,
) -> Vec<Reading> {
    let mut all = all_readings(words, hit, is_valid);
    let own = all.iter().map(|reading| reading.own).min();
    all.retain(|reading| Some(reading.own) == own);
    all
}

fn all_readings(
    words: &[String],
    hit: &clap::Command,
    is_valid: impl Fn(&Reading) -> bool,
) -> Vec<Reading> {
    let tools = TOOLS.iter().filter(|tool| !tool.no_url);
    let readings = tools.filter_map(|tool| read(tool, words, hit).ok());
    readings.filter(|reading| is_valid(reading)).collect()
}

/// All readings as text, one in a line. Tools that read the line the same way share a
/// line.
pub(super) fn listed(readings: &[Reading]) -> String {
    let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
    for reading in readings {
        let shown = reading.shown();
        match lines.iter_mut().find(|(_, known)| *known == shown) {
            Some((tools, _)) => tools.push(reading.tool),
            None => lines.push((vec![reading.tool], shown)),
        }
    }
    let lines = lines.iter();
    lines
        .map(|(tools, shown)| format!("\n  as in {}: {shown}", tools.join(" and ")))
        .collect()
}

/// What to write instead of another tool's option.
pub(super) fn explain(name: &str) -> Option<String> {
    let mut meanings: Vec<(String, Vec<&str>)> = Vec::new();
    for tool in TOOLS {
        let Some((_, opt)) = find(tool, name) else {
            continue;
        };
        let value = match opt.takes {
            Takes::Nothing => "",
            Takes::Number => " N",
            Takes::Duration | Takes::GoDuration | Takes::Minutes => " DURATION",
            Takes::Credentials => " USER:PASSWORD",
            Takes::File => " FILE",
            Takes::Url => " URL",
            Takes::Text | Takes::Media | Takes::Agent | Takes::Body => " TEXT",
        };
        let text = match opt.ours {
            Ours::Option(ours) => format!("write {ours}{value}"),
            Ours::Header(header) => format!("write -H '{header}: TEXT'"),
            Ours::BodyFile => "write -d @FILE".to_owned(),
            Ours::Words([option, text]) => format!("write {option} '{text}'"),
            Ours::Words(words) => format!("write {}", words.join(" ")),
            Ours::Nothing(why) => format!("leave it out: {why}"),
            Ours::RateOfWorker => "write --rate N, for all workers together".to_owned(),
            Ours::HitsOfWorker => "write -n N, for all workers together".to_owned(),
            Ours::Users => "write -c N".to_owned(),
            Ours::SpawnRate => "write --workers 'ramp(N,DURATION)'".to_owned(),
            Ours::Url => "write the URL alone".to_owned(),
            Ours::Json => "write -d DATA -H 'Content-Type: application/json'".to_owned(),
            Ours::Redirects => "write -L".to_owned(),
            Ours::UrlsFromFile => "write -i FILE".to_owned(),
            Ours::Targets => "write -i FILE --format vegeta".to_owned(),
            Ours::Instead(instead) => instead.to_owned(),
        };
        match meanings.iter_mut().find(|(known, _)| *known == text) {
            Some((_, tools)) => tools.push(tool.name),
            None => meanings.push((text, vec![tool.name])),
        }
    }
    match &*meanings {
        [] => None,
        [(text, _)] => Some(format!("{name}: {text}")),
        several => {
            let several = several
                .iter()
                .map(|(text, tools)| format!("as in {}: {text}", tools.join(" and ")));
            Some(format!(
                "{name}: {}",
                several.collect::<Vec<_>>().join("; ")
            ))
        }
    }
}

/// Whether a word that begins with one dash is a long option of Go's programs that could
/// be misread as a short one with its value: `-disable-keepalive` as `-d isable-keepalive`.
pub(super) fn is_long_with_one_dash(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    let is_long = name.len() > 2 && !name.starts_with("--");
    is_long && TOOLS.iter().any(|tool| find(tool, name).is_some())
}

/// Finds an option by its name, or by its name with its value, as in `-keepalive=false`.
fn find<'a>(tool: &'a Tool, word: &str) -> Option<(&'static str, &'a Opt)> {
    let two_dashes = word.strip_prefix('-').filter(|rest| rest.starts_with('-'));
    let names = [
        Some(word),
        two_dashes.filter(|rest| tool.go && rest.len() > 2),
    ];
    let find = |word: &str| {
        tool.options.iter().find_map(|opt| {
            let name = opt.names.iter().find(|name| **name == word)?;
            Some((*name, opt))
        })
    };
    names.into_iter().flatten().find_map(find)
}

/// Reads the words of a line.
struct Reader<'a> {
    tool: &'static Tool,
    hit: &'a clap::Command,
    /// The names of the options that were read.
    given: Vec<String>,
    words: Vec<String>,
    places: Vec<String>,
    own: usize,
    options: Vec<(&'static str, Vec<String>)>,
    rate_of_worker: Option<f64>,
    hits_of_worker: Option<f64>,
    users: Option<f64>,
    spawn_rate: Option<f64>,
    urls_from_file: bool,
    url_given: bool,
}

fn read(tool: &'static Tool, words: &[String], hit: &clap::Command) -> Result<Reading, String> {
    let mut reader = Reader {
        tool,
        hit,
        given: Vec::new(),
        words: Vec::new(),
        places: Vec::new(),
        own: 0,
        options: Vec::new(),
        rate_of_worker: None,
        hits_of_worker: None,
        users: None,
        spawn_rate: None,
        urls_from_file: false,
        url_given: false,
    };
    let mut rest = words.iter().cloned();
    while let Some(word) = rest.next() {
        if word == "--" {
            reader.places.extend(rest.by_ref());
        } else if !word.starts_with('-') || word == "-" {
            reader.places.push(word);
        } else {
            reader.option(&word, &mut rest)?;
        }
    }
    reader.end()
}

impl Reader<'_> {
    fn option(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        if !self.tool.go && is_long_with_one_dash(word) {
            return Err(format!(
                "{}'s option {word} has no counterpart here",
                self.tool.name
            ));
        }
        // Look the whole word up first: -keepalive=false is an option by itself.
        if let Some((name, opt)) = find(self.tool, word) {
            let value = match opt.takes {
                Takes::Nothing => None,
                _ => Some(rest.next().ok_or_else(|| format!("{word} needs a value"))?),
            };
            return self.take(name, opt, value);
        }
        if let Some((name, value)) = word.split_once('=')
            && let Some((name, opt)) = find(self.tool, name)
        {
            return match (opt.takes, value) {
                (Takes::Nothing, "true") => self.take(name, opt, None),
                (Takes::Nothing, "false") => Ok(()),
                (Takes::Nothing, _) => Err(format!("{name} takes no value")),
                _ => self.take(name, opt, Some(value.to_owned())),
            };
        }
        // A word may be -t2, or have several letters.
        let letters = word.strip_prefix('-').filter(|_| !self.tool.go);
        let letters = letters.filter(|letters| !letters.starts_with('-'));
        if let Some(first) = letters.and_then(|letters| letters.chars().next()) {
            let (letter, attached) = word.split_at(1 + first.len_utf8());
            match find(self.tool, letter) {
                Some((name, opt)) if opt.takes == Takes::Nothing => {
                    self.take(name, opt, None)?;
                    return self.option(&format!("-{attached}"), rest);
                }
                Some((name, opt)) => return self.take(name, opt, Some(attached.to_owned())),
                None => {}
            }
        }
        self.own(word, rest)
    }

    /// Reads one of our options among those of the tool.
    fn own(&mut self, word: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let long = name.strip_prefix("--");
        let letter = name.strip_prefix('-').filter(|_| long.is_none());
        let (letter, attached) = match letter.and_then(|text| text.chars().next()) {
            Some(letter) => (Some(letter), &word[1 + letter.len_utf8()..]),
            None => (None, ""),
        };
        let is_it = |arg: &&clap::Arg| {
            let aliases = arg.get_visible_aliases().unwrap_or_default();
            let letters = arg.get_visible_short_aliases().unwrap_or_default();
            match (long, letter) {
                (Some(long), _) => arg.get_long() == Some(long) || aliases.contains(&long),
                (None, Some(letter)) => {
                    arg.get_short() == Some(letter) || letters.contains(&letter)
                }
                _ => false,
            }
        };
        let found = self.hit.get_opts().find(is_it);
        let unknown = || format!("{}'s option {name} has no counterpart here", self.tool.name);
        let long = found.and_then(clap::Arg::get_long).ok_or_else(unknown)?;
        let takes = found.is_some_and(|arg| arg.get_action().takes_values());
        self.given.push(format!("--{long}"));
        if !self.tool.shares.contains(&long) {
            self.own += 1;
        }
        self.words.push(word.to_owned());
        let is_attached = value.is_some() || !attached.is_empty();
        if takes && !is_attached {
            let value = rest.next().ok_or_else(|| format!("{word} needs a value"))?;
            self.words.push(value);
        }
        // Only our own parser reads several letters in one word.
        match takes || !is_attached {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// The place of an option that was read before and takes one value.
    fn single(&self, option: &str) -> Option<usize> {
        let mut options = self.hit.get_opts();
        let arg = options.find(|arg| {
            let long = option.strip_prefix("--");
            long.is_some() && arg.get_long() == long
        })?;
        match arg.get_action() {
            clap::ArgAction::Set => self.words.iter().position(|word| word == option),
            _ => None,
        }
    }

    fn take(&mut self, name: &'static str, opt: &Opt, value: Option<String>) -> Result<(), String> {
        self.given.push(opt.names[0].to_owned());
        let mut value = value.unwrap_or_default();
        if opt.takes == Takes::Minutes {
            value = users::minutes(&value);
        }
        let before = self.words.len();
        let is_such = match opt.takes {
            Takes::Nothing | Takes::Text => true,
            Takes::Number => value.parse::<f64>().is_ok_and(|number| number >= 0.0),
            Takes::Duration | Takes::Minutes => parse_duration(&value).is_some(),
            Takes::GoDuration => {
                parse_duration(&value).is_some() && value.ends_with(|c: char| c.is_alphabetic())
            }
            Takes::Media => is_media(&value),
            Takes::Agent => !is_media(&value) && (value.contains('/') || !value.contains(':')),
            Takes::Url => value.contains("://"),
            Takes::Credentials => value.contains(':'),
            Takes::Body => parse_duration(&value).is_none(),
            Takes::File => Path::new(&value).exists(),
        };
        if !is_such {
            return Err(format!("{}: {name} can't be '{value}'", self.tool.name));
        }
        let mut push =
            |words: &[&str]| self.words.extend(words.iter().map(|word| word.to_string()));
        match opt.ours {
            Ours::Option(option) if opt.takes == Takes::Nothing => push(&[option]),
            // As in the tools, the last value of an option counts.
            Ours::Option(option) => match self.single(option) {
                Some(place) => self.words[place + 1].clone_from(&value),
                None => self.words.extend([option.to_owned(), value.clone()]),
            },
            Ours::Header(header) => push(&["-H", &format!("{header}: {value}")]),
            Ours::BodyFile => push(&["--data", &format!("@{value}")]),
            Ours::Words(words) => push(words),
            Ours::Nothing(_) => {}
            Ours::RateOfWorker => self.rate_of_worker = value.parse().ok(),
            Ours::HitsOfWorker => self.hits_of_worker = value.parse().ok(),
            Ours::Users => self.users = value.parse().ok(),
            Ours::SpawnRate => self.spawn_rate = value.parse().ok(),
            Ours::Url => {
                self.places.push(value.clone());
                self.url_given = true;
            }
            Ours::Json => {
                push(&["--data", &value]);
                for header in ["Content-Type: application/json", "Accept: application/json"] {
                    push(&["-H", header]);
                }
            }
            Ours::Redirects if value == "0" => {}
            Ours::Redirects => push(&["--location"]),
            Ours::UrlsFromFile => self.urls_from_file = true,
            Ours::Targets => {
                let file = if value == "stdin" { "-" } else { &value };
                push(&["--input", file]);
                if file == "-" {
                    push(&["--spool"]);
                }
                push(&["--format", "vegeta"]);
            }
            Ours::Instead(instead) => return Err(format!("{name}: {instead}")),
        }
        let meaning = match (opt.ours, &self.words[before..]) {
            (Ours::Nothing(_), _) => Vec::new(),
            (ours, []) => vec![format!("{ours:?} {value}")],
            (_, words) => words.to_vec(),
        };
        self.options.push((name, meaning));
        Ok(())
    }

    /// Adds what the line left out, and checks which options need each other.
    fn end(mut self) -> Result<Reading, String> {
        let mut ends_as_usual = false;
        for usual in self.tool.usual {
            let is_given = |name: &&str| self.given.iter().any(|given| given == name);
            if !usual.unless.iter().any(is_given) {
                let words = usual.words.iter().map(|word| (*word).to_owned());
                self.words.extend(words);
                ends_as_usual |= matches!(usual.words, ["--for" | "--hits", _]);
            }
        }
        let of_workers = [
            ("--rate", self.rate_of_worker),
            ("--hits", self.hits_of_worker),
        ];
        for (option, each) in of_workers {
            if let Some(each) = each.filter(|each| *each > 0.0) {
                let workers = self.workers();
                self.words.push(option.to_owned());
                self.words.push((each * workers).to_string());
            }
        }
        if let Some(words) = users::workers(self.users, self.spawn_rate) {
            let ends = ["--run-time", "--for", "--hits"];
            if !self.given.iter().any(|given| ends.contains(&&**given)) {
                return Err(format!("{}: for how long? Add -t 10s", self.tool.name));
            }
            self.words.extend(words);
        }
        let has_url_option = |opt: &Opt| opt.ours == Ours::Url;
        if self.tool.options.iter().any(has_url_option) && !self.url_given {
            return Err(format!("{}: there is no --host", self.tool.name));
        }
        let mut words = vec!["hit".to_owned()];
        match (&*self.places, self.tool.no_url, self.urls_from_file) {
            ([], true, _) => {}
            ([file], _, true) => words.extend(["--input".to_owned(), file.clone()]),
            ([url], false, false) => words.push(url.clone()),
            ([], ..) if self.words.iter().any(|word| word == "--input") => {}
            ([], ..) => return Err(format!("{}: there is no URL", self.tool.name)),
            ([.., last], ..) => {
                return Err(format!("{}: what is {last}?", self.tool.name));
            }
        }
        words.append(&mut self.words);
        Ok(Reading {
            tool: self.tool.name,
            words,
            own: self.own,
            options: self.options,
            ends_as_usual,
        })
    }

    /// The number of workers that the words up to now ask for.
    fn workers(&self) -> f64 {
        let mut words = self.words.iter();
        words.find(|word| *word == "--connections" || *word == "-c");
        words
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(1.0)
    }
}

/// Whether the text is `TYPE/SUBTYPE`, and not a browser's name with its version.
fn is_media(text: &str) -> bool {
    const TYPES: [&str; 10] = [
        "*",
        "application",
        "audio",
        "font",
        "image",
        "message",
        "model",
        "multipart",
        "text",
        "video",
    ];
    text.split_once('/')
        .is_some_and(|(kind, _)| TYPES.contains(&kind))
}
