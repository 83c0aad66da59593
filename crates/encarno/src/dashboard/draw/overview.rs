//! Draws the page of all hits together.

use std::collections::{BTreeMap, VecDeque};

use encarno_record::histogram::Histogram;
use encarno_record::notes::Judgement;
use encarno_record::statistics::{QUANTILES, counted, time_text};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::{Look, fitted};
use crate::dashboard::view::View;
use crate::texts::verdict_text;
use crate::texts::{bytes_text, count_text, percent, rows};

/// The width of the names of figures.
const NAME: usize = 12;
/// The width of a time.
const TIME: usize = 8;
/// The height of a chart with its title and scale.
const CHART_MIN: u16 = 4;
const CHART_MAX: u16 = 14;
/// A narrower terminal shows one chart, and none beside the rate.
const WIDE: u16 = 64;
const RATE_COLUMNS: u16 = 42;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View, look: Look) {
    let width = usize::from(area.width);
    let mut above = figures(view, look, width);
    let table = table(view, look, width);
    let below = generator(view, look, width);
    let room = usize::from(area.height);
    let needed = |above: &[Line<'_>]| above.len() + table.len() + below.len();
    // If there is little room, the last lines are left out first.
    while needed(&above) > room && above.len() > 2 {
        above.pop();
    }
    let left = room.saturating_sub(needed(&above)) as u16;
    // If there is little room, gaps yield to the chart.
    let spare = if left < CHART_MIN {
        left
    } else {
        left - CHART_MIN
    };
    let gap = u16::from(spare > 0);
    let second_gap = u16::from(spare > 1);
    let chart = left.saturating_sub(gap + second_gap);
    let chart = if chart < CHART_MIN {
        0
    } else {
        chart.min(CHART_MAX)
    };
    let mut y = area.y;
    let mut place = |height: u16| {
        let height = height.min(area.bottom().saturating_sub(y));
        let place = Rect::new(area.x, y, area.width, height);
        y += height;
        place
    };
    let first = place(above.len() as u16);
    frame.render_widget(Paragraph::new(above), first);
    if area.width >= WIDE && first.height > 0 {
        let columns = area.width - RATE_COLUMNS;
        let beside = Rect::new(first.x + RATE_COLUMNS, first.y, columns, 1);
        frame.render_widget(by_second(&view.rates, columns, look), beside);
    }
    place(gap);
    let second = place(table.len() as u16);
    frame.render_widget(Paragraph::new(table), second);
    place(second_gap);
    charts(frame, place(chart), view, look);
    let last = place(below.len() as u16);
    frame.render_widget(Paragraph::new(below), last);
}

pub(super) fn figures(view: &View, look: Look, width: usize) -> Vec<Line<'static>> {
    let (last, total) = (&view.last, &view.total);
    let asked = last
        .asked
        .map_or(String::new(), |asked| format!(" of {asked:.1}/s asked"));
    let failed = format!(
        "{} failed ({:.2} %)",
        count_text(total.failed),
        percent(total.failed, total.hits)
    );
    let failed_style = match total.failed {
        0 => Style::new(),
        _ => look.bad(),
    };
    let dropped = format!("{} dropped", count_text(view.totals.dropped));
    let dropped_style = match view.totals.dropped {
        0 => Style::new(),
        _ => look.bad(),
    };
    let mut lines = vec![
        named(look, "rate", format!("{:.1}/s{asked}", last.rate())),
        Line::from(vec![
            name(look, "hits"),
            Span::raw(count_text(total.hits) + ", "),
            Span::styled(failed, failed_style),
            Span::raw(", "),
            Span::styled(dropped, dropped_style),
        ]),
        named(
            look,
            "in flight",
            format!(
                "{} of at most {} workers",
                count_text(last.state.running),
                count_text(view.workers_max)
            ),
        ),
        named(look, "codes", codes(&total.protocol_codes, width)),
    ];
    if total.net_codes.keys().any(|&code| code != 0) {
        let mut errors: Vec<_> = total
            .errors
            .iter()
            .filter(|((code, _), _)| *code != 0)
            .collect();
        errors.sort_by_key(|(_, hits)| std::cmp::Reverse(**hits));
        let texts = errors
            .iter()
            .map(|((_, text), hits)| format!("{hits}: {text}"));
        let texts = texts.collect::<Vec<_>>().join("  ");
        lines.push(Line::from(vec![
            name(look, "no answer"),
            Span::styled(fitted(&texts, width.saturating_sub(NAME)), look.bad()),
        ]));
    }
    let seconds = last.seconds().max(1e-9);
    let flow = |bytes: u64| bytes_text(bytes as f64 / seconds);
    lines.push(named(
        look,
        "bytes",
        format!(
            "{}/s sent, {}/s received",
            flow(last.total.sent_bytes),
            flow(last.total.received_bytes)
        ),
    ));
    lines
}

/// The times of the last second, and of all hits.
pub(super) fn table(view: &View, look: Look, width: usize) -> Vec<Line<'static>> {
    let fits = width.saturating_sub(NAME) / TIME;
    // The most useful quantiles first; they are shown in ascending order.
    let worth = ["p50", "p99", "max", "p90", "p99.9", "p95", "p75"];
    let shown: Vec<&str> = worth.into_iter().take(fits.max(1)).collect();
    let columns: Vec<(&str, Option<f64>)> = QUANTILES
        .iter()
        .map(|&(name, share)| (name, Some(share)))
        .chain([("max", None)])
        .filter(|(name, _)| shown.contains(name))
        .collect();
    let heads = columns.iter().map(|(head, _)| format!("{head:>TIME$}"));
    let mut lines = vec![Line::from(vec![
        Span::raw(" ".repeat(NAME)),
        Span::styled(heads.collect::<String>(), look.name()),
    ])];
    let rows: [(&str, &Histogram); 4] = [
        ("last second", &view.last.total.response_ns),
        ("response", &view.total.response_ns),
        ("service", &view.total.service_ns),
        ("lag", &view.total.lag_ns),
    ];
    for (row, times) in rows {
        let cells = columns.iter().map(|(_, share)| {
            if times.count() == 0 {
                return format!("{:>TIME$}", "–");
            }
            let value = share.map_or(times.max(), |share| times.quantile(share));
            format!("{:>TIME$}", time_text(value as f64))
        });
        lines.push(named(look, row, cells.collect()));
    }
    lines
}

