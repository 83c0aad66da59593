//! No network: a scripted delay, so that the engine itself can be measured.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::{Io, Nib, Readiness, Shot, Step, code};
use crate::settings::{Delay, DummySettings};
use crate::strings::{StringId, Strings};

/// The dummy.
#[derive(Debug)]
pub struct Dummy {
    delay: Delay,
    error_rate: f64,
    error: StringId,
    random: Xoshiro256PlusPlus,
}

impl Dummy {
    /// Each event loop needs a seed of its own.
    pub fn new(settings: &DummySettings, event_loop: usize, strings: &Strings) -> Self {
        Self {
            delay: settings.delay,
            error_rate: settings.error_rate,
            error: strings.intern("dummy error"),
            random: Xoshiro256PlusPlus::seed_from_u64(
                settings.seed.wrapping_add(event_loop as u64),
            ),
        }
    }

    fn end(&mut self, shot: &mut Shot, now_ns: u64) -> Step {
        let hit = &mut shot.hit;
        hit.first_byte_ns = now_ns;
        hit.ended_ns = now_ns;
        if self.error_rate > 0.0 && uniform(&mut self.random) < self.error_rate {
            hit.net_code = code::DUMMY;
            hit.error = self.error;
        } else {
            hit.protocol_code = 200;
        }
        Step::Done
    }
}

impl Nib for Dummy {
    type Connection = ();

    fn connection(&mut self) {}

    #[inline]
    fn start(&mut self, (): &mut (), shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let started_ns = shot.hit.started_ns;
        shot.hit.connected_ns = started_ns;
        shot.hit.sent_ns = started_ns;
        shot.hit.sent_bytes = shot.payload.len();
        let delay_ns = delay_ns(&self.delay, &mut self.random);
        if delay_ns == 0 {
            return self.end(shot, io.clock.now_ns());
        }
        Step::WakeAt(started_ns + delay_ns)
    }

    fn ready(&mut self, (): &mut (), _: Option<&mut Shot>, _: Readiness, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn wake(&mut self, (): &mut (), shot: &mut Shot, io: &mut Io<'_>) -> Step {
        self.end(shot, io.clock.now_ns())
    }

    fn abandon(&mut self, (): &mut ()) {}
}

/// The next delay of a distribution.
pub fn delay_ns(delay: &Delay, random: &mut Xoshiro256PlusPlus) -> u64 {
    match *delay {
        Delay::Zero => 0,
        Delay::Fixed(time) => time.as_nanos() as u64,
        Delay::Exponential { mean } => {
            (-(1.0 - uniform(random)).ln() * mean.as_nanos() as f64) as u64
        }
        Delay::Uniform { from, to } => {
            let width = to.saturating_sub(from).as_nanos() as f64;
            from.as_nanos() as u64 + (uniform(random) * width) as u64
        }
        Delay::Bimodal {
            fast,
            slow,
            slow_part,
        } => {
            let time = if uniform(random) < slow_part {
                slow
            } else {
                fast
            };
            time.as_nanos() as u64
        }
    }
}

/// Evenly in 0 … 1, without 1.
pub fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
