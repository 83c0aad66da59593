//! What users of other tools type.

use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};
use encarno_engine::schedule::Schedule;

/// Schemes of URLs that can be hit.
const SCHEMES: [&str; 8] = [
    "http://",
    "https://",
    "tcp://",
    "tls://",
    "tcp+unix://",
    "udp://",
    "http+unix://",
    "dummy:",
];

/// The command line with what is left out: `encarno http://host/` and
/// `encarno -c 10 http://host/` are `encarno hit …`; and `-rate 50` is `--rate 50`.
pub(super) fn completed(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let Some(first) = arguments.get(1).and_then(|first| first.to_str()) else {
        return arguments;
    };
    let is_own = matches!(first, "-h" | "--help" | "-V" | "--version");
    // As Yandex.Tank has it: -c load.yaml.
    let second = arguments.get(2).and_then(|second| second.to_str());
    if first == "-c" && second.is_some_and(is_configuration) {
        arguments[1] = "run".into();
        return arguments;
    }
    if is_configuration(first) {
        arguments.insert(1, "run".into());
        return arguments;
    }
    if is_url(first) || first.starts_with('-') && first != "-" && !is_own {
        arguments.insert(1, "hit".into());
    }
    if arguments.get(1).is_some_and(|command| command == "hit") {
        let command = super::Arguments::command();
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

/// A URL that can be hit, or `host:port` that is no file.
fn is_url(text: &str) -> bool {
    let has_scheme = SCHEMES.iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let authority = text.split(['/', '?']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    has_scheme || port.is_some_and(|port| port.parse::<u16>().is_ok()) && !Path::new(text).exists()
}

/// A file that isn't named like a command.
fn is_configuration(text: &str) -> bool {
    let is_command = || super::Arguments::command().find_subcommand(text).is_some();
    Path::new(text).is_file() && !is_command()
}

/// Go's programs write long options with one dash: `-rate=50`.
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

/// What to write instead of an option of another tool.
const OTHERS: &[(&str, &str)] = &[
    (
        "-t",
        "for threads write --threads N, for the longest time of a hit --timeout DURATION",
    ),
    (
        "-q",
        "-q shows nothing while it runs; for a rate write -r N",
    ),
    ("--latency", "latencies are always shown: leave it out"),
    ("-body", "write -d @FILE"),
    ("--body", "write -d @FILE"),
    ("-targets", "write -i FILE --format vegeta"),
    ("--targets", "write -i FILE --format vegeta"),
    ("--stage", "write --workers 'line(1,100,30s) const(100,1m)'"),
    ("--iterations", "write -n N"),
    ("--disable-keepalive", "write -H 'Connection: close'"),
    ("-disable-keepalive", "write -H 'Connection: close'"),
    (
        "-keepalive",
        "for a new connection each write -H 'Connection: close'",
    ),
    ("-A", "write -H 'Accept: TYPE'"),
    ("-T", "write -H 'Content-Type: TYPE'"),
    ("-D", "write -d @FILE"),
    ("-host", "write -H 'Host: NAME'"),
    ("-max-workers", "write -c N"),
    ("-max-connections", "write -c N"),
    (
        "-max-body",
        "the body of an answer is read whole: leave it out",
    ),
    ("-name", "write --label NAME"),
    ("-cert", "write --certificate FILE"),
    (
        "-lazy",
        "a file is always read piece by piece: leave it out",
    ),
    ("-format", "write -i FILE --format NAME"),
    ("-unix-socket", "the URL is http+unix:///PATH"),
    ("-resolvers", "write --resolve NAME=IP"),
    ("-session-tickets", "TLS sessions are resumed: leave it out"),
    ("-http2", "write --http2"),
    ("-h2", "write --http2"),
    (
        "-h2c",
        "write --http2; over http:// it begins without an upgrade",
    ),
    ("-cpus", "write --threads N"),
    (
        "-disable-compression",
        "encarno doesn't ask for it: leave it out",
    ),
    (
        "-disable-redirects",
        "redirects are only followed with -L: leave it out",
    ),
    ("-root-certs", "write --ca-file FILE"),
    ("--cacert", "write --ca-file FILE"),
    ("--cert", "write --certificate FILE"),
    ("-laddr", "write --source-address IP"),
    ("--connect-to", "write --resolve NAME=IP"),
    ("--unix-socket", "the URL is http+unix:///PATH"),
    ("--urls-from-file", "write -i FILE"),
    ("--redirect", "write -L"),
    ("-redirects", "write -L"),
    (
        "--latency-correction",
        "response times always count from the instant a hit was due: leave it out",
    ),
    ("--rps", "write -r N"),
    ("--summary-export", "write --summary FILE"),
    ("--insecure-skip-tls-verify", "write -k"),
];

/// What to write instead of a long option of Go's programs that would be misread as a
/// short one with its value: `-disable-keepalive` is no `-d isable-keepalive`.
pub(super) fn misread(arguments: &[OsString]) -> Option<String> {
    if arguments.get(1).is_none_or(|command| command != "hit") {
        return None;
    }
    let written = arguments
        .iter()
        .skip(2)
        .filter_map(|argument| argument.to_str());
    let mut written = written.take_while(|argument| *argument != "--");
    written.find_map(|argument| {
        let name = argument.split('=').next().unwrap_or_default();
        let is_long = name.len() > 2 && !name.starts_with("--");
        let (other, instead) = OTHERS.iter().find(|(other, _)| is_long && *other == name)?;
        Some(format!("{other}: {instead}"))
    })
}

/// What to do about an option that isn't known. clap names a short option of several
/// letters by its first one only, so that the arguments are looked at as they were written.
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
    let names = written
        .filter(|argument| argument.starts_with(option.split(['=', ' ']).next().unwrap_or(option)))
        .map(|argument| argument.split('=').next().unwrap_or_default().to_owned());
    names.chain([option.clone()]).find_map(|name| {
        let (other, instead) = OTHERS.iter().find(|(other, _)| *other == name)?;
        Some(format!("{other}: {instead}"))
    })
}

/// Commands of other tools, with what does the same.
const OTHER_COMMANDS: [(&str, &str); 5] = [
    ("attack", "hit URL -i FILE --format vegeta"),
    ("encode", "convert FILE -o FILE"),
    ("plot", "report FILE -o FILE.html"),
    ("bench", "hit URL"),
    ("test", "hit URL"),
];

/// The command that a word was meant to be, if there is no file of that name.
pub(super) fn meant(word: &Path) -> Option<String> {
    let text = word.to_str().filter(|_| !word.exists())?;
    let command = super::Arguments::command();
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
    // A short word is another one after two edits.
    let edits_max = if text.len() < 5 { 1 } else { 2 };
    (edits <= edits_max).then(|| name.to_owned())
}

/// What `--rate` says: a schedule, or one rate.
#[derive(Clone, Debug)]
pub(super) enum Rate {
    Schedule(Schedule),
    /// As a schedule has it, in hits per second.
    Constant(String),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('(') {
            return text
                .parse()
                .map(Self::Schedule)
                .map_err(|error: encarno_engine::schedule::ScheduleError| error.to_string());
        }
        let (number, per) = text.split_once('/').unwrap_or((text, "s"));
        let (digits, factor) = match number.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1000.0),
            None => (number, 1.0),
        };
        let seconds = match per {
            "s" | "sec" | "1s" => 1.0,
            "m" | "min" | "1m" => 60.0,
            "h" | "1h" => 3600.0,
            _ => f64::NAN,
        };
        let rate = digits
            .parse::<f64>()
            .map(|number| number * factor / seconds);
        match rate {
            Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Self::Constant(format!("{rate:.6}"))),
            _ => Err(
                "write a rate such as 500, 500/s, 30/m or 1k, or a schedule such as 'line(1,100,30s)'"
                    .to_owned(),
            ),
        }
    }
}

