//! What is said about hits at the end of a run, and by `encarno stats`: the same
//! figures in the same words.

pub mod json;
pub mod junit;

use std::fmt::Write as _;
use std::io::{self, Write};

use encarno_engine::meter::{Judgement, Verdict};
use encarno_engine::workers::control::Stop;
use encarno_record::statistics::{LabelStatistics, QUANTILES, Statistics, time_text};

use crate::supervise::Ended;

/// Error texts that are printed for a label.
const ERRORS_SHOWN: usize = 5;

/// Addresses that are shown one by one.
const ADDRESSES_SHOWN: usize = 20;

/// Hits per second of a run that lasts so long; none if that can't be said.
pub fn rate(hits: u64, span_ns: u64) -> Option<f64> {
    (hits > 1 && span_ns > 0).then(|| hits as f64 * 1e9 / span_ns as f64)
}

/// The end of a run, for people.
pub fn run_text(ended: &Ended) -> String {
    let summary = &ended.summary;
    let totals = &summary.totals;
    let mut text = format!(
        "scheduled {} = done {} + failed {} + dropped {}\n",
        totals.scheduled, totals.done, totals.failed, totals.dropped,
    );
    append_label(&mut text, "total", &summary.total, summary.span_ns);
    let mut notes = Vec::new();
    if totals.redirects > 0 {
        notes.push(format!("{} redirects followed", totals.redirects));
    }
    if summary.addresses.len() > 1 {
        for (address, hits) in summary.addresses.iter().take(ADDRESSES_SHOWN) {
            notes.push(format!("{hits} hits to {}", printable(address)));
        }
        if let Some(more) = summary.addresses.len().checked_sub(ADDRESSES_SHOWN + 1) {
            notes.push(format!("and hits to {} more addresses", more + 1));
        }
    }
    if !summary.read.left_out.is_empty() {
        notes.push(format!("left out of the input: {}", summary.read.left_out));
    }
    if summary.read.bad > 0 {
        let (bad, records) = (summary.read.bad, summary.read.records);
        notes.push(format!(
            "{bad} broken records were skipped, {records} were used"
        ));
    }
    if summary.written.queue_full_count > 0 {
        let count = summary.written.queue_full_count;
        notes.push(format!("the output queue was full {count} times"));
    }
    notes.extend(
        summary
            .written
            .warnings
            .iter()
            .map(|warning| format!("note: {warning}")),
    );
    match (summary.stop, &ended.stopped_by) {
        (Stop::No, _) => {}
        (Stop::Drain, Some(reason)) => notes.push(format!("stopped by {reason}")),
        (Stop::Drain, None) => notes.push("stopped before the end".to_owned()),
        (Stop::Now, _) => notes.push("stopped at once, running hits were cancelled".to_owned()),
    }
    notes.extend(ended.judged.iter().map(ToString::to_string));
    notes.push(verdict_text(&summary.verdict));
    text.push_str(&notes.join("\n"));
    text
}

/// Whether the figures can be trusted, in a line.
pub fn verdict_text(verdict: &Verdict) -> String {
    let reasons = verdict.reasons.join("; ");
    match verdict.judgement {
        Judgement::Sound => "verdict: the generator wasn't the limit".to_owned(),
        Judgement::Limited => format!("verdict: THE GENERATOR WAS A LIMIT: {reasons}"),
        Judgement::Unknown => format!("verdict: {reasons}"),
    }
}

/// All labels together, and each for itself; the run lasts `span_ns`.
pub fn write_table(statistics: &Statistics, span_ns: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    append_label(&mut text, "total", &statistics.total(), span_ns);
    out.write_all(text.as_bytes())?;
    let labels: Vec<_> = statistics.labels().collect();
    if labels.len() > 1 || labels.first().is_some_and(|(label, _)| !label.is_empty()) {
        for (label, statistics) in labels {
            let name = if label.is_empty() {
                "(no label)"
            } else {
                label
            };
            text.clear();
            text.push('\n');
            append_label(&mut text, &printable(name), statistics, span_ns);
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

fn append_label(text: &mut String, name: &str, label: &LabelStatistics, span_ns: u64) {
    let rate = match rate(label.hits, span_ns) {
        Some(rate) => format!(", {rate:.1}/s"),
        None => String::new(),
    };
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(format!(
        "{name}: {} hits in {:.3} s{rate}, {} failed ({:.2} %)",
        label.hits,
        span_ns as f64 * 1e-9,
        label.failed,
        percent(label.failed, label.hits),
    ));
    if label.hits > 0 {
        line(format!(
            "  {:<9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "min", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"
        ));
    }
    for (name, times) in [
        ("service", &label.service_ns),
        ("response", &label.response_ns),
        ("lag", &label.lag_ns),
    ] {
        if times.count() == 0 {
            continue;
        }
        let mut row = format!("  {name:<9}{:>10}", time_text(times.min() as f64));
        let _fits = write!(row, "{:>10}", time_text(times.mean()));
        for (_, share) in QUANTILES {
            let _fits = write!(row, "{:>10}", time_text(times.quantile(share) as f64));
        }
        let _fits = write!(row, "{:>10}", time_text(times.max() as f64));
        line(row);
    }
    line(format!(
        "  bytes    {} sent, {} received",
        label.sent_bytes, label.received_bytes
    ));
    let codes = |codes: &std::collections::BTreeMap<u16, u64>| {
        let shown = codes.iter().map(|(&code, &hits)| {
            let code = match code {
                0 => "none".to_owned(),
                code => code.to_string(),
            };
            format!("{code}: {hits} ({:.2} %)", percent(hits, label.hits))
        });
        shown.collect::<Vec<_>>().join("  ")
    };
    line(format!("  codes    {}", codes(&label.protocol_codes)));
    if label.net_codes.keys().any(|&code| code != 0) {
        line(format!("  net      {}", codes(&label.net_codes)));
    }
    let mut errors: Vec<_> = label.errors.iter().collect();
    errors.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
    for ((code, error), hits) in errors.iter().take(ERRORS_SHOWN) {
        let error = printable(error);
        line(match code {
            0 => format!("  error    {hits} with {error}"),
            code => format!("  error    {hits} failed with {code}: {error}"),
        });
    }
    if errors.len() > ERRORS_SHOWN {
        let further = errors.len() - ERRORS_SHOWN;
        line(format!("  error    {further} further texts"));
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

/// A text from a file or a peer mustn't steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
