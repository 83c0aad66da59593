//! Draws the page of a measurement's trials.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::overview::{figures, generator, named, table};
use super::{Look, fitted};
use crate::dashboard::view::{Measuring, View};

/// The number of trials that even a small terminal shows.
const TRIALS_MIN: usize = 3;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    view: &View,
    measuring: &Measuring,
    look: Look,
) {
    let (width, room) = (usize::from(area.width), usize::from(area.height));
    let plain = |text: &str| Line::from(fitted(text, width));
    let mut lines = vec![named(look, "trial", now(view, measuring))];
    lines.extend(figures(view, look, width));
    // The head of the table, and the row of the last second.
    lines.extend(table(view, look, width).into_iter().take(2));
    lines.extend(generator(view, look, width).into_iter().take(1));
    let found: Vec<_> = measuring.found.iter().map(|line| plain(line)).collect();
    let trials = measuring.trials.len().min(TRIALS_MIN);
    // If there is little room, the figures of the last second are left out first.
    while lines.len() > 2 && lines.len() + found.len() + trials + 2 > room {
        lines.pop();
    }
    for part in [found, Vec::new()] {
        lines.push(Line::default());
        lines.extend(part);
    }
    let left = room.saturating_sub(lines.len());
    let first = measuring.trials.len().saturating_sub(left);
    lines.extend(measuring.trials[first..].iter().map(|line| plain(line)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn now(view: &View, measuring: &Measuring) -> String {
    let number = measuring.trials.len() + 1;
    let seconds = view.elapsed_ns.saturating_sub(measuring.from_ns) / 1_000_000_000;
    match &*measuring.load {
        "" => format!("{number}, not begun: earlier hits end"),
        load => format!("{number}: {load}, for {seconds} s"),
    }
}
