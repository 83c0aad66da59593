//! The values of `--rate`.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use encarno_engine::schedule::Schedule;

/// The highest rate, as in a schedule.
const RATE_MAX: f64 = 1e9;

/// A value of `--rate`: a schedule, or one rate.
#[derive(Clone, Debug)]
pub(crate) enum Rate {
    Schedule(Schedule),
    /// A constant rate, in hits per second as a schedule has it.
    Constant {
        rate: String,
        poisson: bool,
    },
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('(') {
            let schedule = Schedule::read(text);
            return schedule
                .map(Self::Schedule)
                .map_err(|error| error.to_string());
        }
        let (text, poisson) = match text.trim().strip_prefix("poisson ") {
            Some(rest) => (rest.trim(), true),
            None => (text, false),
        };
        let (number, per) = text.split_once('/').unwrap_or((text, "s"));
        let (digits, factor) = match number.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1000.0),
            None => (number, 1.0),
        };
        let seconds = match per {
            "s" | "sec" | "1s" => 1.0,
            "m" | "min" | "1m" => 60.0,
            "h" | "1h" => 3600.0,
            _ => f64::NAN,
        };
        let number = digits.parse::<f64>().unwrap_or(f64::NAN) * factor / seconds;
        // A schedule has whole millionths of a hit per second. They are rounded down, because
        // a rate that is rounded up may make one hit more than were asked for. A number of
        // floating point may lie just below the millionth that it stands for.
        let millionths = (number * 1e6 * (1.0 + 1e-12)).floor();
        if number.is_nan() || number <= 0.0 {
            let text = "write a rate such as 500, 500/s, 30/m or 1k, or a schedule such as \
                        'line(1,100,30s)'";
            return Err(text.to_owned());
        }
        if !(1.0..=RATE_MAX * 1e6).contains(&millionths) {
            return Err(format!(
                "a rate is from 0.000001 to {RATE_MAX} hits per second"
            ));
        }
        Ok(Self::Constant {
            rate: format!("{:.6}", millionths / 1e6),
            poisson,
        })
    }
}

impl Rate {
    /// The schedule. A constant rate applies for the given time, or until the given
    /// number of hits is due.
    pub(super) fn schedule(
        &self,
        duration: Option<Duration>,
        hits: Option<NonZeroU64>,
    ) -> Result<Schedule, String> {
        let (rate, poisson) = match self {
            Self::Schedule(schedule) => return Ok(schedule.clone()),
            Self::Constant { rate, poisson } => (rate, *poisson),
        };
        let seconds = match (duration, hits) {
            (Some(duration), _) => duration.as_secs_f64(),
            // The number of hits ends the run. The schedule is a little longer, so that
            // no hit is missing.
            (None, Some(hits)) => {
                let rate: f64 = rate.parse().unwrap_or(1.0);
                (hits.get() as f64 + 1.0) / rate
            }
            (None, None) => {
                let text = "for how long? Add --for DURATION or --hits N to --rate";
                return Err(text.to_owned());
            }
        };
        let word = if poisson { "poisson " } else { "" };
        format!("{word}const({rate},{seconds}s)")
            .parse()
            .map_err(|error: encarno_engine::schedule::ScheduleError| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::Rate;

    #[test]
    fn rates_as_others_write_them() {
        let hits = |text: &str| {
            let rate: Rate = text.parse().expect(text);
            let schedule = rate
                .schedule(Some(Duration::from_secs(10)), None)
                .expect(text);
            assert_eq!(schedule.duration_ns(), 10_000_000_000, "{text}");
            assert_eq!(schedule.is_poisson(), text.starts_with("poisson"), "{text}");
            schedule.pieces()[0].from.0
        };
        for (text, millionths) in [
            ("500", 500_000_000),
            ("500/s", 500_000_000),
            ("30/m", 500_000),
            ("1k", 1_000_000_000),
            ("1.5k/s", 1_500_000_000),
            ("poisson 500/s", 500_000_000),
        ] {
            assert_eq!(hits(text), millionths, "{text}");
        }
        assert!(
            "500"
                .parse::<Rate>()
                .expect("a rate")
                .schedule(None, None)
                .is_err()
        );
        for text in ["", "0", "-1", "fast", "5/d", "const(1"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    /// 5 hits of 100/m in 3 s, and not a sixth.
    #[test]
    fn a_rate_makes_no_hit_more_than_it_says() {
        for (text, milliseconds, hits) in [
            ("100/m", 3000, 5),
            ("1000/m", 3000, 50),
            ("700/m", 3000, 35),
            ("1000000/m", 300, 5000),
            ("1.001k", 1000, 1001),
            ("0.7k", 10_000, 7000),
            ("0.1", 10_000, 1),
            ("5", 1, 1),
        ] {
            let rate: Rate = text.parse().expect(text);
            let duration = Duration::from_millis(milliseconds);
            let schedule = rate.schedule(Some(duration), None).expect(text);
            assert_eq!(schedule.hits_before(u64::MAX), hits, "{text}");
        }
        for text in ["0.0000004", "1e18", "2000000k", "inf"] {
            let error = text.parse::<Rate>().expect_err(text);
            assert!(error.contains("from 0.000001 to 1000000000"), "{error}");
        }
    }

    #[test]
    fn a_number_of_hits_ends_a_rate() {
        let rate: Rate = "30/m".parse().expect("a rate");
        let schedule = rate.schedule(None, NonZeroU64::new(10)).expect("it ends");
        assert_eq!(schedule.duration_ns(), 22_000_000_000);
    }
}
