//! Tools whose load is a number of users: siege and Locust.

use super::tool::{Ours, RESULTS, Takes, Tool, opt, usual};

pub(super) const SIEGE: Tool = Tool {
    name: "siege",
    go: false,
    word: Some("siege"),
    no_url: false,
    shares: &[],
    options: &[
        opt(
            &["-c", "--concurrent"],
            Takes::Number,
            Ours::Option("--connections"),
        ),
        opt(&["-t", "--time"], Takes::Minutes, Ours::Option("--for")),
        opt(&["-r", "--reps"], Takes::Number, Ours::HitsOfWorker),
        opt(&["-H", "--header"], Takes::Text, Ours::Option("--header")),
        opt(
            &["-A", "--user-agent"],
            Takes::Agent,
            Ours::Header("User-Agent"),
        ),
        opt(
            &["-T", "--content-type"],
            Takes::Media,
            Ours::Header("Content-Type"),
        ),
        opt(&["-f", "--file"], Takes::File, Ours::Option("--input")),
        opt(
            &["-b", "--benchmark"],
            Takes::Nothing,
            Ours::Nothing("workers never pause"),
        ),
        opt(
            &["-d", "--delay"],
            Takes::Number,
            Ours::Instead("workers never pause: write --rate N for N hits a second"),
        ),
        opt(
            &["-i", "--internet"],
            Takes::Nothing,
            Ours::Instead("records are sent in the order of the file: leave it out"),
        ),
        opt(&["-q", "--quiet"], Takes::Nothing, Ours::Option("--quiet")),
        opt(
            &["-j", "--json-output"],
            Takes::Nothing,
            Ours::Option("--json"),
        ),
        opt(
            &["-v", "--verbose", "-N", "--no-parser"],
            Takes::Nothing,
            Ours::Nothing("nothing corresponds to it"),
        ),
        opt(
            &["-m", "--mark"],
            Takes::Text,
            Ours::Nothing("nothing corresponds to it"),
        ),
        opt(
            &["--no-follow"],
            Takes::Nothing,
            Ours::Nothing("redirects are only followed with -L"),
        ),
        opt(
            &["-R", "--rc"],
            Takes::Text,
            Ours::Instead("write the options on the command line"),
        ),
    ],
    usual: &[
        usual(&["-c", "--connections"], &["--connections", "25"]),
        usual(&[], &["-H", "Connection: close"]),
        usual(&["--no-follow", "--location"], &["--location"]),
    ],
};

/// Only options, because Locust runs a script.
pub(super) const LOCUST: Tool = Tool {
    name: "Locust",
    go: false,
    word: Some("locust"),
    no_url: false,
    shares: &[],
    options: &[
        opt(&["--host", "-H"], Takes::Url, Ours::Url),
        opt(&["--users", "-u"], Takes::Number, Ours::Users),
        opt(&["--spawn-rate", "-r"], Takes::Number, Ours::SpawnRate),
        opt(
            &["--run-time", "-t"],
            Takes::Duration,
            Ours::Option("--for"),
        ),
        opt(
            &["--stop-timeout", "-s"],
            Takes::Duration,
            Ours::Option("--grace"),
        ),
        opt(&["--headless"], Takes::Nothing, Ours::Option("--lines")),
        opt(&["--only-summary"], Takes::Nothing, Ours::Option("--quiet")),
        opt(&["--json"], Takes::Nothing, Ours::Option("--json")),
        opt(&["--html"], Takes::Text, Ours::Option("--report")),
        opt(&["--csv"], Takes::Text, RESULTS),
        opt(
            &["--locustfile", "-f"],
            Takes::Text,
            Ours::Instead(
                "a script of Locust can't be run: write records with scripts, see docs/scripting.md",
            ),
        ),
        opt(
            &["--master", "--worker"],
            Takes::Nothing,
            Ours::Instead("write --agents N, see docs/fleet.md"),
        ),
    ],
    usual: &[usual(&["--users"], &["--connections", "1"])],
};

/// siege's times in our form: `30S` becomes `30s`, and `2`, which is minutes, becomes
/// `2m`.
pub(super) fn minutes(text: &str) -> String {
    let mut text = text.to_ascii_lowercase();
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        text.push('m');
    }
    text
}

/// The workers for Locust's users, who start one after the other, by default one a
/// second.
pub(super) fn workers(users: Option<f64>, spawn_rate: Option<f64>) -> Option<[String; 2]> {
    let users = users.filter(|users| *users >= 1.0)?;
    let rate = spawn_rate.filter(|rate| *rate > 0.0).unwrap_or(1.0);
    let milliseconds = (users / rate * 1000.0).round();
    let words = match users <= rate {
        true => ["--connections".to_owned(), users.to_string()],
        false => [
            "--workers".to_owned(),
            format!("ramp({users},{milliseconds}ms)"),
        ],
    };
    Some(words)
}
