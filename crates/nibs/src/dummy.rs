//! A protocol without a network: a scripted delay, to measure the engine itself.

use std::time::Duration;

use encarno_nib::delay::{Delay, uniform};
use encarno_nib::{
    BadOption, Factory, Form, Io, Kind, Nib, Options, Protocol, Readiness, Scheme, Seat,
    SetUpError, Shot, Step,
};
use encarno_record::{StringId, Strings, code, parse_duration};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// A scripted service without a network.
#[derive(Clone, Debug, Default)]
pub struct DummySettings {
    /// The delay of a hit.
    pub delay: Delay,
    /// The share of hits that fail, 0 … 1.
    pub error_rate: f64,
    /// The seed of delays and errors.
    pub seed: u64,
}

impl Protocol for DummySettings {
    type Nib = Dummy;

    const KIND: &'static Kind = &Kind {
        name: "dummy",
        aliases: &[],
        schemes: &[Scheme::new("dummy", None)],
        form: Form::Bytes,
        tls: None,
        network: false,
        options: &["delay", "errorrate", "seed"],
    };

    fn nib(&self, seat: &Seat<'_>) -> Dummy {
        Dummy::new(self, seat.number, seat.strings)
    }

    fn descriptors(&self, _workers: u64) -> u64 {
        0
    }
}

impl Factory for DummySettings {
    type Settings = Self;

    fn settings(options: Options) -> Result<Self, BadOption> {
        let error_rate = options
            .own("errorrate", "a part from 0 to 1")?
            .unwrap_or(0.0);
        if !(0.0..=1.0).contains(&error_rate) {
            return Err(BadOption::new("errorrate", "write a part from 0 to 1"));
        }
        Ok(Self {
            delay: match options.own.get("delay") {
                Some(text) => delay(text).map_err(|reason| BadOption::new("delay", reason))?,
                None => Delay::default(),
            },
            error_rate,
            seed: options.own("seed", "a whole number")?.unwrap_or(0),
        })
    }

    fn set_up(settings: Self) -> Result<Self, SetUpError> {
        Ok(settings)
    }
}

/// Parses a distribution, or a duration for a constant delay.
fn delay(text: &str) -> Result<Delay, String> {
    match parse_duration(text.trim()) {
        Some(ns) => Ok(Delay::Fixed(Duration::from_nanos(ns))),
        None => text.parse(),
    }
}

/// The nib of the dummy.
#[derive(Debug)]
pub struct Dummy {
    delay: Delay,
    error_rate: f64,
    error: StringId,
    random: Xoshiro256PlusPlus,
}

impl Dummy {
    /// Gives each event loop its own seed.
    fn new(settings: &DummySettings, event_loop: usize, strings: &Strings) -> Self {
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
        let delay_ns = self.delay.sample_ns(&mut self.random);
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
