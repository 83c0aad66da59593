//! The part about a capacity: the curve with its band, the trials, and the rates that
//! were tried.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::parts::escaped;
use crate::capacity::{Capacity, Goal, Range};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// The height of a trial in the chart of the goal.
const ROW: f64 = 14.0;
/// The most trials in that chart.
const ROWS_MAX: usize = 40;

/// The columns of the trials.
const COLUMNS: [&str; 7] = [
    "trial",
    "load",
    "throughput",
    "±",
    "service, or the goal's conditions",
    "took",
    "what came of it",
];

impl Capacity {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let class = if self.is_known { "good" } else { "unknown" };
        write!(out, "<div class=\"verdict {class}\">")?;
        for line in &self.found {
            write!(out, "<p>{}</p>", escaped(line))?;
        }
        if !self.reasons.is_empty() {
            write!(out, "<ul>")?;
            for reason in &self.reasons {
                write!(out, "<li>{}</li>", escaped(reason))?;
            }
            write!(out, "</ul>")?;
        }
        writeln!(out, "</div>")?;
        if !self.points.is_empty() {
            writeln!(
                out,
                "<figure><figcaption><span>Throughput by workers</span>\
                 <span class=\"key\"><i class=\"k0\"></i>the law, with its 95 % band</span>\
                 <span class=\"key\"><i class=\"k1\"></i>trials, with their 95 % intervals</span></figcaption>{}</figure>",
                self.drawing()
            )?;
        }
        if let Some(goal) = self.goal.as_ref().filter(|goal| !goal.trials.is_empty()) {
            writeln!(
                out,
                "<figure><figcaption><span>Rates at which <bdi>{}</bdi> was tried</span>\
                 <span class=\"key\"><i class=\"good-mark\"></i>it holds</span><span class=\"key\"><i class=\"c-bad\"></i>it fails</span>\
                 <span class=\"key\"><i class=\"soft\"></i>undecided</span></figcaption>{}</figure>",
                escaped(&goal.text),
                goal.drawing()
            )?;
        }
        let names = COLUMNS.map(|name| format!("<th scope=\"col\">{name}</th>"));
        writeln!(
            out,
            "<div class=\"scroll\" tabindex=\"0\"><table id=\"trials\"><caption>Trial by trial</caption><thead><tr>{}</tr></thead><tbody>",
            names.concat()
        )?;
        for trial in &self.trials {
            let [first, rest @ ..] = trial;
            write!(out, "<tr><th scope=\"row\">{}</th>", escaped(first))?;
            for cell in rest {
                write!(out, "<td>{}</td>", escaped(cell))?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")
    }

    fn drawing(&self) -> String {
        let curve = self.curve.iter();
        let widest = curve.map(|(workers, _)| *workers);
        let widest = widest.chain(self.points.iter().map(|point| point.workers));
        let widest = widest.fold(1.0, f64::max);
        // Beyond the trials, the band may leave the chart.
        let measured = self.points.iter().map(|point| point.throughput.high);
        let likely = self.curve.iter().map(|(_, range)| range.value);
        let highest = measured.chain(likely).fold(1e-9, f64::max) * 1.12;
        let x = |workers: f64| LEFT + (WIDTH - LEFT - RIGHT) * workers / widest;
        let y = |rate: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - rate.min(highest) / highest);
        let title = "Throughput by number of workers";
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
        );
        for tick in ticks(highest) {
            let at = y(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{tick}/s</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            );
        }
        for tick in ticks(widest) {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{tick}</text>",
                x(tick),
                HEIGHT - BOTTOM + 16.0
            );
        }
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">workers</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0
        );
        let path = |pick: fn(&Range) -> f64, points: &mut dyn Iterator<Item = &(f64, Range)>| {
            points
                .map(|(workers, range)| format!("{:.1} {:.1}", x(*workers), y(pick(range))))
                .collect::<Vec<_>>()
                .join("L")
        };
        if !self.curve.is_empty() {
            let _ = write!(
                svg,
                "<path class=\"band k0\" d=\"M{}L{}Z\"/><path class=\"line k0\" d=\"M{}\"/>",
                path(|range| range.high, &mut self.curve.iter()),
                path(|range| range.low, &mut self.curve.iter().rev()),
                path(|range| range.value, &mut self.curve.iter())
            );
        }
        for point in &self.points {
            let class = if point.counts { "k1" } else { "soft" };
            let (at, range) = (x(point.workers), point.throughput);
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <circle class=\"{class}\" fill=\"currentColor\" cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                y(range.low),
                y(range.high),
                y(range.value)
            );
        }
        if let Some((workers, rate)) = self.peak {
            let _ = write!(
                svg,
                "<line class=\"cursor\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\"/>\
                 <text class=\"tick\" x=\"{0:.1}\" y=\"{3:.1}\" text-anchor=\"middle\">peak</text>",
                x(workers),
                y(rate),
                HEIGHT - BOTTOM,
                y(rate) - 8.0
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

impl Goal {
    fn drawing(&self) -> String {
        let shown = &self.trials[self.trials.len().saturating_sub(ROWS_MAX)..];
        let highest = shown.iter().map(|(rate, _)| *rate).fold(1e-9, f64::max) * 1.08;
        let height = TOP + ROW * shown.len() as f64 + BOTTOM;
        let x = |rate: f64| LEFT + (WIDTH - LEFT - RIGHT) * rate / highest;
        let title = "Rates that were tried, the first on top";
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
        );
        if let (Some(holds), Some(fails)) = (self.holds, self.fails) {
            let _ = write!(
                svg,
                "<rect class=\"brush\" x=\"{:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                x(holds),
                (x(fails) - x(holds)).max(1.0),
                height - TOP - BOTTOM
            );
        }
        for (row, (rate, held)) in shown.iter().enumerate() {
            let class = match held {
                Some(true) => "good-mark",
                Some(false) => "c-bad",
                None => "soft",
            };
            let at = TOP + ROW * (row as f64 + 0.5);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <circle class=\"{class}\" fill=\"currentColor\" cx=\"{:.1}\" cy=\"{at:.1}\" r=\"4\"/>",
                x(*rate),
                x(*rate)
            );
        }
        for tick in ticks(highest) {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{tick}/s</text>",
                x(tick),
                height - BOTTOM + 18.0
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

/// Round numbers from 0 to the highest value.
fn ticks(highest: f64) -> Vec<f64> {
    let raw = highest / 6.0;
    let power = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|&step| step >= raw);
    let step = step.unwrap_or(raw).max(1e-9);
    let count = ((highest / step).floor() as usize).min(20);
    (0..=count).map(|number| number as f64 * step).collect()
}