impl Rate {
    /// The schedule; one rate holds for so long.
    pub(super) fn schedule(&self, duration: Option<Duration>) -> Result<Schedule, String> {
        match (self, duration) {
            (Self::Schedule(schedule), _) => Ok(schedule.clone()),
            (Self::Constant(_), None) => {
                Err("for how long? Give --for DURATION with --rate".to_owned())
            }
            (Self::Constant(rate), Some(duration)) => {
                format!("const({rate},{}s)", duration.as_secs_f64())
                    .parse()
                    .map_err(|error: encarno_engine::schedule::ScheduleError| error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Rate, completed, meant};

    #[test]
    fn rates_as_others_write_them() {
        let hits = |text: &str| {
            let rate: Rate = text.parse().expect(text);
            let schedule = rate.schedule(Some(Duration::from_secs(10))).expect(text);
            assert_eq!(schedule.duration_ns(), 10_000_000_000, "{text}");
            schedule.pieces()[0].from.0
        };
        for (text, millionths) in [
            ("500", 500_000_000),
            ("500/s", 500_000_000),
            ("30/m", 500_000),
            ("1k", 1_000_000_000),
            ("1.5k/s", 1_500_000_000),
        ] {
            assert_eq!(hits(text), millionths, "{text}");
        }
        assert!(
            "500"
                .parse::<Rate>()
                .expect("a rate")
                .schedule(None)
                .is_err()
        );
        for text in ["", "0", "-1", "fast", "5/d", "const(1"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

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
        assert_eq!(line(&["encarno", "--help"]), ["encarno", "--help"]);
        for (word, command) in [
            ("hti", "hit"),
            ("stat", "stats"),
            ("conver", "convert"),
            ("targt", "target"),
            ("plot", "report FILE -o FILE.html"),
        ] {
            assert_eq!(meant(Path::new(word)).as_deref(), Some(command), "{word}");
        }
        assert_eq!(meant(Path::new("load.yaml")), None);
    }
}
