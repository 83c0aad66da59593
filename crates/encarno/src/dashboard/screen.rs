//! The terminal: taken for a dashboard, and given back whatever happens.

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

/// A terminal that doesn't say its size.
const SIZE: (u16, u16) = (80, 24);
/// A frame is written at once.
const FRAME_BYTES: usize = 64 << 10;

/// What has to be undone. It is here so that a panic, and the end of the process from
/// any thread, find it.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

#[derive(Debug)]
struct Taken {
    /// The keys' terminal as it was; none if there are no keys.
    modes: Option<(OwnedFd, Termios)>,
}

/// Whether a dashboard can be drawn: on a terminal that can do more than print, and
/// that belongs to this process.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stderr().is_terminal() && !dumb && is_in_foreground()
}

/// Gives the terminal back, if it was taken. It may be called from any thread.
pub fn leave() {
    let Some(taken) = taken().take() else {
        return;
    };
    let mut out = io::stderr();
    // Whoever closed the terminal needs nothing back.
    let _left = execute!(out, ResetColor, LeaveAlternateScreen, Show);
    if let Some((keys, modes)) = taken.modes
        && is_in_foreground()
    {
        let _restored = tcsetattr(&keys, OptionalActions::Now, &modes);
    }
}

/// A process in the background must not touch its terminal: it would be stopped.
pub(super) fn is_in_foreground() -> bool {
    match tcgetpgrp(io::stderr()) {
        Ok(group) => group == getpgrp(),
        // Not this session's terminal: nobody stops us.
        Err(_) => true,
    }
}

type Drawn = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// A terminal that is being drawn on.
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

    /// Takes it again, after [`leave`].
    pub(super) fn enter_again(&mut self) -> io::Result<()> {
        take()?;
        self.redraw()
    }

    /// Draws a frame, unless the terminal was given back.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // A panic elsewhere must not find a frame behind what it says.
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

    /// Draws everything anew next time. The terminal isn't asked for its cursor, as
    /// ratatui would when it clears: a terminal need not answer.
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

/// The terminal that keys come from: the standard input, if that is one.
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

/// Keys come at once and aren't shown. Ctrl-C and Ctrl-Z stay what they are: signals.
fn set_modes(keys: BorrowedFd<'_>, before: &Termios) -> io::Result<()> {
    let mut modes = before.clone();
    modes
        .local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    // Ctrl-S would hold the dashboard up, and the end of the run with it.
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
