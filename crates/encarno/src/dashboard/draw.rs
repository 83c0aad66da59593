//! Draws a view; the result depends only on the view and the size.

mod labels;
mod overview;
mod trials;

use encarno_record::statistics::counted;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::view::{Page, Phase, View};

/// Colours and styles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether colours are used; `NO_COLOR` turns them off.
    pub colours: bool,
}

impl Look {
    fn style(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// The style of good values.
    fn good(self) -> Style {
        self.style(Color::Green)
    }

    /// The style of values that need attention.
    fn bad(self) -> Style {
        self.style(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.style(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn bars(self) -> Style {
        self.style(Color::Cyan)
    }

    /// The style of names beside figures.
    fn name(self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::DarkGray),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }
}

/// Draws the whole view.
pub fn draw(frame: &mut Frame<'_>, view: &View, look: Look) {
    let area = frame.area();
    if area.width < 20 || area.height < 5 {
        let line = format!("{:.0} hits/s", view.last.rate());
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    let [top, keys] = [0, area.height - 1];
    let row = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    frame.render_widget(Paragraph::new(head(view, look, area.width)), row(top));
    frame.render_widget(Paragraph::new(progress(view, look, area.width)), row(1));
    let message = view.message.as_deref().unwrap_or_default();
    frame.render_widget(
        Paragraph::new(Span::styled(message, look.warning())),
        row(keys - 1),
    );
    frame.render_widget(Paragraph::new(key_line(view, look)), row(keys));
    let inner = Rect::new(area.x, area.y + 2, area.width, area.height - 4);
    match (view.page, &view.measuring) {
        (Page::Labels, _) => labels::draw(frame, inner, view, look),
        (Page::Trials, Some(measuring)) => trials::draw(frame, inner, view, measuring, look),
        (Page::Overview | Page::Trials, _) => overview::draw(frame, inner, view, look),
    }
}

fn head(view: &View, look: Look, width: u16) -> Line<'static> {
    let (phase, style) = match view.phase {
        Phase::Starting => ("starting", look.name()),
        Phase::Running => ("running", look.good()),
        Phase::Paused => ("PAUSED", look.warning()),
        Phase::Stopping => ("stopping", look.warning()),
    };
    let room = usize::from(width).saturating_sub(phase.len() + 9);
    let title = fitted(&view.title, room);
    let gap = room - title.chars().count();
    Line::from(vec![
        Span::styled("encarno ", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(title),
        Span::raw(" ".repeat(gap + 1)),
        Span::styled(phase, style),
    ])
}

/// The progress of the run, as a bar with times.
fn progress(view: &View, look: Look, width: u16) -> Line<'static> {
    let elapsed = clock(view.elapsed_ns);
    let left = match (view.phase, view.end_ns, view.hits_max) {
        (Phase::Stopping, ..) => String::new(),
        (_, Some(end_ns), _) => format!("{} left", clock(end_ns.saturating_sub(view.elapsed_ns))),
        (_, None, Some(most)) => format!("{} of {most} hits", view.total.hits),
        (_, None, None) => match &view.measuring {
            Some(measuring) => counted(measuring.trials.len() as u64, "trial"),
            None => "no end".to_owned(),
        },
    };
    let words = elapsed.len() + left.len() + 2;
    let room = usize::from(width).saturating_sub(words);
    let bar = match view.share() {
        Some(share) => {
            let full = (share * room as f64).round() as usize;
            [
                Span::styled("█".repeat(full), look.bars()),
                Span::styled("░".repeat(room - full), look.name()),
            ]
        }
        None => [Span::raw(" ".repeat(room)), Span::raw("")],
    };
    let [full, empty] = bar;
    Line::from(vec![
        Span::raw(elapsed + " "),
        full,
        empty,
        Span::raw(" ".to_owned() + &left),
    ])
}

fn key_line(view: &View, look: Look) -> Line<'static> {
    let pause = match view.phase {
        Phase::Paused => "go on",
        _ => "pause",
    };
    let stop = match view.phase {
        Phase::Stopping => "stop at once",
        _ => "stop",
    };
    let keys: &[(&str, &str)] = match view.page {
        Page::Overview => &[("p", pause), ("l", "labels"), ("q", stop)],
        // A trial can't be paused.
        Page::Trials => &[("l", "labels"), ("q", stop)],
        Page::Labels if view.measuring.is_some() => &[("↑↓", "scroll"), ("l", "back"), ("q", stop)],
        Page::Labels => &[("↑↓", "scroll"), ("l", "back"), ("p", pause), ("q", stop)],
    };
    let spans = keys.iter().flat_map(|(key, what)| {
        let key = Span::styled((*key).to_owned(), Style::new().add_modifier(Modifier::BOLD));
        [key, Span::styled(format!(" {what}   "), look.name())]
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// A length of time in the form of a clock.
fn clock(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// A text from elsewhere, cut to a number of columns, without terminal control
/// characters.
fn fitted(text: &str, columns: usize) -> String {
    let text = crate::texts::printable(text);
    if text.chars().count() <= columns {
        return text;
    }
    let mut short: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use encarno_engine::meter::Window;
    use encarno_record::statistics::Statistics;
    use encarno_record::sums::{LoopState, OutcomeSums};
    use encarno_record::{Expected, Hit, Strings, Texts};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::{Color, Modifier};

    use super::{Look, draw};
    use crate::dashboard::view::{Follower, Measuring, Page, Phase, View};

    const S: u64 = 1_000_000_000;

    /// A follower after some seconds, with failed hits, and with names that contain
    /// terminal control characters.
    fn follower() -> Follower {
        let strings = Strings::default();
        let labels = ["login", "a\x1b[2Jb", &"long ".repeat(60)].map(|text| strings.intern(text));
        let refused = strings.intern("connection refused by \x1b]0;x\x07127.0.0.1:1");
        let view = View {
            elapsed_ns: 3 * S,
            end_ns: Some(63 * S),
            phase: Phase::Running,
            ..View::new("http://host/\x1b[31m", 100, None)
        };
        let mut follower = Follower::new(view, true);
        for second in 1..=3_u64 {
            let mut sums = OutcomeSums::default();
            for number in 0..1000 * second {
                let failed = number % 100 == 0;
                sums.record(&Hit {
                    ended_ns: 1_000_000 + number * 10_000,
                    label: labels[number as usize % 3],
                    protocol_code: if failed { 0 } else { 200 },
                    net_code: if failed { 111 } else { 0 },
                    error: if failed { refused } else { Default::default() },
                    received_bytes: 2048,
                    ..Hit::default()
                });
            }
            let mut statistics = Statistics::default();
            let mut texts = Texts::of_run(strings.clone());
            statistics.add(&sums, &mut texts, 0, &Expected::default());
            follower.take(&Window {
                from_ns: (second - 1) * S,
                to_ns: second * S,
                total: statistics.total(),
                statistics,
                asked: Some(2500.0),
                state: LoopState {
                    running: 7,
                    ..LoopState::default()
                },
                scheduled: 1000 * second,
                busy: vec![0.25, 0.5],
                ..Window::default()
            });
        }
        follower
    }

    fn screen(view: &View, columns: u16, rows: u16, look: Look) -> (Vec<String>, TestBackend) {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("in memory");
        terminal
            .draw(|frame| draw(frame, view, look))
            .expect("in memory");
        let backend = terminal.backend().clone();
        let cells: Vec<&str> = backend
            .buffer()
            .content()
            .iter()
            .map(|cell| cell.symbol())
            .collect();
        let lines = cells.chunks(usize::from(columns)).map(|row| row.concat());
        (lines.collect(), backend)
    }

    const COLOURS: Look = Look { colours: true };

    #[test]
    fn all_of_it_is_there_in_80_columns() {
        let (lines, _) = screen(&follower().view(), 80, 24, COLOURS);
        let text = lines.join("\n");
        for expected in [
            "encarno http://host/",
            "running",
            "0:03 ██",
            "1:00 left",
            "rate        3000.0/s of 2500.0/s asked",
            "hits        6000, 60 failed (1.00 %), 0 dropped",
            "in flight   7 of at most 100 workers",
            "codes       200: 5940  none: 60",
            "no answer   60: connection refused by",
            "bytes       0 B/s sent, 5.86 MiB/s received",
            "     p50     p75     p90     p95     p99   p99.9     max",
            "last second  16.0 ms 23.5 ms 28.0 ms 29.5 ms 30.7 ms 31.0 ms 31.0 ms",
            "lag             0 ns",
            "generator   busy 50 % of 2 loops",
            "so far      ",
            "p pause   l labels   q stop",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
        // The later seconds are slower and busier.
        assert!(lines[2].trim_end().ends_with('█'), "{text}");
    }

    #[test]
    fn it_fits_any_size_and_steers_nothing() {
        for page in [Page::Overview, Page::Labels] {
            let mut follower = follower();
            follower.view.page = page;
            follower.scroll(1);
            let view = follower.view();
            for (columns, rows) in [(200, 50), (80, 24), (64, 20), (60, 20), (40, 12), (20, 5)] {
                let (lines, _) = screen(&view, columns, rows, COLOURS);
                let text = lines.join("\n");
                assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
                assert!(lines[0].starts_with("encarno "), "{text}");
                assert!(lines[usize::from(rows) - 1].contains("p pause") || columns < 40);
            }
            for size in [(1, 1), (19, 4), (300, 1), (1, 300)] {
                screen(&view, size.0, size.1, COLOURS);
            }
        }
        // There is no window yet.
        for (columns, rows) in [(80, 24), (20, 5)] {
            screen(&View::default(), columns, rows, COLOURS);
        }
    }

    #[test]
    fn a_measurement_shows_its_trials() {
        let mut follower = follower();
        follower.view.page = Page::Trials;
        follower.view.end_ns = None;
        follower.view.measuring = Some(Measuring {
            load: "44 workers".to_owned(),
            from_ns: S,
            found: vec!["peak   1,368/s at 44 workers".to_owned()],
            trials: (1..=30)
                .map(|number| format!("{number:>3}  line"))
                .collect(),
        });
        let view = follower.view();
        let (lines, _) = screen(&view, 80, 24, COLOURS);
        let text = lines.join("\n");
        for expected in [
            "30 trials",
            "trial       31: 44 workers, for 2 s",
            "rate        3000.0/s",
            "peak   1,368/s at 44 workers",
            " 30  line",
            "l labels   q stop",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
        assert!(!text.contains("pause"), "{text}");
        // On a small terminal, the latest trials are shown.
        let (lines, _) = screen(&view, 60, 12, COLOURS);
        let text = lines.join("\n");
        for expected in ["trial       31", "peak   1,368/s", " 29  line", " 30  line"] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
        for size in [(40, 8), (20, 5), (1, 1), (300, 1)] {
            screen(&view, size.0, size.1, COLOURS);
        }
    }

    #[test]
    fn labels_are_a_table_with_most_hits_first() {
        let mut follower = follower();
        follower.view.page = Page::Labels;
        let (lines, _) = screen(&follower.view(), 80, 24, COLOURS);
        let text = lines.join("\n");
        assert!(
            lines[2].starts_with("label") && lines[2].trim_end().ends_with("max"),
            "{text}"
        );
        assert!(text.contains("login") && text.contains("2000"), "{text}");
        assert!(text.contains("long long") && text.contains('…'), "{text}");
        follower.scroll(99);
        let (lines, _) = screen(&follower.view(), 80, 24, COLOURS);
        assert!(!lines[3].trim().is_empty() && lines[4].trim().is_empty());
    }

    #[test]
    fn without_colours_there_are_none_and_what_matters_is_bold() {
        let view = View {
            phase: Phase::Paused,
            ..follower().view()
        };
        let (lines, backend) = screen(&view, 80, 24, Look { colours: false });
        let cells = backend.buffer().content();
        assert!(
            cells
                .iter()
                .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
        );
        assert!(lines[0].trim_end().ends_with("PAUSED"));
        assert!(cells[79].modifier.contains(Modifier::BOLD));
        let (_, backend) = screen(&view, 80, 24, COLOURS);
        assert!(
            backend
                .buffer()
                .content()
                .iter()
                .any(|cell| cell.fg == Color::Red)
        );
    }
}
