//! Distributions of delays, for simulated answers and for pauses.

use std::time::Duration;

use encarno_record::parse_duration;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// A distribution of delays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Delay {
    /// No delay.
    #[default]
    Zero,
    /// A constant delay.
    Fixed(Duration),
    /// Exponential.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// A uniform distribution.
    Uniform {
        /// The shortest.
        from: Duration,
        /// The longest.
        to: Duration,
    },
    /// A normal distribution, cut off at 0.
    Gaussian {
        /// Its mean.
        mean: Duration,
        /// Its standard deviation.
        deviation: Duration,
    },
    /// One of two delays.
    Bimodal {
        /// The usual delay.
        fast: Duration,
        /// The other delay.
        slow: Duration,
        /// The share of the other delay, 0 … 1.
        slow_part: f64,
    },
}

/// The syntax of a delay, for messages.
pub const DELAY_SHAPE: &str = "none, fixed:10ms, exponential:10ms (or poisson:10ms), \
     uniform:1ms:5ms, gaussian:10ms:2ms or bimodal:1ms:100ms:0.05";

impl Delay {
    /// The next delay, ns.
    pub fn sample_ns(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        match *self {
            Self::Zero => 0,
            Self::Fixed(time) => time.as_nanos() as u64,
            Self::Exponential { mean } => exponential(random, mean.as_nanos() as f64) as u64,
            Self::Uniform { from, to } => {
                let width = to.saturating_sub(from).as_nanos() as f64;
                from.as_nanos() as u64 + (uniform(random) * width) as u64
            }
            Self::Gaussian { mean, deviation } => {
                // The method of Box and Muller; this uses one of its two numbers.
                let radius = (2.0 * exponential(random, 1.0)).sqrt();
                let normal = radius * (std::f64::consts::TAU * uniform(random)).cos();
                let value = mean.as_nanos() as f64 + normal * deviation.as_nanos() as f64;
                value.max(0.0) as u64
            }
            Self::Bimodal {
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
}

impl std::str::FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("expected {DELAY_SHAPE}");
        let time = |text: &str| {
            parse_duration(text)
                .map(Duration::from_nanos)
                .ok_or_else(shape)
        };
        let parts: Vec<&str> = text.trim().split(':').collect();
        match parts.as_slice() {
            ["none"] => Ok(Self::Zero),
            ["fixed", delay] | [delay] => Ok(Self::Fixed(time(delay)?)),
            ["exponential" | "poisson", mean] => Ok(Self::Exponential { mean: time(mean)? }),
            ["gaussian", mean, deviation] => Ok(Self::Gaussian {
                mean: time(mean)?,
                deviation: time(deviation)?,
            }),
            ["uniform", from, to] => {
                let (from, to) = (time(from)?, time(to)?);
                if from <= to {
                    Ok(Self::Uniform { from, to })
                } else {
                    Err("uniform: from is above to".to_owned())
                }
            }
            ["bimodal", fast, slow, part] => {
                let slow_part = part.parse().ok().filter(|part| (0.0..=1.0).contains(part));
                let slow_part = slow_part.ok_or("bimodal: the slow part must lie in 0 … 1")?;
                Ok(Self::Bimodal {
                    fast: time(fast)?,
                    slow: time(slow)?,
                    slow_part,
                })
            }
            _ => Err(shape()),
        }
    }
}

/// A uniform number from 0 to 1, without 1.
pub fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// An exponential number with this mean.
pub fn exponential(random: &mut Xoshiro256PlusPlus, mean: f64) -> f64 {
    -(1.0 - uniform(random)).ln() * mean
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::Delay;

    #[test]
    fn means_are_those_that_were_asked_for() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for (text, mean_ms) in [
            ("none", 0.0),
            ("fixed:3ms", 3.0),
            ("3ms", 3.0),
            ("exponential:10ms", 10.0),
            ("poisson:10ms", 10.0),
            ("uniform:1ms:5ms", 3.0),
            ("gaussian:100ms:5ms", 100.0),
            ("bimodal:1ms:101ms:0.1", 11.0),
        ] {
            let delay: Delay = text.parse().expect("it is right");
            let sum: u64 = (0..20_000).map(|_| delay.sample_ns(&mut random)).sum();
            let found = Duration::from_nanos(sum / 20_000).as_secs_f64() * 1e3;
            assert!((found - mean_ms).abs() <= mean_ms * 0.05, "{text}: {found}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "soon",
            "fixed",
            "fixed:x",
            "uniform:2s:1s",
            "gaussian:1s",
            "bimodal:1s:2s:3",
        ] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }
}
