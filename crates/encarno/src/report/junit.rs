//! A run as JUnit XML: a test case for each condition, one for the hits, and one for the
//! generator.

use std::fmt::Write as _;

use encarno_record::statistics::{counted, time_text};

use crate::report::verdict_text;
use crate::supervise::Ended;

/// The text of the file. With `strict`, a case fails if the generator was the limit.
pub fn text(ended: &Ended, strict: bool) -> String {
    let summary = &ended.summary;
    let (hits, failed) = (summary.total.hits, summary.total.failed);
    let mut cases = vec![(
        "hits".to_owned(),
        ended
            .no_hit_succeeded()
            .then(|| format!("all {} failed", counted(hits, "hit"))),
    )];
    for judged in &ended.judged {
        let failure = judged
            .holds
            .then(|| format!("{} (it is {})", judged.text, judged.shown));
        cases.push((judged.text.clone(), failure));
    }
    if let Some(reason) = &ended.stopped_by {
        cases.push((format!("stop-if {reason}"), Some(reason.clone())));
    }
    if !ended.lost.is_empty() {
        cases.push(("agents".to_owned(), Some(ended.lost.join(". "))));
    }
    let limited = strict && summary.verdict.is_limited();
    cases.push((
        "generator".to_owned(),
        limited.then(|| verdict_text(&summary.verdict)),
    ));
    let failures = cases
        .iter()
        .filter(|(_, failure)| failure.is_some())
        .count();
    let seconds = summary.elapsed_ns as f64 * 1e-9;
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n  <testsuite name=\"encarno\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" \
         skipped=\"0\" time=\"{seconds:.3}\">\n",
        cases.len(),
    );
    for (name, failure) in &cases {
        let name = escaped(name);
        let case =
            format!("    <testcase classname=\"encarno\" name=\"{name}\" time=\"{seconds:.3}\"");
        let _fits = match failure {
            None => writeln!(text, "{case}/>"),
            Some(failure) => {
                let failure = escaped(failure);
                writeln!(
                    text,
                    "{case}>\n      <failure message=\"{failure}\">{failure}</failure>\n    </testcase>"
                )
            }
        };
    }
    let said = format!(
        "{}, {failed} failed, response p50 {} p99 {}",
        counted(hits, "hit"),
        time_text(summary.total.response_ns.quantile(0.5) as f64),
        time_text(summary.total.response_ns.quantile(0.99) as f64),
    );
    let _fits = write!(
        text,
        "    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>\n",
        escaped(&said)
    );
    text
}

/// Text escaped for XML; characters that XML doesn't allow are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_label_does_not_break_the_file() {
        assert_eq!(
            escaped("p99{label=\"a\"}>1s & \u{1}\n"),
            "p99{label=&quot;a&quot;}&gt;1s &amp; \u{fffd} "
        );
    }
}
