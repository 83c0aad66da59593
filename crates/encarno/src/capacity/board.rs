//! The display of a measurement: on a terminal, the dashboard of a run with the trials in
//! it; elsewhere, a line for each trial.

use std::cell::{Cell, RefCell};
use std::io::{Write, stderr};
use std::sync::Arc;

use encarno_engine::control::Control;
use encarno_engine::meter::Window;
use encarno_engine::pilot::{Helm, Pilot};

use super::driver::Driver;
use super::outcome::Outcome;
use super::text;
use super::trial::Trial;
use crate::dashboard::{self, Dashboard, Follower, Measuring, Page, View};

/// Shows trials.
#[derive(Debug, Default)]
pub struct Board {
    dashboard: RefCell<Option<Dashboard>>,
    measuring: RefCell<Measuring>,
    /// The number of trials whose lines were written.
    written: Cell<usize>,
    /// Whether nothing is shown.
    quiet: bool,
}

impl Board {
    /// A board that shows trials, or nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            ..Self::default()
        }
    }

    /// Takes the terminal, if there is one, at the start of the run.
    pub fn begin(&self, title: &str, workers_max: u64, control: &Arc<Control>) {
        if self.quiet || !dashboard::is_possible() {
            return;
        }
        let mut view = View::new(title, workers_max, None);
        view.page = Page::Trials;
        view.measuring = Some(Measuring::default());
        *self.dashboard.borrow_mut() = Dashboard::start(Follower::new(view, true), control);
    }

    /// Shows a trial that has ended.
    pub fn ended(&self, trial: &Trial) {
        let line = text::trial_line(trial);
        self.measuring.borrow_mut().trials.push(line);
        if !self.has_screen() {
            self.write();
        }
    }

    /// Gives the terminal back, and writes the lines of the trials that it showed.
    pub fn end(&self) {
        drop(self.dashboard.take());
        self.write();
    }

    fn has_screen(&self) -> bool {
        let dashboard = self.dashboard.borrow();
        dashboard.as_ref().is_some_and(|it| !it.is_gone())
    }

    fn write(&self) {
        let measuring = self.measuring.borrow();
        for line in &measuring.trials[self.written.get()..] {
            if !self.quiet {
                // The reader may be gone; the run goes on.
                let _shown = writeln!(stderr(), "{line}");
            }
        }
        self.written.set(measuring.trials.len());
    }

    fn window(&self, window: &Window) {
        if let Some(dashboard) = &*self.dashboard.borrow() {
            dashboard.take(window);
        }
    }

    /// Shows the present trial; `is_new` if a trial has ended since the last call.
    fn look(&self, driver: &Driver<'_>, is_new: bool) {
        if !self.has_screen() {
            return;
        }
        let (load, from_ns) = match driver.now() {
            Some((load, from_ns)) => (text::load_text(load), from_ns),
            None => (String::new(), 0),
        };
        let mut measuring = self.measuring.borrow_mut();
        if is_new {
            measuring.found = text::found_lines(&Outcome::of(driver.findings()));
        }
        if is_new || measuring.load != load || measuring.from_ns != from_ns {
            (measuring.load, measuring.from_ns) = (load, from_ns);
            if let Some(dashboard) = &*self.dashboard.borrow() {
                dashboard.measure(measuring.clone());
            }
        }
    }
}

/// A driver whose trials are shown.
pub struct Shown<'a> {
    driver: Driver<'a>,
    board: &'a Board,
    trials: usize,
}

impl<'a> Shown<'a> {
    /// Shows the trials of this driver on this board.
    pub fn new(driver: Driver<'a>, board: &'a Board) -> Self {
        Self {
            driver,
            board,
            trials: 0,
        }
    }

    /// Returns the driver after the run.
    pub fn into_driver(self) -> Driver<'a> {
        self.driver
    }
}

impl Pilot for Shown<'_> {
    fn window(&mut self, window: &Window) {
        self.driver.window(window);
        self.board.window(window);
    }

    fn look(&mut self, helm: &mut Helm<'_>) {
        self.driver.look(helm);
        let trials = self.driver.findings().trials().len();
        self.board.look(&self.driver, trials != self.trials);
        self.trials = trials;
    }
}
