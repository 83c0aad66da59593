//! What users of other tools type.

use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::CommandFactory;
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

/// The command line with what is left out: `encarno http://host/` is `encarno hit http://host/`. A word that is close to a command's name, and no file, stands
/// where clap sees that it is no command.
pub(super) fn completed(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let Some(first) = arguments.get(1).and_then(|first| first.to_str()) else {
        return arguments;
    };
    let is_url = SCHEMES.iter().any(|scheme| {
        first
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    if is_url {
        arguments.insert(1, "hit".into());
    }
    arguments
}

/// The command that a word was meant to be, if there is no file of that name.
pub(super) fn meant(word: &Path) -> Option<String> {
    let text = word.to_str().filter(|_| !word.exists())?;
    let command = super::Arguments::command();
    if command.find_subcommand(text).is_some() {
        return None;
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
        for (word, command) in [
            ("hti", "hit"),
            ("stat", "stats"),
            ("conver", "convert"),
            ("targt", "target"),
        ] {
            assert_eq!(meant(Path::new(word)).as_deref(), Some(command), "{word}");
        }
        assert_eq!(meant(Path::new("load.yaml")), None);
    }
}
