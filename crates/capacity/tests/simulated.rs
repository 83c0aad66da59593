//! The measurement against systems whose true values are known.
//!
//! `ENCARNO_SIMULATIONS` is how many systems each test measures (300; the
//! searches take a quarter). All of it is deterministic.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // figures for whoever asks for them

use std::sync::OnceLock;

use encarno_capacity::fit::{Fit, Point, fit};
use encarno_capacity::goal::{BATCHES, GoalVerdict, RISK, judge_quantile};
use encarno_capacity::levels::{LevelOutcome, Levels, Range};
use encarno_capacity::search::{Bracket, Search, Settings};
use encarno_capacity::usl::Usl;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

fn simulations() -> usize {
    let asked = std::env::var("ENCARNO_SIMULATIONS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(300)
}

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Above 0, at most 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    fn exponential(&mut self, rate: f64) -> f64 {
        -self.uniform().ln() / rate
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

struct System {
    usl: Usl,
    peak_workers: f64,
    peak_throughput: f64,
}

impl System {
    fn random(random: &mut Random) -> Self {
        let peak_workers = random.between(20.0, 120.0);
        let sigma = random.between(0.005, 0.08);
        let usl = Usl {
            lambda: random.between(50.0, 5000.0),
            sigma,
            kappa: (1.0 - sigma) / (peak_workers * peak_workers),
        };
        let peak = usl.peak().unwrap();
        Self {
            usl,
            peak_workers,
            peak_throughput: peak.throughput,
        }
    }

    /// Measures it with 2 % noise, up to that many workers.
    fn measure(&self, workers_max: f64, seed: u64) -> Fit {
        const NOISE: f64 = 0.02;
        let mut random = Random::new(seed);
        let mut levels = Levels::new(Range {
            low: 1,
            high: workers_max.round() as u32,
            seed,
        });
        while let Some(workers) = levels.next() {
            let throughput = self.usl.throughput(workers.into()) * (NOISE * random.normal()).exp();
            levels.observe(LevelOutcome::Measured {
                throughput,
                relative_error: NOISE,
                steady: true,
            });
        }
        levels.fit().unwrap()
    }
}

/// Systems measured as far as the measurement itself wants to go.
fn measured() -> &'static [(System, Fit)] {
    static MEASURED: OnceLock<Vec<(System, Fit)>> = OnceLock::new();
    MEASURED.get_or_init(|| {
        let mut random = Random::new(1);
        let measure = |seed| {
            let system = System::random(&mut random);
            let fit = system.measure(2000.0, seed);
            (system, fit)
        };
        (0..simulations() as u64).map(measure).collect()
    })
}

fn part(count: usize, all: usize) -> f64 {
    count as f64 / all as f64
}

/// 95 %, within three standard errors of the simulation itself.
fn assert_coverage(what: &str, held: usize, all: usize) {
    let error = (0.95 * 0.05 / all as f64).sqrt();
    let part = part(held, all);
    println!(
        "{what}: {:.1} % of {all} intervals hold the true value",
        part * 100.0
    );
    assert!((part - 0.95).abs() < 0.02 + 3.0 * error, "{what}: {part}");
}

#[test]
fn intervals_hold_the_true_values() {
    let all = measured();
    type Holds = dyn Fn(&System, &Fit) -> bool;
    let count = |holds: &Holds| {
        all.iter()
            .filter(|(system, fit)| holds(system, fit))
            .count()
    };
    let checks: [(&str, &Holds); 5] = [
        ("λ", &|system, fit| fit.lambda.holds(system.usl.lambda)),
        ("σ", &|system, fit| fit.sigma.holds(system.usl.sigma)),
        ("κ", &|system, fit| fit.kappa.holds(system.usl.kappa)),
        ("N*", &|system, fit| {
            fit.peak
                .is_some_and(|peak| peak.workers.holds(system.peak_workers))
        }),
        ("X*", &|system, fit| {
            fit.peak
                .is_some_and(|peak| peak.throughput.holds(system.peak_throughput))
        }),
    ];
    for (what, holds) in checks {
        assert_coverage(what, count(holds), all.len());
    }
}

#[test]
fn the_peak_is_found_to_2_percent_at_10_percent_of_the_workers() {
    let all = measured();
    let near = |value: f64, truth: f64, allowed: f64| (value / truth - 1.0).abs() <= allowed;
    let throughput = all.iter().filter(|(system, fit)| {
        fit.peak
            .is_some_and(|peak| near(peak.throughput.value, system.peak_throughput, 0.02))
    });
    let workers = all.iter().filter(|(system, fit)| {
        fit.peak
            .is_some_and(|peak| near(peak.workers.value, system.peak_workers, 0.1))
    });
    let (throughput, workers) = (
        part(throughput.count(), all.len()),
        part(workers.count(), all.len()),
    );
    println!(
        "X* ± 2 %: {:.1} %, N* ± 10 %: {:.1} %",
        throughput * 100.0,
        workers * 100.0
    );
    assert!(
        throughput >= 0.95 && workers >= 0.95,
        "{throughput} {workers}"
    );
}

#[test]
fn a_peak_that_was_not_reached_is_refused_and_one_that_was_is_not() {
    let mut random = Random::new(2);
    let (mut refused, mut wrongly_refused) = (0, 0);
    let all = simulations();
    for seed in 0..all as u64 {
        let system = System::random(&mut random);
        let low = system.measure(0.25 * system.peak_workers, seed);
        refused += usize::from(!low.refusals.is_empty());
        let high = system.measure(1.5 * system.peak_workers, seed);
        wrongly_refused += usize::from(!high.refusals.is_empty());
    }
    let (refused, wrongly_refused) = (part(refused, all), part(wrongly_refused, all));
    println!(
        "measured to 0.25 N*: {:.1} % refused; to 1.5 N*: {:.1} %",
        refused * 100.0,
        wrongly_refused * 100.0
    );
    assert!(refused >= 0.95, "{refused}");
    assert!(wrongly_refused <= 0.05, "{wrongly_refused}");
}

/// N. J. Gunther, "Guerrilla Capacity Planning" (2007): a Cisco router, with
/// the parameters that the book's tools find.
#[test]
fn gunthers_router() {
    let throughputs = [
        955.16, 1878.91, 2688.01, 3548.68, 4315.54, 5130.43, 5931.37, 6531.08, 7219.80, 7867.61,
        8278.71, 8646.70, 9047.84, 9426.55, 9645.37, 9897.24, 10097.60, 10240.50, 10532.39,
        10798.52, 11151.43, 11518.63, 11806.00, 12089.37, 12075.41, 12177.29, 12211.41, 12158.93,
        12155.27, 12118.04, 12140.40, 12074.39,
    ];
    let points: Vec<_> = throughputs
        .iter()
        .zip(1_u32..)
        .map(|(&throughput, workers)| Point {
            workers: f64::from(workers),
            throughput,
            // The book's tools take each value for equally exact.
            relative_error: 100.0 / throughput,
        })
        .collect();
    let fit = fit(&points).expect("enough points");
    for (what, estimate, known) in [
        ("λ", fit.lambda, 995.6488),
        ("σ", fit.sigma, 0.026716),
        ("κ", fit.kappa, 7.6909e-4),
    ] {
        println!("{what} {estimate:?}, known {known}");
        assert!(
            (estimate.value / known - 1.0).abs() < 0.05,
            "{what}: {estimate:?} {known}"
        );
    }
}

/// M/M/1: the p-quantile of the response time is ln(1/(1−p))/(μ−a), so that
/// p99 < 50 ms holds up to a* = μ − ln 100/0.05.
#[test]
fn searches_bracket_the_rate_that_keeps_a_goal() {
    const SERVICE_RATE: f64 = 1000.0;
    const LIMIT_S: f64 = 0.05;
    let truth = SERVICE_RATE - 100_f64.ln() / LIMIT_S;
    assert!((truth - 907.9).abs() < 0.1);
    let all = (simulations() / 4).max(20);
    let (mut true_low, mut narrow, mut trials_max, mut total_s) = (0, 0, 0, 0.0);
    for seed in 0..all as u64 {
        let mut random = Random::new(seed);
        let mut search = Search::new(Settings {
            // As the levels find it: a few percent off.
            peak: SERVICE_RATE * (1.0 + 0.02 * random.normal()),
            rate_max: 1e9,
            width: 0.05,
            trials_max: 12,
            seconds_min: 5.0,
            seconds_max: 120.0,
        });
        while let Some(plan) = search.next() {
            let mut queue = Queue::default();
            let mut seconds = plan.seconds_min;
            let verdict = loop {
                queue.run_to(seconds, plan.rate, SERVICE_RATE, &mut random);
                let verdict = queue.judge(seconds, 0.99, LIMIT_S);
                if verdict != GoalVerdict::Undecided || seconds >= plan.seconds_max {
                    break verdict;
                }
                seconds = (seconds * 2.0).min(plan.seconds_max);
            };
            total_s += seconds;
            search.observe(verdict);
        }
        trials_max = trials_max.max(search.trials().len());
        if let Some(Bracket::Between { holds, fails }) = search.bracket() {
            true_low += usize::from(holds <= truth);
            narrow += usize::from(fails <= holds * 1.05);
        }
    }
    println!(
        "{all} searches: lower bound true in {:.1} %, bracket within 5 % in {:.1} %, at most {trials_max} trials, {:.0} s on average",
        part(true_low, all) * 100.0,
        part(narrow, all) * 100.0,
        total_s / all as f64
    );
    assert!(part(true_low, all) >= 0.95, "{true_low} of {all}");
    assert!(part(narrow, all) >= 0.95, "{narrow} of {all}");
    assert!(trials_max <= 12);
}

/// One server, first come first served.
#[derive(Default)]
struct Queue {
    now_s: f64,
    free_s: f64,
    /// When each hit came, and how long it took.
    hits: Vec<(f64, f64)>,
}

impl Queue {
    fn run_to(&mut self, end_s: f64, rate: f64, service_rate: f64, random: &mut Random) {
        while self.now_s < end_s {
            self.now_s += random.exponential(rate);
            self.free_s = self.free_s.max(self.now_s) + random.exponential(service_rate);
            self.hits.push((self.now_s, self.free_s - self.now_s));
        }
    }

    fn judge(&self, seconds: f64, part: f64, limit_s: f64) -> GoalVerdict {
        let quantile = |from_s: f64, to_s: f64| {
            let within = self
                .hits
                .iter()
                .filter(|hit| (from_s..to_s).contains(&hit.0));
            let mut times: Vec<f64> = within.map(|hit| hit.1).collect();
            let rank = (times.len() as f64 * part) as usize;
            *times.select_nth_unstable_by(rank, f64::total_cmp).1
        };
        let length = seconds / BATCHES as f64;
        let batches: Vec<f64> = (0..BATCHES)
            .map(|batch| quantile(batch as f64 * length, (batch + 1) as f64 * length))
            .collect();
        judge_quantile(&batches, quantile(0.0, seconds), limit_s, RISK)
    }
}
