//! The lines of the log. Peers can cause many lines of one kind, so each kind has a
//! limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

/// The most lines of a kind in a [`WINDOW`].
const LINES_MAX: u64 = 10;

const WINDOW: Duration = Duration::from_secs(1);

/// Lets only a few lines of each kind through; a kind is a place in the source. At levels
/// below "info", every line is written.
pub(crate) struct LimitByKind;

/// Puts lines into the queue.
pub(crate) struct Lines;

/// The kinds of lines that were seen.
pub(super) struct Kinds(BTreeMap<(&'static str, u32), Kind>);

struct Kind {
    level: Level,
    target: &'static str,
    since: Instant,
    lines: u64,
}

impl Kinds {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether another line of this kind is to be written.
    fn take(&mut self, metadata: &Metadata<'static>, now: Instant, text: &mut String) -> bool {
        let place = metadata.file().unwrap_or(metadata.target());
        let place = (place, metadata.line().unwrap_or_default());
        let kind = self.0.entry(place).or_insert(Kind {
            level: *metadata.level(),
            target: metadata.target(),
            since: now,
            lines: 0,
        });
        if now.duration_since(kind.since) >= WINDOW {
            kind.end(place, text);
            kind.since = now;
        }
        kind.lines += 1;
        kind.lines <= LINES_MAX
    }

    /// Reports how many lines were dropped, for the kinds whose window is over, or for
    /// all.
    pub(super) fn say_what_was_left_out(&mut self, now: Option<Instant>, text: &mut String) {
        for (&place, kind) in &mut self.0 {
            if now.is_none_or(|now| now.duration_since(kind.since) >= WINDOW) {
                kind.end(place, text);
            }
        }
    }
}

impl Kind {
    fn end(&mut self, (file, line): (&str, u32), text: &mut String) {
        if let left_out @ 1.. = std::mem::take(&mut self.lines).saturating_sub(LINES_MAX) {
            let _ = writeln!(
                text,
                "{} {}: {left_out} more lines of this kind were left out ({file}:{line})",
                self.level, self.target
            );
        }
    }
}

impl<S: Subscriber> Layer<S> for LimitByKind {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut text = String::new();
        let mut state = super::lock();
        let is_allowed = state.kinds.take(metadata, Instant::now(), &mut text);
        if !text.is_empty() {
            state.push_line(text.as_bytes());
        }
        is_allowed
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Lines {
    /// This is called once for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        super::lock().push_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{LimitByKind, Lines};

    #[test]
    fn each_kind_has_its_limit_and_what_was_left_out_is_said() {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(Lines)
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(LimitByKind).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..20_000 {
                tracing::warn!(number, "what peers cause");
            }
            for _ in 0..50 {
                tracing::debug!("what is asked for");
            }
            tracing::warn!("another kind");
        });
        let mut state = super::super::lock();
        state.say_what_was_left_out(None);
        let text = String::from_utf8_lossy(&state.queue).into_owned();
        let count = |what: &str| text.matches(what).count();
        // The second may end during the test, and another one begin.
        assert!((10..=100).contains(&count("what peers cause")), "{text}");
        assert!(
            count("more lines of this kind were left out") >= 1,
            "{text}"
        );
        assert_eq!(count("what is asked for"), 50, "{text}");
        assert_eq!(count("another kind"), 1, "{text}");
    }
}
