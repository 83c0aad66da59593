//! Understands command lines that users of other tools type.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};
use rustix::fs::fstat;

use super::dialects::{self, Reading};
use super::{Arguments, Command, others};
use crate::protocols;

/// Completes a command line: `encarno http://host/` and `encarno -c 10 http://host/`
/// become `encarno hit …`, and `-rate 50` becomes `--rate 50`.
pub(super) fn completed(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let Some(first) = arguments.get(1).and_then(|first| first.to_str()) else {
        return arguments;
    };
    let is_own = matches!(first, "-h" | "--help" | "-V" | "--version");
    // Yandex.Tank's form: -c load.yaml.
    let second = arguments.get(2).and_then(|second| second.to_str());
    if first == "-c" && second.is_some_and(is_configuration) {
        arguments[1] = "run".into();
        return arguments;
    }
    if is_configuration(first) {
        arguments.insert(1, "run".into());
        return arguments;
    }
    if first == "version" && !Path::new(first).exists() {
        arguments[1] = "--version".into();
        return arguments;
    }
    let is_url = is_url(first) || is_host(first);
    if is_url || first.starts_with('-') && first != "-" && !is_own {
        arguments.insert(1, "hit".into());
    }
    if arguments.get(1).is_some_and(|command| command == "hit") {
        let command = Arguments::command();
        let hit = command.find_subcommand("hit");
        let names: Vec<_> = hit.into_iter().flat_map(clap::Command::get_opts).collect();
        for argument in arguments.iter_mut().skip(2) {
            if let Some(long) = argument
                .to_str()
                .and_then(|text| with_two_dashes(text, &names))
            {
                *argument = long.into();
            }
        }
    }
    arguments
}

