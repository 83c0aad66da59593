//! The parts of the page that need no script.

use std::borrow::Cow;
use std::io::{self, Write};

use encarno_record::notes::Judgement;
use encarno_record::series::MetricKind;
use encarno_record::statistics::{LabelStatistics, time_text};
use encarno_record::utc;

use super::Mode;
use crate::Run;
use crate::compare::{self, Estimate};
use crate::data::figures;
use crate::demand::Judged;

/// The most labels that are listed without the script.
const LABELS_SHOWN: usize = 100;
/// The most errors that are listed.
const ERRORS_SHOWN: usize = 50;

type Written = io::Result<()>;

/// A text without markup, and with a sign instead of each control character.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

pub(super) fn head(runs: &[Run], out: &mut dyn Write) -> Written {
    writeln!(out, "<header><h1>Load test report</h1>")?;
    for (number, run) in runs.iter().enumerate() {
        let program = run.notes.program.as_deref().unwrap_or("encarno");
        writeln!(
            out,
            "<p class=\"run run-{}\"><strong><bdi>{}</bdi></strong> <span>{} for {:.1} s</span> <span>{}</span>{}</p>",
            number.min(5),
            escaped(&run.name),
            utc(run.started_unix_ns / 1_000_000_000),
            run.whole.span_ns as f64 * 1e-9,
            escaped(program),
            match run.notes.open {
                Some(true) => " <span>open workload</span>",
                Some(false) => " <span>closed workload</span>",
                None => "",
            }
        )?;
    }
    writeln!(out, "</header>")
}

pub(super) fn verdict(
    mode: &Mode,
    runs: &[Run],
    judged: &[Judged],
    out: &mut dyn Write,
) -> Written {
    writeln!(
        out,
        "<section aria-labelledby=\"verdict\"><h2 id=\"verdict\">Verdict</h2>"
    )?;
    for run in runs {
        let (class, word, reasons) = judgement(mode, run);
        let name = if runs.len() > 1 {
            format!("<bdi>{}</bdi>: ", escaped(&run.name))
        } else {
            String::new()
        };
        write!(
            out,
            "<div class=\"verdict {class}\"><p><strong>{name}{word}</strong></p>"
        )?;
        if !reasons.is_empty() {
            let items: String = reasons
                .iter()
                .map(|reason| format!("<li>{}</li>", escaped(reason)))
                .collect();
            write!(out, "<ul>{items}</ul>")?;
        }
        writeln!(out, "</div>")?;
        thresholds(run, &name, out)?;
    }
    for judged in judged {
        let class = if judged.failed { "bad" } else { "good" };
        writeln!(
            out,
            "<div class=\"verdict {class}\"><p>{}</p></div>",
            escaped(&judged.text)
        )?;
    }
    writeln!(out, "</section>")
}

fn thresholds(run: &Run, name: &str, out: &mut dyn Write) -> Written {
    let all = &run.notes.thresholds;
    if all.is_empty() {
        return Ok(());
    }
    let met = all.iter().filter(|threshold| threshold.met).count();
    let class = if met == all.len() { "good" } else { "bad" };
    write!(
        out,
        "<div class=\"verdict {class}\"><p><strong>{name}{met} of {} thresholds met</strong></p><ul>",
        all.len()
    )?;
    for threshold in all {
        let word = if threshold.met { "met" } else { "NOT MET" };
        let value = threshold.value;
        let value = value.map_or(String::new(), |value| {
            format!(" (it is {})", (value * 1e4).round() / 1e4)
        });
        write!(
            out,
            "<li>{word}: <bdi>{}</bdi> {}{value}</li>",
            escaped(&threshold.metric),
            escaped(&threshold.demand)
        )?;
    }
    writeln!(out, "</ul></div>")
}

