//! The command line that agents get: without the options of the coordinator.

use crate::cli::flags::pods;
use crate::cli::habits;

/// Options of the coordinator that have a value.
const VALUED: [&str; 15] = [
    "--agents",
    "--growing",
    "--parent",
    "--nats",
    "--group",
    "--nats-credentials",
    "--nats-ca",
    "--collect",
    "--silence",
    "--output",
    "--report",
    "--fail-if",
    "--stop-if",
    "--summary",
    "--junit",
];
/// Options of the coordinator that may have a value, as clap reads it.
const MAY_BE_VALUED: [&str; 2] = ["--live", "--metrics"];
/// Options of the coordinator that have no value.
const PLAIN: [&str; 7] = [
    "--quiet", "-q", "--json", "-j", "--lines", "--no-tui", "--strict",
];

/// This process' own command line, such as `hit URL --rate 500`.
pub(super) fn of_agents() -> Vec<String> {
    let line = habits::completed(std::env::args_os());
    let words = line
        .into_iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    without_own(words)
}

fn without_own(words: impl Iterator<Item = String>) -> Vec<String> {
    let of_pods = pods::pod_options();
    let valued = |word: &str| VALUED.contains(&word) || of_pods.iter().any(|known| known == word);
    let mut kept = Vec::new();
    let mut words = words.peekable();
    // `encarno kube hit URL` becomes `encarno hit URL` on the agents.
    words.next_if(|word| word == "kube");
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if word == "-o" || valued(&word) {
            words.next();
        } else if MAY_BE_VALUED.contains(&&*word) {
            words.next_if(|next| !next.starts_with('-'));
        } else if MAY_BE_VALUED.contains(&name) || valued(name) || PLAIN.contains(&&*word) {
            // The option and its value are one word.
        } else if word.starts_with("-o") {
            // The value follows in the same word, as in -oFILE.
        } else {
            kept.push(word);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::without_own;

    #[test]
    fn agents_get_what_makes_the_run() {
        let line = "hit http://a/ --agents 4 --rate 5 -o run.enc --nats=nats://h -q --for 1s -orun.enc \
                    --fail-if p99>1s --strict --output=x --live -c 3 --collect hits --live :7070 --live=:1 \
                    --metrics --stop-if=p99>1s --summary s.json --junit j.xml --metrics :9 --parent 7 --growing g.enc";
        let kept = without_own(line.split_ascii_whitespace().map(str::to_owned));
        assert_eq!(kept.join(" "), "hit http://a/ --rate 5 --for 1s -c 3");
    }

    #[test]
    fn agents_know_nothing_of_their_pods() {
        let line = "kube hit http://a/ --namespace load --image=i:1 --agents 4 --rate 5 --memory 1Gi \
                    --node-selector disk=fast --for 1s";
        let kept = without_own(line.split_ascii_whitespace().map(str::to_owned));
        assert_eq!(kept.join(" "), "hit http://a/ --rate 5 --for 1s");
    }
}