/// The state of the generator itself.
pub(super) fn generator(view: &View, look: Look, width: usize) -> Vec<Line<'static>> {
    let last = &view.last;
    let busiest = last.busy.iter().copied().fold(0.0, f64::max);
    let lag = last.total.lag_ns.quantile(0.99);
    let mut busy = format!(
        "busy {:.0} % of {}, lag p99 {}",
        busiest * 100.0,
        counted(last.busy.len() as u64, "loop"),
        time_text(lag as f64)
    );
    if last.starved > 0.01 {
        busy.push_str(&format!(", without input {:.0} %", last.starved * 100.0));
    }
    let verdict = verdict_text(&view.verdict);
    let verdict = verdict.strip_prefix("verdict: ").unwrap_or(&verdict);
    let style = match view.verdict.judgement {
        Judgement::Sound => look.good(),
        Judgement::Limited => look.bad(),
        Judgement::Unknown => Style::new(),
    };
    let room = width.saturating_sub(NAME);
    vec![
        named(look, "generator", busy),
        Line::from(vec![
            name(look, "so far"),
            Span::styled(fitted(verdict, room), style),
        ]),
    ]
}

fn charts(frame: &mut Frame<'_>, area: Rect, view: &View, look: Look) {
    if area.height < CHART_MIN {
        return;
    }
    if area.width < WIDE {
        return histogram(frame, area, view, look);
    }
    let half = area.width / 2;
    let left = Rect::new(area.x, area.y, half - 1, area.height);
    histogram(frame, left, view, look);
    let right = Rect::new(
        area.x + half + 1,
        area.y,
        area.width - half - 1,
        area.height,
    );
    let p99 = time_text(view.p99s.iter().copied().max().unwrap_or(0) as f64);
    let title = Line::from(Span::styled(
        format!("response p99 by second, up to {p99}"),
        look.name(),
    ));
    frame.render_widget(title, Rect::new(right.x, right.y, right.width, 1));
    let bars = Rect::new(right.x, right.y + 1, right.width, right.height - 1);
    frame.render_widget(by_second(&view.p99s, right.width, look), bars);
}

fn histogram(frame: &mut Frame<'_>, area: Rect, view: &View, look: Look) {
    let times = &view.total.response_ns;
    let title = Line::from(Span::styled("response time, all hits", look.name()));
    frame.render_widget(title, Rect::new(area.x, area.y, area.width, 1));
    let found = rows(times, usize::from(area.width));
    if found.is_empty() {
        return;
    }
    // Each bar has several columns, as many as fit.
    let each = (usize::from(area.width) / found.len()).max(1);
    let counts = found
        .iter()
        .flat_map(|row| std::iter::repeat_n(row.count, each));
    let bars = Sparkline::default().data(counts).style(look.bars());
    let place = Rect::new(area.x, area.y + 1, area.width, area.height - 2);
    frame.render_widget(bars, place);
    let first = time_text(times.min() as f64);
    let most = match found.as_slice() {
        // The last bar has the hits beyond the 99th percentile.
        [.., before, last]
            if last.up_to - before.up_to
                > 2 * (before.up_to - times.min()) / found.len() as u64 =>
        {
            format!("{}, and more", time_text(before.up_to as f64))
        }
        [.., last] => time_text(last.up_to as f64),
        [] => String::new(),
    };
    let used = (found.len() * each).min(usize::from(area.width));
    let gap = used.saturating_sub(first.chars().count() + most.chars().count());
    let scale = format!("{first}{}{most}", " ".repeat(gap));
    let scale = Line::from(Span::styled(scale, look.name()));
    let place = Rect::new(area.x, area.bottom() - 1, area.width, 1);
    frame.render_widget(scale, place);
}

/// The last seconds, with the present one at the right.
fn by_second<'a>(values: &VecDeque<u64>, columns: u16, look: Look) -> Sparkline<'a> {
    let skipped = values.len().saturating_sub(usize::from(columns));
    let shown: Vec<u64> = values.iter().skip(skipped).copied().collect();
    Sparkline::default().data(shown).style(look.bars())
}

fn codes(codes: &BTreeMap<u16, u64>, width: usize) -> String {
    let mut codes: Vec<_> = codes.iter().collect();
    codes.sort_by_key(|(_, hits)| std::cmp::Reverse(**hits));
    let words = codes.into_iter().map(|(&code, &hits)| match code {
        0 => format!("none: {}", count_text(hits)),
        code => format!("{code}: {}", count_text(hits)),
    });
    fitted(
        &words.collect::<Vec<_>>().join("  "),
        width.saturating_sub(NAME),
    )
}

pub(super) fn named(look: Look, text: &str, value: String) -> Line<'static> {
    Line::from(vec![name(look, text), Span::raw(value)])
}

fn name(look: Look, text: &str) -> Span<'static> {
    Span::styled(format!("{text:<NAME$}"), look.name())
}
