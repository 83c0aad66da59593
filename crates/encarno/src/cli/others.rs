//! Files and commands of other programs, and the programs that run them.

use std::path::Path;

/// Scripts and plans of other tools, by the ends of their names.
pub(super) const OTHERS: [(&str, &str); 6] = [
    ("js", "k6"),
    ("ts", "k6"),
    ("lua", "wrk"),
    ("py", "Locust"),
    ("jmx", "JMeter"),
    ("enc", "encarno stats"),
];

/// Commands of k6 that we don't have.
const OF_K6: [&str; 6] = ["new", "cloud", "inspect", "archive", "login", "deps"];

/// Whether the word is an option whose value is an output file.
fn is_output(word: &str) -> bool {
    matches!(word, "-o" | "--output" | "--growing")
}

/// The message for a command line of another program, such as `run --vus 10 script.js`.
pub(super) fn of_another_program(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let end = |word: &str| Path::new(word).extension()?.to_str().map(str::to_owned);
    let of = |word: &String| {
        let end = end(word)?;
        let (_, program) = OTHERS.iter().find(|(known, _)| end == *known)?;
        Some((word.clone(), *program))
    };
    let is_run = first == "run" || Path::new(first).exists() && of(first).is_some();
    if !is_run {
        let is_k6 = OF_K6.contains(&&**first) && !Path::new(first).exists();
        let text = || format!("{first} is a command of k6: write `k6 {}`", words.join(" "));
        return is_k6.then(text);
    }
    let is_script = |word: &&String| !word.starts_with('-') && of(word).is_some();
    // An output file isn't the file to run: `run load.yml -o run.enc`. Nor is a setting.
    let outputs = words
        .windows(2)
        .filter(|pair| is_output(&pair[0]) || pair[0] == "--set");
    let outputs: Vec<&String> = outputs.map(|pair| &pair[1]).collect();
    let mut read = words.iter().filter(|word| !outputs.contains(word));
    let (script, program) = read.find(is_script).and_then(of)?;
    let written = if first == "run" { rest } else { words }.join(" ");
    Some(match program {
        "k6" => format!(
            "{script} is a script of k6: run it with `k6 run {written}`. The k6 that is built here \
             also writes encarno's results. `encarno run` takes a configuration, and `encarno URL` \
             needs no file"
        ),
        "JMeter" => format!("{script} is a plan of JMeter: JMeter or Taurus (bzt) runs it"),
        "encarno stats" => format!(
            "{script} holds results: `encarno stats {script}` sums them up, and \
             `encarno report {script}` writes a page"
        ),
        _ => format!(
            "{script} is a script of {program}. encarno sends records instead, which can use values \
             of earlier responses: see docs/scripting.md"
        ),
    })
}