/// Whether the text is a URL with a known scheme, or `host:port` and no file.
fn is_url(text: &str) -> bool {
    let has_scheme = match text.split_once("://") {
        Some((scheme, _)) => protocols::of_scheme(scheme).is_ok(),
        None => text.split_once(':').is_some_and(|(name, _)| {
            let kind = protocols::named(&name.to_ascii_lowercase());
            kind.is_some_and(|kind| !kind.network)
        }),
    };
    let authority = text.split(['/', '?']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    has_scheme || port.is_some_and(|port| port.parse::<u16>().is_ok()) && !Path::new(text).exists()
}

/// Whether the text is a host name without a port, with or without a path, and no file.
fn is_host(text: &str) -> bool {
    let (host, rest) = text.split_once('/').unwrap_or((text, ""));
    let is_name = |c: char| c.is_alphanumeric() || "-._".contains(c);
    let has_dot = host.contains('.') && !host.starts_with('.') && host.chars().all(is_name);
    // load.yaml is the name of a missing file, not a host.
    let is_file = rest.is_empty() && {
        let end = Path::new(host).extension().and_then(|end| end.to_str());
        let of_others = others::OTHERS.iter().map(|(end, _)| *end);
        end.is_some_and(|end| {
            CONFIGURATIONS
                .into_iter()
                .chain(of_others)
                .any(|it| it == end)
        })
    };
    (host == "localhost" || has_dot) && !is_file && !Path::new(text).exists()
}

/// The ends of the names of files that `encarno run` takes.
const CONFIGURATIONS: [&str; 5] = ["yaml", "yml", "json", "ini", "conf"];

/// Whether the text names a file that isn't named like a command.
fn is_configuration(text: &str) -> bool {
    let is_command = || Arguments::command().find_subcommand(text).is_some();
    Path::new(text).is_file() && !is_command()
}

/// The option with two dashes, if it is a long option with one dash, as Go's programs
/// write it: `-rate=50`.
fn with_two_dashes(text: &str, known: &[&clap::Arg]) -> Option<String> {
    let rest = text
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-'))?;
    let name = rest.split('=').next().filter(|name| name.len() > 3)?;
    let is_known = known.iter().any(|option| {
        option.get_long() == Some(name)
            || option
                .get_visible_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    });
    is_known.then(|| format!("-{text}"))
}

/// A command line that was understood.
#[derive(Debug)]
pub(super) struct Understood {
    /// Our command line, with the program's name.
    pub(super) line: Vec<OsString>,
    /// A note that says how the line was read, if it wasn't one of ours.
    pub(super) note: Option<String>,
}

/// Reads a command line as ours, or as another tool's. The error says what to write
/// instead.
pub(super) fn understood(arguments: Vec<OsString>) -> Result<Understood, String> {
    let as_it_is = |line| Understood { line, note: None };
    let texts = arguments.iter().skip(1).map(|word| word.to_str());
    let Some(words) = texts
        .map(|text| text.map(str::to_owned))
        .collect::<Option<Vec<_>>>()
    else {
        return Ok(as_it_is(arguments));
    };
    let program = arguments.first().cloned().unwrap_or_default();
    if let Some(instead) = others::of_another_program(&words) {
        return Err(instead);
    }
    if let Some(stats) = report_of_vegeta(&words)? {
        return Ok(of_reading("vegeta", program, &stats));
    }
    let command = Arguments::command();
    let Some(hit) = command.find_subcommand("hit") else {
        return Ok(as_it_is(arguments));
    };
    let first = words.first().filter(|first| !Path::new(first).exists());
    if first.is_some()
        && let Some(reading) = dialects::named(&words, hit)
    {
        return reading.map(|mut reading| {
            // vegeta's results go to the standard output, from which its report reads
            // them.
            let has_output = reading.words.iter().any(|word| word == "--output");
            if reading.tool == "vegeta" && !has_output && is_read_by_another() {
                reading.words.extend(["--output", "-"].map(str::to_owned));
            }
            of_reading(reading.tool, program, &reading)
        });
    }
    let line = completed(arguments.into_iter());
    let misread = misread(&line);
    if misread.is_none() && is_ours(&line) {
        return Ok(as_it_is(line));
    }
    let words = match words.split_first() {
        Some((first, rest)) if first == "hit" => rest,
        _ => &words,
    };
    let is_hit = line.get(1).is_some_and(|command| command == "hit");
    let is_valid = |reading: &Reading| is_ours(&of_reading("", program.clone(), reading).line);
    let readings = match is_hit {
        true => dialects::readings(words, hit, is_valid),
        false => Vec::new(),
    };
    match &*readings {
        [] if is_hit && misread.is_none() && is_of_others(&line) => {
            match &*dialects::unended_readings(words, hit, is_valid) {
                [] => Ok(as_it_is(line)),
                unended => Err(format!(
                    "for how long? Write this, or another duration or number of hits:{}",
                    dialects::listed(unended)
                )),
            }
        }
        [] => misread.map_or(Ok(as_it_is(line)), Err),
        [first, others @ ..] if others.iter().all(|it| it.words == first.words) => {
            Ok(of_reading(first.tool, program, first))
        }
        several => Err(format!(
            "this can mean several things. Write one of these:{}",
            dialects::listed(several)
        )),
    }
}

/// Whether an option isn't one of ours.
fn is_of_others(line: &[OsString]) -> bool {
    let parsed = Arguments::command().try_get_matches_from(line);
    parsed.is_err_and(|error| error.kind() == ErrorKind::UnknownArgument)
}

/// Whether the standard output is neither a terminal nor where the standard error goes.
fn is_read_by_another() -> bool {
    let same = match (fstat(stdout()), fstat(stderr())) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    };
    !stdout().is_terminal() && !same
}

fn of_reading(tool: &str, program: OsString, reading: &Reading) -> Understood {
    let words = reading.words.iter().map(OsString::from);
    Understood {
        line: [program].into_iter().chain(words).collect(),
        note: Some(format!("as in {tool}: {}", reading.shown())),
    }
}

/// Whether our own parser accepts the line and its hits have an end. Help and versions
/// count too.
fn is_ours(line: &[OsString]) -> bool {
    let matches = Arguments::command().try_get_matches_from(line);
    match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => match arguments.command {
            Some(Command::Hit(hit)) => hit.is_whole(),
            _ => true,
        },
        Err(error) => matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ),
    }
}

/// Reads vegeta's `report`, which is `encarno stats` here.
fn report_of_vegeta(words: &[String]) -> Result<Option<Reading>, String> {
    let Some((_, rest)) = words.split_first().filter(|(first, _)| *first == "report") else {
        return Ok(None);
    };
    let mut kind = None;
    let mut files = Vec::new();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match word.trim_start_matches('-').split_once('=') {
            Some(("type", value)) => kind = Some(value),
            _ if matches!(&**word, "-type" | "--type") => kind = words.next().map(|word| &**word),
            _ if word.starts_with('-') && word != "-" => return Ok(None),
            _ => files.push(word.clone()),
        }
    }
    let is_ours = !files.is_empty() || stdin().is_terminal();
    if kind.is_none() && is_ours {
        return Ok(None);
    }
    let mut stats = vec!["stats".to_owned()];
    match kind {
        None | Some("text") => {}
        Some("json") => stats.push("--json".to_owned()),
        Some(other) => {
            return Err(format!(
                "report: there is no type {other}: `encarno stats FILE` also shows a histogram"
            ));
        }
    }
    if files.is_empty() {
        files.push("-".to_owned());
    }
    stats.extend(files);
    Ok(Some(Reading::of_words("vegeta", stats)))
}