fn judgement(mode: &Mode, run: &Run) -> (&'static str, &'static str, Vec<String>) {
    match &run.notes.verdict {
        Some(verdict) => {
            let (class, word) = match verdict.judgement {
                Judgement::Sound => (
                    "good",
                    "The generator was not the limit: the figures describe the target.",
                ),
                Judgement::Limited => (
                    "bad",
                    "The generator was a limit: the figures do not describe the target alone.",
                ),
                Judgement::Unknown => (
                    "unknown",
                    "The figures do not show whether the generator was the limit.",
                ),
            };
            (class, word, verdict.reasons.clone())
        }
        None if mode.is_running() => (
            "unknown",
            "The run goes on: there is no verdict yet.",
            Vec::new(),
        ),
        None if run.whole.summary.ended => (
            "unknown",
            "The file does not say whether the generator was the limit.",
            Vec::new(),
        ),
        None => (
            "unknown",
            "The run has not ended, or was cut off: there is no verdict.",
            Vec::new(),
        ),
    }
}

pub(super) fn losses(runs: &[Run], out: &mut dyn Write) -> Written {
    for run in runs {
        if !run.whole.summary.is_whole() {
            writeln!(
                out,
                "<div class=\"verdict bad\"><p><bdi>{}</bdi>: {}</p></div>",
                escaped(&run.name),
                escaped(&run.whole.summary.to_string())
            )?;
        }
    }
    Ok(())
}

/// The id of a part of a run; ids of the first run have no number.
fn id(name: &str, number: usize) -> String {
    match number {
        0 => name.to_owned(),
        number => format!("{name}-{number}"),
    }
}

/// Writes a part for each run, below the run's name if there are several.
pub(super) fn each_run(
    runs: &[Run],
    out: &mut dyn Write,
    part: impl Fn(&Run, usize, &mut dyn Write) -> Written,
) -> Written {
    each_run_with(runs, |_| true, out, part)
}

/// Writes a part for each run that has one.
pub(super) fn each_run_with(
    runs: &[Run],
    has: impl Fn(&Run) -> bool,
    out: &mut dyn Write,
    part: impl Fn(&Run, usize, &mut dyn Write) -> Written,
) -> Written {
    for (number, run) in runs.iter().enumerate().filter(|(_, run)| has(run)) {
        if runs.len() > 1 {
            writeln!(
                out,
                "<h3 class=\"run run-{}\"><strong><bdi>{}</bdi></strong></h3>",
                number.min(5),
                escaped(&run.name)
            )?;
        }
        part(run, number, out)?;
    }
    Ok(())
}

pub(super) fn key_figures(run: &Run, number: usize, out: &mut dyn Write) -> Written {
    let total = run.whole.statistics.total();
    let rate = run.whole.rate();
    let quantile = |share: f64| {
        if total.hits > 0 {
            time_text(total.response_ns.quantile(share) as f64)
        } else {
            "-".to_owned()
        }
    };
    let mut cards = vec![
        ("hits", "Hits", total.hits.to_string()),
        ("rate", "Hits per second", format!("{rate:.1}")),
        (
            "failed",
            "Failed",
            format!(
                "{} ({:.2} %)",
                total.failed,
                percent(total.failed, total.hits)
            ),
        ),
        ("p50", "Response p50", quantile(0.5)),
        ("p99", "Response p99", quantile(0.99)),
        ("max", "Response max", quantile(1.0)),
    ];
    if let Some(totals) = &run.notes.totals {
        cards.insert(1, ("scheduled", "Scheduled", totals.scheduled.to_string()));
        cards.insert(4, ("dropped", "Dropped", totals.dropped.to_string()));
        if totals.lost > 0 {
            cards.insert(5, ("lost", "Lost", totals.lost.to_string()));
        }
    }
    writeln!(
        out,
        "<section class=\"cards\" aria-label=\"Key figures of {}\">",
        escaped(&run.name)
    )?;
    for (key, name, value) in cards {
        writeln!(
            out,
            "<div class=\"card\"><div class=\"name\">{name}</div><div class=\"value\" id=\"card-{}\">{value}</div></div>",
            id(key, number)
        )?;
    }
    writeln!(out, "</section>")
}

