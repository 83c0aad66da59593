//! Charts for readers without the script: rate and response time over time.

use std::fmt::Write as _;

use encarno_record::statistics::time_text;

use crate::Run;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 24.0;
/// The most points of a line.
const POINTS_MAX: usize = 300;

/// A line: its class and a value for each bin.
type Line<'a> = (&'a str, Vec<Option<f64>>);

/// Hits and failures per second.
pub(crate) fn rates(run: &Run) -> String {
    let per_second = |pick: fn(&crate::run::Bin) -> u64| {
        by_bin(run, |at| {
            let (from, to) = run.span_of(at);
            let seconds = (to - from) as f64 * 1e-9;
            let count = run.bins.get(&at).map_or(0, pick);
            (seconds > 0.2).then(|| count as f64 / seconds)
        })
    };
    let lines = [
        ("c-hits", per_second(|bin| bin.hits)),
        ("c-bad", per_second(|bin| bin.failed)),
    ];
    draw(run, "Hits and failures per second", &lines, |value| {
        format!("{value:.0}")
    })
}

/// Quantiles of the response time.
pub(crate) fn latencies(run: &Run) -> String {
    let quantile = |share: f64| {
        by_bin(run, |at| {
            let bin = run.bins.get(&at).filter(|bin| bin.hits > 0)?;
            Some(bin.response.quantile(share) as f64)
        })
    };
    let lines = [
        ("c-p50", quantile(0.5)),
        ("c-p90", quantile(0.9)),
        ("c-p99", quantile(0.99)),
    ];
    draw(run, "Response time: p50, p90 and p99", &lines, time_text)
}

fn by_bin(run: &Run, value: impl Fn(u64) -> Option<f64>) -> Vec<Option<f64>> {
    (0..run.bins_count()).map(value).collect()
}

fn draw(run: &Run, title: &str, lines: &[Line<'_>], text: impl Fn(f64) -> String) -> String {
    let values = lines.iter().flat_map(|(_, values)| values.iter().flatten());
    let top = values.copied().fold(0.0, f64::max).max(1e-9);
    let span = (run.whole.span_ns as f64).max(1.0);
    let x = |at: usize| {
        let (from, to) = run.span_of(at as u64);
        LEFT + (WIDTH - LEFT - 8.0) * ((from + to) as f64 / 2.0) / span
    };
    let y = |value: f64| 8.0 + (HEIGHT - BOTTOM - 8.0) * (1.0 - value / top);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    );
    for part in [0.0, 0.5, 1.0] {
        let at = y(top * part);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            text(top * part)
        );
    }
    for part in [0.0, 0.5, 1.0] {
        let seconds = span * 1e-9 * part;
        let anchor = if part == 0.0 {
            "start"
        } else if part == 1.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{seconds:.1} s</text>",
            LEFT + (WIDTH - LEFT - 8.0) * part,
            HEIGHT - 6.0
        );
    }
    for (class, values) in lines {
        let step = values.len().div_ceil(POINTS_MAX).max(1);
        let mut path = String::new();
        let mut pen = 'M';
        for (number, part) in values.chunks(step).enumerate() {
            // Take the highest of several points, so that no peak is lost.
            match part.iter().flatten().copied().reduce(f64::max) {
                Some(value) => {
                    let _ = write!(path, "{pen}{:.1} {:.1}", x(number * step), y(value));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        let _ = write!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
    svg.push_str("</svg>");
    svg
}
