//! Takes the terminal for a dashboard, and restores it in all cases.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcgetwinsize, tcsetattr,
};

use super::draw::Look;

/// The size of a terminal that doesn't report one.
const SIZE: (u16, u16) = (80, 24);
/// The buffer of a frame, which is written at once.
const FRAME_BYTES: usize = 64 << 10;

/// The state to restore. It is static so that a panic, or an exit in any thread, finds
/// it.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

#[derive(Debug)]
struct Taken {
    /// The previous modes of the terminal for keys; `None` if there are no keys.
    modes: Option<(OwnedFd, Termios)>,
}

/// Whether a dashboard can be drawn: the standard error is a terminal that supports it,
/// and this process is in its foreground.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stderr().is_terminal() && !dumb && is_in_foreground()
}

/// Gives the terminal back if it was taken. Any thread may call this.
pub fn leave() {
    let Some(taken) = taken().take() else {
        return;
    };
    let mut out = io::stderr();
    // If the terminal is gone, nothing has to be restored.
    let _left = execute!(out, ResetColor, LeaveAlternateScreen, Show);
    if let Some((keys, modes)) = taken.modes
        && is_in_foreground()
    {
        let _restored = tcsetattr(&keys, OptionalActions::Now, &modes);
    }
}

/// Whether this process is in the foreground. A process in the background that touches
/// its terminal is stopped.
pub(super) fn is_in_foreground() -> bool {
    match tcgetpgrp(io::stderr()) {
        Ok(group) => group == getpgrp(),
        // The terminal isn't that of this session, so nothing stops this process.
        Err(_) => true,
    }
}

type Drawn = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// A terminal with a dashboard.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Drawn,
    size: (u16, u16),
    pub(super) look: Look,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let size = size();
        let screen = Self {
            terminal: terminal(size)?,
            size,
            look: Look {
                colours: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
            },
        };
        take()?;
        Ok(screen)
    }

    /// Takes the terminal again, after [`leave`].
    pub(super) fn enter_again(&mut self) -> io::Result<()> {
        take()?;
        self.redraw()
    }

    /// Draws a frame, unless the terminal was given back.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // Hold the lock while drawing, so that a panic elsewhere isn't followed by a
        // frame over its message.
        let taken = taken();
        if taken.is_none() {
            return Ok(());
        }
        if size() != self.size {
            self.redraw()?;
        }
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Makes the next frame redraw everything. Unlike ratatui's clear, this doesn't ask
    /// the terminal for its cursor, because a terminal need not answer.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        self.size = size();
        self.terminal = terminal(self.size)?;
        execute!(io::stderr(), Clear(ClearType::All))
    }
}

fn terminal((columns, rows): (u16, u16)) -> io::Result<Drawn> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, io::stderr()));
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

/// The terminal for keys: the standard input, if it is a terminal.
pub(super) fn keys() -> Option<OwnedFd> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned().ok();
    }
    File::open("/dev/tty").ok().map(OwnedFd::from)
}

fn take() -> io::Result<()> {
    let mut taken = taken();
    let modes = keys().and_then(|keys| {
        let before = tcgetattr(&keys).ok()?;
        set_modes(keys.as_fd(), &before).ok()?;
        Some((keys, before))
    });
    *taken = Some(Taken { modes });
    let mut out = io::stderr();
    execute!(out, EnterAlternateScreen, Clear(ClearType::All), Hide)?;
    out.flush()
}

/// Makes keys arrive at once and without echo. Ctrl-C and Ctrl-Z remain signals.
fn set_modes(keys: BorrowedFd<'_>, before: &Termios) -> io::Result<()> {
    let mut modes = before.clone();
    modes
        .local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    // Ctrl-S would block the dashboard, and with it the end of the run.
    modes.input_modes.remove(InputModes::IXON);
    modes.special_codes[SpecialCodeIndex::VMIN] = 0;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(keys, OptionalActions::Now, &modes)?)
}

fn size() -> (u16, u16) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => SIZE,
    }
}

fn taken() -> MutexGuard<'static, Option<Taken>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}