pub(super) fn differences(runs: &[Run], out: &mut dyn Write) -> Written {
    let Some((base, others)) = runs.split_first() else {
        return Ok(());
    };
    let (others, apart): (Vec<_>, Vec<_>) =
        others.iter().partition(|run| compare::are_alike(base, run));
    if others.is_empty() {
        return writeln!(
            out,
            "<p class=\"note apart\">The runs have no label in common: their times are shown side by side, but not compared.</p>"
        );
    }
    writeln!(
        out,
        "<section aria-labelledby=\"differences\"><h2 id=\"differences\">Compared with <bdi>{}</bdi></h2>\
         <p class=\"note\">Response time, with the interval in which it lies with 95 % confidence. A change is marked \
         when its interval does not hold 0.</p><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Quantile</th>\
         <th scope=\"col\" class=\"n\">Before</th><th scope=\"col\" class=\"n\">Now</th><th scope=\"col\" class=\"n\">Change</th></tr></thead><tbody>",
        escaped(&base.name)
    )?;
    for run in others {
        for difference in compare::differences(base, run) {
            let class = match difference.change {
                Some(change) if difference.is_certain() && change.value > 0.0 => " worse",
                Some(_) if difference.is_certain() => " better",
                _ => "",
            };
            let change = difference.change.map_or("-".to_owned(), |change| {
                let interval = change.interval.map_or(String::new(), |(low, high)| {
                    format!(
                        " <small>{:+.1} % to {:+.1} %</small>",
                        low * 100.0,
                        high * 100.0
                    )
                });
                format!("{:+.1} %{interval}", change.value * 100.0)
            });
            writeln!(
                out,
                "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n{class}\">{change}</td></tr>",
                escaped(&run.name),
                difference.name,
                estimate(difference.base),
                estimate(difference.this),
            )?;
        }
    }
    writeln!(out, "</tbody></table></div>")?;
    for run in apart {
        writeln!(
            out,
            "<p class=\"note\"><bdi>{}</bdi> has no label in common with it and is not compared.</p>",
            escaped(&run.name)
        )?;
    }
    writeln!(out, "</section>")
}

fn estimate(estimate: Estimate) -> String {
    let interval = estimate.interval.map_or(
        " <small>too few hits for an interval</small>".to_owned(),
        |(low, high)| format!(" <small>{} to {}</small>", time_text(low), time_text(high)),
    );
    format!("{}{interval}", time_text(estimate.value))
}

const FIGURES: [&str; 9] = [
    "min", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "max",
];

pub(super) fn figures_table(run: &Run, number: usize, out: &mut dyn Write) -> Written {
    let total = run.whole.statistics.total();
    let names: String = FIGURES
        .iter()
        .map(|name| format!("<th scope=\"col\" class=\"n\">{name}</th>"))
        .collect();
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table id=\"{}\"><caption>Times of all hits</caption><thead><tr><td></td>{names}</tr></thead><tbody>",
        id("figures", number)
    )?;
    for (name, hint, times) in [
        ("service", "from a hit's start", &total.service_ns),
        (
            "response",
            "from the instant it was scheduled for",
            &total.response_ns,
        ),
        ("lag", "how late it started", &total.lag_ns),
    ] {
        let cells: String = figures(times)
            .into_iter()
            .map(|ns| match total.hits {
                0 => "<td class=\"n\">-</td>".to_owned(),
                _ => format!("<td class=\"n\" title=\"{ns} ns\">{}</td>", time_text(ns)),
            })
            .collect();
        writeln!(
            out,
            "<tr data-times=\"{name}\"><th scope=\"row\">{name} <small>{hint}</small></th>{cells}</tr>"
        )?;
    }
    writeln!(out, "</tbody></table></div>")
}

