//! Messages on the standard error. While a dashboard has the terminal, messages are held
//! back: the dashboard shows them, and they are written when the terminal is free again.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use encarno_engine::control::Stop;
use tracing_subscriber::fmt::MakeWriter;

/// The most messages that are held back; the oldest ones are dropped.
const HELD_MAX: usize = 200;

static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Prints a message with the program's name. Parts of the text may come from a file or a
/// peer.
pub fn say(text: &str) {
    let lines: Vec<_> = text.split('\n').map(crate::texts::printable).collect();
    put(&format!("encarno: {}\n", lines.join("\n")));
}

/// Says how a run that was stopped ends.
pub(crate) fn say_stop(stop: Stop) {
    say(match stop {
        Stop::Now => "stopping at once",
        _ => "stopping: running hits may end; once more to stop at once",
    });
}

/// Holds messages back from now on.
pub(crate) fn hold() {
    held().get_or_insert_default();
}

/// Writes the messages that were held back, and stops holding.
pub(crate) fn release() {
    let texts = held().take();
    for text in texts.into_iter().flatten() {
        write(&text);
    }
}

/// The last message that was held back, as one line.
pub(crate) fn last() -> Option<String> {
    let held = held();
    let last = held.as_ref()?.last()?;
    Some(plain(last.trim_end()))
}

/// The text as one line, without the colours of the log.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(first, |plain, part| {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain + &part[end.map_or(part.len(), |end| end + 1)..]
    });
    crate::texts::printable(&plain.replace('\n', " "))
}

fn put(text: &str) {
    match held().as_mut() {
        None => write(text),
        Some(texts) => {
            if texts.len() >= HELD_MAX {
                texts.remove(0);
            }
            texts.push(text.to_owned());
        }
    }
}

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(text: &str) {
    // If the standard error can't be written to, there is no other place for the message.
    let _shown = io::stderr().write_all(text.as_bytes());
}

/// The destination of log lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        put(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_message_is_one_line_and_steers_nothing() {
        let log = "\x1b[2m14:00\x1b[0m \x1b[33m WARN\x1b[0m late\nby 3\x07 \x1b";
        assert_eq!(plain(log), "14:00  WARN late by 3\u{fffd} \u{fffd}");
        assert_eq!(plain("\x1b["), "");
    }
}
