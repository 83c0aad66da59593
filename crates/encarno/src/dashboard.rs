//! The dashboard of a run on a terminal.
//!
//! A thread of its own draws a few times a second, and reads keys. It gets the meter's
//! windows, and steers the run through its [`Control`], as signals do.
//!
//! - view: the displayed data, made from windows
//! - draw: draws a view; a function of the view and the size
//! - keys: parses the keys that the user presses
//! - screen: takes the terminal, and restores it in all cases
//! - desk: the thread

mod desk;
mod draw;
mod keys;
mod screen;
mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use encarno_engine::control::Control;
use encarno_engine::meter::Window;

use desk::Desk;
pub use draw::{Look, draw};
pub use screen::{is_possible, leave};
pub use view::{Follower, Measuring, Page, Phase, View};

/// A dashboard on the terminal behind the standard error.
#[derive(Debug)]
pub struct Dashboard {
    shared: Arc<Shared>,
    desk: Option<Desk>,
}

/// The state that the run and the dashboard's thread share.
#[derive(Debug)]
struct Shared {
    follower: Mutex<Follower>,
    control: Arc<Control>,
    /// Whether the terminal was given back, so that nothing is drawn any more.
    gone: AtomicBool,
}

impl Shared {
    fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dashboard {
    /// Takes the terminal, and shows the run; `None` if the terminal can't be used.
    pub fn start(follower: Follower, control: &Arc<Control>) -> Option<Self> {
        let shared = Arc::new(Shared {
            follower: Mutex::new(follower),
            control: Arc::clone(control),
            gone: AtomicBool::new(false),
        });
        let desk = Desk::start(Arc::clone(&shared));
        let desk = desk.inspect_err(|error| tracing::warn!("no dashboard: {error}"));
        Some(Self {
            shared,
            desk: Some(desk.ok()?),
        })
    }

    /// Takes the window of a second.
    pub fn take(&self, window: &Window) {
        self.shared.follower().take(window);
    }

    /// Shows the present state of a measurement.
    pub fn measure(&self, measuring: Measuring) {
        self.shared.follower().view.measuring = Some(measuring);
    }

    /// Whether the terminal couldn't be used, or is gone.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// Gives the terminal back.
    pub fn end(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.end();
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end();
    }
}