pub(super) fn labels_table(run: &Run, number: usize, out: &mut dyn Write) -> Written {
    let mut labels: Vec<(&str, &LabelStatistics)> = run.whole.statistics.labels().collect();
    let count = labels.len();
    labels.sort_by(|one, other| other.1.hits.cmp(&one.1.hits).then(one.0.cmp(other.0)));
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table id=\"{}\">\
         <caption>Response time by label</caption><thead><tr><th scope=\"col\">label</th><th scope=\"col\" class=\"n\">hits</th>\
         <th scope=\"col\" class=\"n\">failed</th>{}</tr></thead><tbody>",
        id("label-table", number),
        FIGURES
            .map(|name| format!("<th scope=\"col\" class=\"n\">{name}</th>"))
            .concat()
    )?;
    for (name, statistics) in labels.into_iter().take(LABELS_SHOWN) {
        let shown: Cow<'_, str> = if name.is_empty() {
            "(no label)".into()
        } else {
            escaped(name).into()
        };
        let cells: String = figures(&statistics.response_ns)
            .into_iter()
            .map(|ns| format!("<td class=\"n\">{}</td>", time_text(ns)))
            .collect();
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{shown}</bdi></th><td class=\"n\">{}</td><td class=\"n\">{} ({:.2} %)</td>{cells}</tr>",
            statistics.hits,
            statistics.failed,
            percent(statistics.failed, statistics.hits)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if count > LABELS_SHOWN {
        writeln!(
            out,
            "<p class=\"note label-more\">{LABELS_SHOWN} of {count} labels; with scripts allowed, this page lists all.</p>"
        )?;
    }
    Ok(())
}

pub(super) fn codes(run: &Run, out: &mut dyn Write) -> Written {
    let total = run.whole.statistics.total();
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table><caption>Hits by status{}</caption>\
         <thead><tr><th scope=\"col\">status</th><th scope=\"col\" class=\"n\">hits</th><th scope=\"col\" class=\"n\">part</th></tr></thead><tbody>",
        // k6 records for each request whether it failed.
        match run.notes.open {
            Some(_) => format!("; expected are {}", escaped(&run.expected.to_string())),
            None => String::new(),
        }
    )?;
    for (code, &hits) in &total.protocol_codes {
        let name = if *code == 0 {
            "no status".to_owned()
        } else {
            code.to_string()
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td class=\"n\">{hits}</td><td class=\"n\">{:.2} %</td></tr>",
            percent(hits, total.hits)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    let (sent, received) = (total.sent_bytes, total.received_bytes);
    // Hits of k6 have no bytes of their own.
    if sent > 0 || received > 0 {
        writeln!(
            out,
            "<p class=\"note\">{sent} bytes sent, {received} bytes received.</p>"
        )?;
    }
    Ok(())
}

pub(super) fn errors(run: &Run, out: &mut dyn Write) -> Written {
    let total = run.whole.statistics.total();
    let mut errors: Vec<_> = total.errors.iter().collect();
    errors.sort_by(|one, other| other.1.cmp(one.1));
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table><caption>Hits that failed</caption><thead><tr><th scope=\"col\">error</th>\
         <th scope=\"col\" class=\"n\">net code</th><th scope=\"col\" class=\"n\">hits</th></tr></thead><tbody>"
    )?;
    for ((code, text), hits) in errors.iter().take(ERRORS_SHOWN) {
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td class=\"n\">{code}</td><td class=\"n\">{hits}</td></tr>",
            escaped(text)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if let Some(more) = errors.len().checked_sub(ERRORS_SHOWN + 1) {
        writeln!(out, "<p class=\"note\">and {} more errors</p>", more + 1)?;
    }
    Ok(())
}

/// The metrics that aren't hits, in the form of k6's summary.
pub(super) fn metrics_table(run: &Run, out: &mut dyn Write) -> Written {
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"metrics\"><caption>As the script's \
         runner has them</caption><thead><tr><th scope=\"col\">metric</th><th scope=\"col\">type</th><th scope=\"col\" class=\"n\">samples</th>{}</tr></thead><tbody>",
        ["value", "min", "mean", "p50", "p90", "p95", "p99", "max"]
            .map(|name| format!("<th scope=\"col\" class=\"n\">{name}</th>"))
            .concat()
    )?;
    for (series, points) in run.metrics.by_metric() {
        let text = |value: f64| match &*series.contains {
            _ if !value.is_finite() => "-".to_owned(),
            "time" => time_text(value * 1e6),
            _ => format!("{}", (value * 1000.0).round() / 1000.0),
        };
        let (kind, cells) = match series.kind {
            MetricKind::Counter => ("counter", vec![text(points.sum)]),
            MetricKind::Gauge => ("gauge", vec![text(points.last.1), text(points.min)]),
            MetricKind::Rate => ("rate", vec![format!("{:.2} %", points.rate() * 100.0)]),
            MetricKind::Trend => {
                let quantile = |share| text(points.values.quantile(share));
                let mut cells = vec![String::new(), text(points.min), text(points.mean())];
                cells.extend([0.5, 0.9, 0.95, 0.99].map(quantile));
                ("trend", cells)
            }
        };
        let max = match series.kind {
            MetricKind::Gauge | MetricKind::Trend => text(points.max),
            _ => String::new(),
        };
        let empty = std::iter::repeat_n(String::new(), 7 - cells.len());
        let cells: String = cells
            .iter()
            .cloned()
            .chain(empty)
            .chain([max])
            .map(|cell| format!("<td class=\"n\">{cell}</td>"))
            .collect();
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{kind}</td><td class=\"n\">{}</td>{cells}</tr>",
            escaped(&series.metric),
            points.count
        )?;
    }
    writeln!(out, "</tbody></table></div>")
}

