//! Points of a run that are sent while it goes on. Whoever takes them late delays no hit:
//! the result file is the queue.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use encarno_engine::control::{Control, Stop};
use encarno_export::steps::Steps;
use encarno_record::mask::masked_url;

use super::super::export::{Delivery, Patience, Protocol};
use super::super::{Failure, complain};
use super::Export;
use super::follower::Follower;
use crate::url_text::HeaderText;

/// The file is looked at that often.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever waits longer than that for the last points is told so.
const QUIET: Duration = Duration::from_secs(2);

/// What is sent where.
pub(super) struct Push<'a> {
    pub(super) protocol: Protocol,
    pub(super) url: &'a str,
    pub(super) headers: &'a [HeaderText],
    /// What a point covers.
    pub(super) seconds: u64,
    pub(super) patience: Duration,
}

/// Points that are sent by a thread of their own.
pub(super) struct Pushed {
    follower: Follower<Delivery>,
    url: String,
    patience: Duration,
    control: Arc<Control>,
}

impl Push<'_> {
    /// The run is on, and writes that file.
    pub(super) fn start(&self, file: &Path, control: &Arc<Control>) -> Result<Pushed, Failure> {
        let steps = Steps::open(file, self.seconds).map_err(Failure::setup)?;
        let delivery = Delivery::of_run(
            self.protocol,
            self.url,
            self.headers,
            self.patience,
            file,
            &steps,
        )?;
        let follower = Follower::start(
            "export",
            LOOK,
            steps,
            delivery,
            |delivery, step, is_over| {
                // While the run goes on a receiver may come back. Its end waits once.
                let patience = match is_over {
                    true => Patience::Once,
                    false => Patience::Anew,
                };
                delivery.take(step, patience);
            },
        )?;
        Ok(Pushed {
            follower,
            url: masked_url(self.url),
            patience: self.patience,
            control: Arc::clone(control),
        })
    }
}

impl Export for Pushed {
    fn tell(&self) {
        self.follower.tell();
    }

    fn stop(&self) -> Stop {
        self.control.stop()
    }

    fn end(self: Box<Self>, stop: Stop) -> Option<String> {
        let began = Instant::now();
        let (url, mut told) = (&self.url, false);
        while !self.follower.is_finished() {
            if self.control.stop() != stop {
                let lost = format!("the last points were NOT delivered to {url}: given up");
                complain(&lost);
                return Some(lost);
            }
            if !told && began.elapsed() > QUIET {
                told = true;
                complain(&format!(
                    "the run has ended; {url} gets {} s to take its last points, unless a signal \
                     (Ctrl-C) gives them up",
                    self.patience.as_secs()
                ));
            }
            thread::sleep(QUIET / 100);
        }
        let delivery = self.follower.join();
        complain(&delivery.text());
        (!delivery.is_whole()).then(|| delivery.text())
    }
}
