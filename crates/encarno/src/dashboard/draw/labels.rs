//! Draws the page of labels.

use encarno_record::statistics::time_text;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{Look, fitted};
use crate::dashboard::view::View;
use crate::texts::{count_text, percent};

/// The columns after the label, with their widths.
const COLUMNS: [(&str, usize); 5] = [
    ("hits", 11),
    ("failed", 9),
    ("p50", 9),
    ("p99", 9),
    ("max", 9),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View, look: Look) {
    // The label gets a third of the width, or the rest.
    let width = usize::from(area.width);
    let mut shown = COLUMNS.len();
    let wide = |shown: usize| COLUMNS[..shown].iter().map(|(_, wide)| wide).sum::<usize>();
    while shown > 1 && wide(shown) + width / 3 > width {
        shown -= 1;
    }
    let name_columns = width.saturating_sub(wide(shown));
    let row = |name: &str, values: &[String]| {
        let mut text = format!("{:<name_columns$}", fitted(name, name_columns));
        for ((_, wide), value) in COLUMNS.iter().zip(values).take(shown) {
            text.push_str(&format!("{value:>wide$}", wide = *wide));
        }
        text
    };
    let heads = COLUMNS.map(|(head, _)| head.to_owned());
    let mut lines = vec![Line::from(Span::styled(row("label", &heads), look.name()))];
    for label in view.labels.iter().skip(view.scrolled) {
        let name = match label.name.as_str() {
            "" => "(no label)",
            name => name,
        };
        let values = [
            count_text(label.hits),
            format!("{:.2} %", percent(label.failed, label.hits)),
            time_text(label.p50_ns as f64),
            time_text(label.p99_ns as f64),
            time_text(label.max_ns as f64),
        ];
        let style = match label.failed {
            0 => ratatui::style::Style::new(),
            _ => look.bad(),
        };
        lines.push(Line::from(Span::styled(row(name, &values), style)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