pub(super) fn lists(runs: &[Run], out: &mut dyn Write) -> Written {
    for run in runs {
        let checks = &run.notes.checks;
        if !checks.is_empty() {
            writeln!(
                out,
                "<section><h2>Checks</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">check</th><th scope=\"col\" class=\"n\">held</th>\
                 <th scope=\"col\" class=\"n\">did not hold</th></tr></thead><tbody>"
            )?;
            for check in checks {
                let class = if check.fails > 0 { "n worse" } else { "n" };
                writeln!(
                    out,
                    "<tr><th scope=\"row\"><bdi>{} {}</bdi></th><td class=\"n\">{}</td><td class=\"{class}\">{}</td></tr>",
                    escaped(&check.group),
                    escaped(&check.name),
                    check.passes,
                    check.fails
                )?;
            }
            writeln!(out, "</tbody></table></div></section>")?;
        }
    }
    writeln!(
        out,
        "<section aria-labelledby=\"settings\"><h2 id=\"settings\">Settings and environment</h2>"
    )?;
    for run in runs {
        if runs.len() > 1 {
            writeln!(out, "<h3><bdi>{}</bdi></h3>", escaped(&run.name))?;
        }
        writeln!(out, "<div class=\"pairs\">")?;
        // Without names and values, the settings are a text.
        let pairs = &run.notes.settings;
        if pairs.is_empty() && !run.settings_text.is_empty() {
            writeln!(out, "<pre>{}</pre>", text_block(&run.settings_text))?;
        }
        for (title, pairs) in [("Settings", pairs), ("Environment", &run.notes.environment)] {
            if pairs.is_empty() {
                continue;
            }
            writeln!(out, "<dl><dt class=\"title\">{title}</dt><dd></dd>")?;
            for (name, value) in pairs {
                writeln!(
                    out,
                    "<dt>{}</dt><dd><bdi>{}</bdi></dd>",
                    escaped(name),
                    escaped(value)
                )?;
            }
            writeln!(out, "</dl>")?;
        }
        writeln!(out, "</div>")?;
    }
    writeln!(out, "</section>")
}

fn text_block(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 * 100.0 / of as f64
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_hostile_text_stays_text() {
        assert_eq!(
            escaped("</script><b a='\"'>&\u{1b}[2J\n"),
            "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}[2J "
        );
    }
}
