//! The summary of hits at the end of a run and of `encarno stats`: the same figures in
//! the same words.

mod advice;
pub mod json;
pub mod junit;
mod label;
pub(crate) mod metrics;

use std::io::{self, Write};

use encarno_engine::control::Stop;
use encarno_record::statistics::{Statistics, counted, time_text, was};

use crate::supervise::Ended;
pub(crate) use crate::texts::printable;
pub use crate::texts::verdict_text;
use label::{append_histogram, append_label};

/// The most addresses that are shown one by one.
const ADDRESSES_SHOWN: usize = 20;

/// The rate of a run of this length, hits per second; `None` if the run is too short for
/// one.
pub fn rate(hits: u64, span_ns: u64) -> Option<f64> {
    (hits > 1 && span_ns > 0).then(|| hits as f64 * 1e9 / span_ns as f64)
}

/// The summary of a run as text.
pub fn run_text(ended: &Ended) -> String {
    let summary = &ended.summary;
    let totals = &summary.totals;
    let mut text = format!("{}\n", totals.account());
    append_label(&mut text, "total", &summary.total, summary.span_ns);
    append_histogram(&mut text, &summary.total);
    if !summary.written.metrics.is_empty() {
        let mut table = Vec::new();
        // Writing to memory can't fail.
        let _written = metrics::write_table(&summary.written.metrics, summary.span_ns, &mut table);
        text.push_str(String::from_utf8_lossy(&table).trim_start());
    }
    let mut said = Vec::new();
    if totals.redirects > 0 {
        said.push(format!(
            "{} followed",
            counted(totals.redirects, "redirect")
        ));
    }
    said.extend(totals.transport.known().map(|it| it.to_string()));
    if summary.addresses.len() > 1 {
        for (address, hits) in summary.addresses.iter().take(ADDRESSES_SHOWN) {
            said.push(format!(
                "{} to {}",
                counted(*hits, "hit"),
                printable(address)
            ));
        }
        if let Some(more) = summary.addresses.len().checked_sub(ADDRESSES_SHOWN + 1) {
            said.push(format!("and hits to {} more addresses", more + 1));
        }
    }
    if !summary.read.left_out.is_empty() {
        said.push(format!("left out of the input: {}", summary.read.left_out));
    }
    if summary.read.bad > 0 {
        let (bad, records) = (summary.read.bad, summary.read.records);
        said.push(format!(
            "{} {} skipped, {records} {} used",
            counted(bad, "broken record"),
            was(bad),
            was(records)
        ));
    }
    if summary.written.queue_full_count > 0 {
        let times = counted(summary.written.queue_full_count, "time");
        said.push(format!("the output queue was full {times}"));
    }
    said.extend(
        summary
            .written
            .warnings
            .iter()
            .map(|warning| format!("note: {warning}")),
    );
    if summary.paused_ns > 0 {
        said.push(format!(
            "paused for {}: the rate includes that time",
            time_text(summary.paused_ns as f64)
        ));
    }
    match (summary.stop, &ended.stopped_by) {
        (Stop::No, _) => {}
        (Stop::Drain, Some(reason)) => said.push(format!("stopped by {reason}")),
        (Stop::Drain, None) => said.push("stopped before the end".to_owned()),
        (Stop::Now, _) => said.push("stopped at once, running hits were cancelled".to_owned()),
    }
    said.extend(ended.judged.iter().map(ToString::to_string));
    said.push(verdict_text(&summary.verdict));
    text.push_str(&said.join("\n"));
    text
}

/// Writes the figures of all labels together and of each label, for a run of `span_ns`.
pub fn write_table(statistics: &Statistics, span_ns: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    let total = statistics.total();
    append_label(&mut text, "total", &total, span_ns);
    append_histogram(&mut text, &total);
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
