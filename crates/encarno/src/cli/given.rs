//! The command line as names and values for the result file. A value is shown if its type
//! can't hold a secret; a value of an unknown type is never shown.

use std::any::TypeId;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use encarno_capacity::goal::Goal;
use encarno_engine::schedule::Schedule;
use encarno_input::{AutoLabel, BadLimit, InputFormat};
use encarno_record::Expected;
use encarno_record::mask::masked_url;
use encarno_report::served::Address;
use encarno_secret::{FileOrText, MASK};

use super::flags::fleet::{Agents, Collect};
use super::flags::load::ArrivalsArgument;
use super::flags::part::Instant;
use super::flags::rate::Rate;
use crate::criteria::{Condition, StopRules};
use crate::url_text::{HeaderText, UrlText, ValueText};

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Showing {
    /// As it was written.
    Written,
    /// The URL without user, password and query.
    Url,
    /// The header's name, and its value only if that can't be a secret.
    Header,
    /// The file's name, but not a text in its place.
    File,
    /// The name alone.
    Name,
    /// Nothing.
    Hidden,
}

/// The options of a command that have a value, as they were written, in the order of the
/// help.
pub(super) fn settings(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let arguments = command.get_arguments();
    arguments
        .filter_map(|argument| {
            let source = matches.value_source(argument.get_id().as_str())?;
            let name = argument.get_long().unwrap_or(argument.get_id().as_str());
            let text = match argument.get_action() {
                ArgAction::SetTrue if source == ValueSource::CommandLine => "yes".to_owned(),
                ArgAction::Set | ArgAction::Append => values(argument, matches)?,
                _ => return None,
            };
            Some((name.to_owned(), text))
        })
        .collect()
}

/// The same for the innermost command that was given.
pub(super) fn settings_of_subcommand(
    command: &Command,
    matches: &ArgMatches,
) -> Vec<(String, String)> {
    let mut found = None;
    let mut at = (command, matches);
    while let Some((name, matches)) = at.1.subcommand()
        && let Some(command) = at.0.find_subcommand(name)
    {
        at = (command, matches);
        found = Some(at);
    }
    found.map_or_else(Vec::new, |(command, matches)| settings(command, matches))
}

fn values(argument: &Arg, matches: &ArgMatches) -> Option<String> {
    let showing = showing(argument);
    let texts = matches.get_raw(argument.get_id().as_str())?;
    let texts: Vec<_> = texts.map(|text| shown(showing, text)).collect();
    let text = texts.join(", ");
    (!text.is_empty()).then_some(text)
}

fn shown(showing: Showing, text: &OsStr) -> String {
    let text = text.to_string_lossy();
    match showing {
        Showing::Written => text.into_owned(),
        Showing::Url => masked_url(&text),
        Showing::File => FileOrText::from(&*text).to_string(),
        Showing::Header => match text.parse::<HeaderText>() {
            Ok(header) => header.shown(),
            Err(never) => match never {},
        },
        Showing::Name => match text.split_once('=') {
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        },
        Showing::Hidden => MASK.to_owned(),
    }
}

fn showing(argument: &Arg) -> Showing {
    let of = argument.get_value_parser().type_id();
    let is = |known: &[TypeId]| known.iter().any(|known| of == *known);
    if is(&[TypeId::of::<UrlText>()]) {
        Showing::Url
    } else if is(&[TypeId::of::<FileOrText>()]) {
        Showing::File
    } else if is(&[TypeId::of::<HeaderText>()]) {
        Showing::Header
    } else if is(&[TypeId::of::<ValueText>()]) {
        Showing::Name
    } else if is(&written()) {
        Showing::Written
    } else {
        Showing::Hidden
    }
}

/// The types whose values hold no secret.
fn written() -> Vec<TypeId> {
    vec![
        TypeId::of::<String>(),
        TypeId::of::<PathBuf>(),
        TypeId::of::<bool>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<f64>(),
        TypeId::of::<NonZeroU64>(),
        TypeId::of::<NonZeroUsize>(),
        TypeId::of::<Duration>(),
        TypeId::of::<(Duration, Duration)>(),
        TypeId::of::<RangeInclusive<u32>>(),
        TypeId::of::<IpAddr>(),
        TypeId::of::<(String, Vec<IpAddr>)>(),
        TypeId::of::<Rate>(),
        TypeId::of::<Schedule>(),
        TypeId::of::<Address>(),
        TypeId::of::<ArrivalsArgument>(),
        TypeId::of::<(usize, usize)>(),
        TypeId::of::<Agents>(),
        TypeId::of::<Collect>(),
        TypeId::of::<Instant>(),
        TypeId::of::<Expected>(),
        TypeId::of::<Goal>(),
        TypeId::of::<Condition>(),
        TypeId::of::<StopRules>(),
        TypeId::of::<InputFormat>(),
        TypeId::of::<AutoLabel>(),
        TypeId::of::<BadLimit>(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)] // a test that can't go on says why

    use std::any::TypeId;

    use clap::CommandFactory as _;
    use encarno_secret::Secret;

    use super::{Showing, settings, showing};
    use crate::cli::Arguments;

    #[test]
    fn settings_are_what_was_written_and_no_secret() {
        let line = "encarno hit http://u:hunter2@h/?q=hunter2 -H Accept:*/* -H X-Token:hunter2 \
                    -d hunter2 -u me:hunter2 -x http://p:hunter2@proxy:1/ -O key=hunter2 \
                    --rate line(1,9,3s) -k -o a.enc";
        let command = Arguments::command();
        let matches = command.clone().get_matches_from(line.split_whitespace());
        let (name, matches) = matches.subcommand().expect("a command");
        let command = command.find_subcommand(name).expect("the command");
        let found = settings(command, matches);
        let value = |name: &str| {
            let found = found.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| &**value)
        };
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert_eq!(value("url"), Some("http://*********@h/?q=*******"));
        assert_eq!(value("header"), Some("Accept: */*, X-Token: ***"));
        assert_eq!(value("rate"), Some("line(1,9,3s)"));
        assert_eq!(value("timeout"), Some("10s"), "a default");
        assert_eq!(value("insecure"), Some("yes"));
        assert_eq!(value("output"), Some("a.enc"));
        assert_eq!(value("location"), None, "it wasn't given");
        assert_eq!(value("label"), None, "it is empty");
    }

    #[test]
    fn whoever_adds_a_type_says_whether_it_is_secret() {
        let command = Arguments::command();
        for name in ["hit", "capacity"] {
            let command = command.find_subcommand(name).expect("a command");
            for argument in command.get_arguments() {
                let secret = argument.get_value_parser().type_id() == TypeId::of::<Secret>();
                let hidden = showing(argument) == Showing::Hidden;
                assert_eq!(secret, hidden, "{name} {}", argument.get_id());
            }
        }
    }
}