/// What to write instead of a long option of Go's programs that would be misread as a
/// short one with its value.
fn misread(line: &[OsString]) -> Option<String> {
    if line.get(1).is_none_or(|command| command != "hit") {
        return None;
    }
    let words = line.iter().skip(2).filter_map(|word| word.to_str());
    let mut words = words.take_while(|word| *word != "--");
    let word = words.find(|word| dialects::is_long_with_one_dash(word))?;
    dialects::explain(word.split('=').next().unwrap_or(word))
}

/// What to do about an unknown option. clap names only the first letter of a short option
/// with several, so this looks at the words as they were written.
pub(super) fn hint(
    error: &clap::Error,
    arguments: impl Iterator<Item = OsString>,
) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let written = arguments
        .skip(1)
        .filter_map(|argument| argument.into_string().ok());
    let mut names = written
        .filter(|argument| argument.starts_with(option.split(['=', ' ']).next().unwrap_or(option)))
        .map(|argument| argument.split('=').next().unwrap_or_default().to_owned());
    let whole = names.find_map(|name| dialects::explain(&name));
    whole.or_else(|| dialects::explain(option))
}

/// Commands of other tools, each with our command that does the same.
const OTHER_COMMANDS: [(&str, &str); 7] = [
    ("encode", "convert FILE -o FILE"),
    ("plot", "report FILE -o FILE.html"),
    ("bench", "hit URL"),
    ("test", "hit URL"),
    ("load", "hit URL"),
    ("serve", "target 8070"),
    ("server", "target 8070"),
];

/// The command that a misspelt word was meant to be, if no file has that name.
pub(super) fn meant(word: &Path) -> Option<String> {
    let text = word.to_str().filter(|_| !word.exists())?;
    let command = Arguments::command();
    if command.find_subcommand(text).is_some() {
        return None;
    }
    if let Some((_, same)) = OTHER_COMMANDS.iter().find(|(other, _)| *other == text) {
        return Some((*same).to_owned());
    }
    let names = command.get_subcommands().map(clap::Command::get_name);
    let (name, edits) = names
        .map(|name| (name, strsim::osa_distance(name, text)))
        .min_by_key(|(_, edits)| *edits)?;
    // Two edits can turn a short word into any other one.
    let edits_max = if text.len() < 5 { 1 } else { 2 };
    (edits <= edits_max).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{completed, meant};

    #[test]
    fn what_is_left_out_or_misspelt() {
        let line = |words: &[&str]| completed(words.iter().map(Into::into));
        assert_eq!(
            line(&["encarno", "HTTP://h/", "-n", "1"]),
            ["encarno", "hit", "HTTP://h/", "-n", "1"]
        );
        assert_eq!(line(&["encarno", "run.yml"]), ["encarno", "run.yml"]);
        assert_eq!(
            line(&["encarno", "-c", "1", "-rate=50", "--", "localhost:80"]),
            [
                "encarno",
                "hit",
                "-c",
                "1",
                "--rate=50",
                "--",
                "localhost:80"
            ]
        );
        assert_eq!(line(&["encarno", "h:80/a"]), ["encarno", "hit", "h:80/a"]);
        for host in [
            "localhost",
            "localhost/a",
            "example.org",
            "example.org/load.yaml",
        ] {
            assert_eq!(line(&["encarno", host]), ["encarno", "hit", host]);
        }
        for file in ["load.yaml", "script.js", "./load", "load"] {
            assert_eq!(line(&["encarno", file]), ["encarno", file]);
        }
        assert_eq!(line(&["encarno", "--help"]), ["encarno", "--help"]);
        assert_eq!(line(&["encarno", "version"]), ["encarno", "--version"]);
        for (word, command) in [
            ("hti", "hit"),
            ("stat", "stats"),
            ("conver", "convert"),
            ("targt", "target"),
            ("plot", "report FILE -o FILE.html"),
            ("serve", "target 8070"),
        ] {
            assert_eq!(meant(Path::new(word)).as_deref(), Some(command), "{word}");
        }
        assert_eq!(meant(Path::new("load.yaml")), None);
    }
}
