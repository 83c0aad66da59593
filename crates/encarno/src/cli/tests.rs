//! Rules that hold for all commands.

#![allow(clippy::expect_used)] // a test that can't go on says why

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{Arguments, DURATIONS, habits};

/// The program's reading of a command line.
fn parsed(words: &[String]) -> Result<Arguments, clap::Error> {
    let line = words.iter().map(Into::into);
    Arguments::try_parse_from(habits::completed(line))
}

#[test]
fn all_durations_are_written_alike() {
    let mut options = 0;
    let mut command = Arguments::command();
    for command in command.get_subcommands_mut() {
        let is_duration = |option: &&clap::Arg| {
            let names = option.get_value_names().unwrap_or_default();
            names.iter().any(|name| name.as_str() == "DURATION")
        };
        let durations: Vec<_> = command.get_opts().filter(is_duration).cloned().collect();
        let help = command.render_long_help().to_string();
        assert_eq!(
            !durations.is_empty(),
            help.contains(DURATIONS),
            "{}",
            command.get_name()
        );
        for option in durations {
            let long = option.get_long().expect("a name");
            let refuses = |text: &str| {
                let words = ["encarno", command.get_name(), &format!("--{long}={text}")];
                let parsed = parsed(&words.map(str::to_owned));
                // Another argument may be missing.
                parsed.is_err_and(|error| error.kind() == ErrorKind::ValueValidation)
            };
            for text in ["1.5", "0.5s", "200ms", "1m30s", "1h", "1d"] {
                assert!(!refuses(text), "--{long}={text}");
            }
            for text in ["", "soon", "1x", "-1s", "5 s", "1s1m"] {
                assert!(refuses(text), "--{long}={text}");
            }
            options += 1;
        }
    }
    assert!(options >= 9, "{options}");
}

/// The words of a command line; some may be quoted.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in text.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Each option that docs/from-other-tools.md names as ours exists.
#[test]
fn options_for_those_of_other_tools() {
    let page = include_str!("../../../../docs/from-other-tools.md");
    let tables = page
        .split("\n## ")
        .filter(|section| section.contains("| encarno |"));
    let mut rows = 0;
    for line in tables
        .flat_map(str::lines)
        .filter(|line| line.starts_with("| "))
    {
        let cell = line.split(" | ").nth(1).expect("two cells");
        let snippets = cell.split('`').skip(1).step_by(2).enumerate();
        for (number, snippet) in snippets {
            let mut line = words(snippet);
            match line.first().map(String::as_str) {
                Some("encarno") => {}
                Some(option) if number == 0 && option.starts_with('-') => {
                    let start = ["encarno", "hit", "http://127.0.0.1:1/"];
                    line.splice(0..0, start.map(str::to_owned));
                }
                _ => continue,
            }
            if let Err(error) = parsed(&line) {
                panic!("{snippet}: {error}");
            }
            rows += 1;
        }
    }
    assert!(rows >= 70, "{rows}");
}

/// Checks for each line of tests/habits.txt which command runs, or which message is
/// shown.
#[test]
fn commands_by_habit() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "GET http://h:80/\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let list = include_str!("../../tests/habits.txt");
    let mut typed = Vec::new();
    let mut count = 0;
    for line in list.lines() {
        let line_words = words(&line.replace("FILE", file));
        match line_words.first().map(String::as_str) {
            None | Some("#") => {}
            Some("encarno") => typed = line_words,
            Some(sign) => {
                let arguments = typed.iter().map(Into::into).collect();
                let is_named = |word: &String| word == "attack";
                let understood = habits::understood(arguments);
                match (sign, understood) {
                    ("=", Ok(understood)) => {
                        let mut words: Vec<_> = understood.line[1..]
                            .iter()
                            .map(|word| word.to_str().expect("UTF-8").to_owned())
                            .collect();
                        // If the tests' output isn't a terminal, results would go there.
                        if typed.iter().any(is_named) && words.ends_with(&["-".to_owned()]) {
                            words.truncate(words.len() - 2);
                        }
                        assert_eq!(words, line_words[1..], "{typed:?}");
                        let is_changed = words != typed[1..] && words[1..] != typed[1..];
                        let is_told = understood.note.is_some() || words == ["--version"];
                        assert_eq!(is_changed, is_told, "{typed:?}: {:?}", understood.note);
                        let note = understood.note.unwrap_or_default();
                        assert!(!note.contains("secret"), "{note}");
                    }
                    ("!", Err(said)) => {
                        let says = line.trim_start_matches("! ");
                        assert!(said.contains(says), "{typed:?}: {said}");
                    }
                    // The line is refused later; a test of the program checks that.
                    ("!", Ok(understood)) => assert_eq!(understood.note, None, "{typed:?}"),
                    (_, outcome) => panic!("{typed:?}: {outcome:?}"),
                }
                count += 1;
            }
        }
    }
    assert!(count >= 60, "{count}");
}
