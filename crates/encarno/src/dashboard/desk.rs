//! The dashboard's thread: draws, and reacts to keys.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use encarno_engine::control::Stop;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use signal_hook::consts::{SIGCONT, SIGQUIT, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use super::keys::{Key, keys};
use super::screen::{self, Screen};
use super::view::{Page, Phase, View};
use super::{Shared, draw};
use crate::messages;

/// The time between frames.
const FRAME: Duration = Duration::from_millis(250);
/// How long the end waits for a terminal that accepts no more data.
const END_MAX: Duration = Duration::from_secs(2);

/// The thread, with a way to end it.
#[derive(Debug)]
pub(super) struct Desk {
    waker: Arc<OwnedFd>,
    ended: Receiver<()>,
    signals: Handle,
}

impl Desk {
    /// Starts the thread, which takes the terminal: a blocked terminal must not hold up
    /// the run.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let signals = Signals::new([SIGTSTP, SIGCONT, SIGQUIT])?;
        let handle = signals.handle();
        let (sender, ended) = bounded::<()>(0);
        let of_thread = Arc::clone(&waker);
        let body = move || {
            messages::hold();
            let worked = Screen::enter().and_then(|screen| {
                let screen = Arc::new(Mutex::new(screen));
                let of_signals = Arc::clone(&screen);
                thread::Builder::new()
                    .name("terminal".to_owned())
                    .spawn(move || heed(signals, &of_signals))?;
                work(&shared, &screen, &of_thread)
            });
            // Without a terminal there is no dashboard; the run goes on.
            screen::leave();
            messages::release();
            shared.gone.store(true, Ordering::Relaxed);
            if let Err(error) = worked {
                tracing::debug!("no dashboard: {error}");
            }
            drop(sender);
        };
        thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(body)?;
        Ok(Self {
            waker,
            ended,
            signals: handle,
        })
    }

    /// Gives the terminal back, and writes the messages that were held back.
    pub(super) fn end(self) {
        let _woken = rustix::io::write(&*self.waker, &1_u64.to_ne_bytes());
        let gone = self.ended.recv_timeout(END_MAX);
        debug_assert_ne!(gone, Ok(()), "nothing is sent");
        if gone == Err(RecvTimeoutError::Timeout) {
            tracing::debug!("the terminal takes nothing any more");
        }
        self.signals.close();
        screen::leave();
        messages::release();
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(shared: &Shared, screen: &Mutex<Screen>, waker: &OwnedFd) -> io::Result<()> {
    let mut keyboard = screen::keys();
    let mut buffer = [0; 256];
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            show(shared, screen)?;
            next = Instant::now() + FRAME;
        }
        let left = next.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        // A process in the background must not read from the terminal.
        let readable = keyboard.as_ref().filter(|_| screen::is_in_foreground());
        let mut waited = vec![PollFd::new(waker, PollFlags::IN)];
        waited.extend(readable.map(|keys| PollFd::from_borrowed_fd(keys.as_fd(), PollFlags::IN)));
        match poll(&mut waited, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !waited[0].revents().is_empty() {
            return Ok(());
        }
        let pressed = waited.get(1).is_some_and(|keys| !keys.revents().is_empty());
        let (true, Some(from)) = (pressed, &keyboard) else {
            continue;
        };
        match rustix::io::read(from, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::IO) => keyboard = None,
            Ok(count) => {
                for key in keys(&buffer[..count]) {
                    press(key, shared, screen)?;
                }
                next = Instant::now();
            }
            Err(_) => {}
        }
    }
}

fn show(shared: &Shared, screen: &Mutex<Screen>) -> io::Result<()> {
    let control = &shared.control;
    // Copy the view: the run must not wait for a terminal.
    let view = View {
        elapsed_ns: control.now_ns(),
        end_ns: control.end_ns(),
        phase: match (control.stop(), control.is_paused()) {
            (Stop::No, true) => Phase::Paused,
            (Stop::No, false) => Phase::Running,
            _ => Phase::Stopping,
        },
        message: messages::last(),
        ..shared.follower().view()
    };
    let mut screen = lock(screen);
    let look = screen.look;
    screen.draw(|frame| draw(frame, &view, look))
}

fn press(key: Key, shared: &Shared, screen: &Mutex<Screen>) -> io::Result<()> {
    let control = &shared.control;
    match key {
        Key::Pause => {
            let turned = match control.is_paused() {
                true => control.resume().map(|_| ()),
                false => control.pause().map(|_| ()),
            };
            if let Err(error) = turned {
                messages::say(&format!("no pause: {error}"));
            }
        }
        Key::Stop => messages::say_stop(control.stop_harder()),
        Key::Labels => {
            let view = &mut shared.follower().view;
            view.scrolled = 0;
            view.page = match view.page {
                Page::Overview | Page::Trials => Page::Labels,
                Page::Labels => view.home(),
            };
        }
        Key::Back => {
            let view = &mut shared.follower().view;
            view.page = view.home();
        }
        Key::Scroll(lines) => shared.follower().scroll(lines),
        Key::Redraw => lock(screen).redraw()?,
    }
    Ok(())
}

/// Handles signals of the terminal whose default action would leave the terminal as it is
/// now.
fn heed(mut signals: Signals, screen: &Mutex<Screen>) {
    for signal in signals.forever() {
        if signal == SIGCONT {
            continue;
        }
        let mut screen = lock(screen);
        screen::leave();
        // Stops this process. It continues here after SIGCONT.
        let _stopped = emulate_default_handler(signal);
        if screen::is_in_foreground() {
            // Without a terminal, this fails and nothing has to be done.
            let _entered = screen.enter_again();
        }
    }
}
