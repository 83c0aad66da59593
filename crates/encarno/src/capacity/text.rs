//! A measurement as text: a line for each trial, and the result.

use encarno_record::statistics::{counted, time_text};

use super::outcome::{GoalOutcome, Interval, Outcome};
use super::trial::{Trial, TrialLoad, Verdict};

/// The width at which reasons are wrapped.
const WIDTH: usize = 80;
const INDENT: &str = "       ";

/// A trial as one line.
pub fn trial_line(trial: &Trial) -> String {
    let figures = match trial.load {
        TrialLoad::Workers(_) => format!(
            "{:>9}/s ± {:<6} {:>8} a hit",
            grouped(trial.throughput, 4),
            half_width(trial),
            time_text(trial.service_s * 1e9)
        ),
        TrialLoad::Rate(_) => format!("{:<30}", conditions(trial)),
        TrialLoad::Users(_) => format!("{:<30}", thresholds(trial)),
    };
    let reason = trial.reason.as_deref().map(|reason| format!(": {reason}"));
    let line = format!(
        "{:>3}  {:<12}{figures}  {:>5.1} s  {}{}",
        trial.number,
        load_text(trial.load),
        trial.seconds(),
        verdict(trial),
        reason.unwrap_or_default(),
    );
    line.trim_end().to_owned()
}

/// A trial, as the cells of a table.
pub fn trial_cells(trial: &Trial) -> [String; 7] {
    let figures = match trial.load {
        TrialLoad::Workers(_) => format!("{} a hit", time_text(trial.service_s * 1e9)),
        TrialLoad::Rate(_) => conditions(trial),
        TrialLoad::Users(_) => thresholds(trial),
    };
    let reason = trial.reason.as_deref().map(|reason| format!(": {reason}"));
    [
        trial.number.to_string(),
        load_text(trial.load),
        format!("{}/s", grouped(trial.throughput, 4)),
        half_width(trial),
        figures,
        format!("{:.1} s", trial.seconds()),
        verdict(trial).to_owned() + &reason.unwrap_or_default(),
    ]
}

/// A load in a word or two.
pub fn load_text(load: TrialLoad) -> String {
    match load {
        TrialLoad::Workers(workers) => counted(workers.into(), "worker"),
        TrialLoad::Rate(rate) => format!("{}/s", grouped(rate, 4)),
        TrialLoad::Users(users) => counted(users.into(), "user"),
    }
}

fn half_width(trial: &Trial) -> String {
    let width = trial.half_width;
    width.map_or("?".to_owned(), |width| format!("{:.1} %", width * 100.0))
}

fn conditions(trial: &Trial) -> String {
    let condition = |one: &super::trial::Condition| {
        let (what, _) = one
            .condition
            .split_once('<')
            .unwrap_or((&one.condition, ""));
        match what {
            "errors" => format!("errors {:.2} %", one.value * 100.0),
            quantile => format!("{quantile} {}", time_text(one.value * 1e9)),
        }
    };
    let conditions: Vec<_> = trial.conditions.iter().map(condition).collect();
    conditions.join(", ")
}

fn thresholds(trial: &Trial) -> String {
    let met = trial.thresholds.iter().filter(|one| one.met).count();
    format!("{met} of {} thresholds met", trial.thresholds.len())
}

fn verdict(trial: &Trial) -> &'static str {
    match trial.verdict {
        Verdict::Steady => "steady",
        Verdict::Unstable => "unsteady",
        Verdict::ThrownAway => "thrown away",
        Verdict::Errors => "errors",
        Verdict::GeneratorLimit => "generator limit",
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::Undecided => "undecided",
    }
}

/// The result in a few lines.
pub fn outcome_text(outcome: &Outcome) -> String {
    let mut lines = found_lines(outcome);
    for (index, reason) in outcome.reasons.iter().enumerate() {
        let head = if index == 0 { "note   " } else { INDENT };
        lines.push(format!("{head}{}", folded(reason)));
    }
    lines.join("\n")
}

/// The result without the reasons.
pub fn found_lines(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(usl) = &outcome.usl {
        let plain = |value: f64| significant(value, 4);
        let small = |value: f64| significant(value, 2);
        lines.push(format!(
            "USL    λ {}   σ {}   κ {}",
            interval(&usl.lambda, &plain, "/s"),
            interval(&usl.sigma, &small, ""),
            interval(&usl.kappa, &small, ""),
        ));
    }
    let measured = outcome.measured.as_ref().map(|range| *range.end());
    match (&outcome.peak, &outcome.highest) {
        (Some(peak), _) => lines.push(format!(
            "peak   {} at {}; measured up to {}",
            interval(&peak.throughput, &|value| grouped(value, 4), "/s"),
            interval(&peak.workers, &|value| format!("{value:.0}"), " workers"),
            measured.unwrap_or_default(),
        )),
        (None, Some(highest)) => lines.push(format!(
            "peak   at least {}/s at {}; measured up to {}",
            grouped(highest.throughput, 4),
            counted(highest.workers.into(), "worker"),
            measured.unwrap_or_default(),
        )),
        (None, None) => {}
    }
    lines.extend(outcome.goal.as_ref().map(goal_line));
    lines
}

fn goal_line(goal: &GoalOutcome) -> String {
    let of_users = goal.unit == "users";
    let rate = |rate: f64| match of_users {
        true if rate == 1.0 => "1 user".to_owned(),
        true => format!("{rate:.0} users"),
        false => format!("{}/s", grouped(rate, 3)),
    };
    let found = match (goal.holds, goal.fails) {
        (Some(holds), Some(fails)) => {
            format!("holds at {}, fails at {}", rate(holds), rate(fails))
        }
        (Some(holds), None) => format!("holds at {}", rate(holds)),
        (None, Some(fails)) => format!("fails at {}", rate(fails)),
        (None, None) => return "goal   not searched for".to_owned(),
    };
    let trials = counted(goal.trials as u64, "trial");
    let took = minutes(goal.seconds);
    match of_users {
        // Each number comes from one run of k6, so its error isn't known.
        true => {
            let more = match goal.trials {
                0 => String::new(),
                _ => format!(" ({trials} more, {took})"),
            };
            format!("goal   {found}{more}\n{INDENT}{}", folded(&goal.goal))
        }
        false => format!(
            "goal   {found} (95 %; {trials}, {took})\n{INDENT}{} with at most {} in flight",
            goal.goal, goal.in_flight_max
        ),
    }
}

fn interval(interval: &Interval, text: &dyn Fn(f64) -> String, unit: &str) -> String {
    let end = |end: Option<f64>| end.map_or("?".to_owned(), text);
    format!(
        "{}{unit} [{}, {}]",
        text(interval.value),
        end(interval.low),
        end(interval.high)
    )
}

/// A time to the second: `42 s`, `6 min 10 s`.
fn minutes(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// A number with this many significant digits; small numbers as `4.9e-4`.
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let rounded = round(value, digits);
    let exponent = rounded.abs().log10().floor() as i32;
    if exponent < -3 {
        let mantissa = rounded / 10_f64.powi(exponent);
        return format!("{mantissa:.*}e{exponent}", (digits - 1).max(0) as usize);
    }
    let decimals = (digits - 1 - exponent).max(0) as usize;
    format!("{rounded:.decimals$}")
}

/// A number with a comma every three digits, as in 13,560.
pub(crate) fn grouped(value: f64, digits: i32) -> String {
    let text = significant(value, digits);
    let (whole, rest) = match text.find('.') {
        Some(point) => text.split_at(point),
        None => (&*text, ""),
    };
    if whole.contains('e') {
        return text;
    }
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

fn round(value: f64, digits: i32) -> f64 {
    let exponent = value.abs().log10().floor() as i32;
    let unit = 10_f64.powi((digits - 1 - exponent).abs());
    if digits > exponent {
        (value * unit).round() / unit
    } else {
        (value / unit).round() * unit
    }
}

fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut column = INDENT.len();
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > INDENT.len() && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(INDENT);
            column = INDENT.len();
        } else if column > INDENT.len() {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{folded, grouped, minutes, significant};

    #[test]
    fn figures_have_as_many_digits_as_they_are_worth() {
        assert_eq!(significant(1003.27, 4), "1003");
        assert_eq!(significant(98.514, 4), "98.51");
        assert_eq!(significant(0.031_2, 2), "0.031");
        assert_eq!(significant(4.94e-4, 2), "4.9e-4");
        assert_eq!(significant(-0.001_23, 2), "-0.0012");
        assert_eq!(significant(9.999e-4, 2), "0.0010");
        assert_eq!(grouped(13_558.0, 4), "13,560");
        assert_eq!(grouped(1_234_567.0, 4), "1,235,000");
        assert_eq!(grouped(9_000.2, 3), "9,000");
        assert_eq!(grouped(44.26, 3), "44.3");
        assert_eq!(grouped(-123_456.0, 6), "-123,456");
        assert_eq!(
            (minutes(42.3), minutes(370.0)),
            ("42 s".to_owned(), "6 min 10 s".to_owned())
        );
    }

    #[test]
    fn reasons_fit_on_a_terminal() {
        let text = folded(&"word ".repeat(60));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert_eq!(text.split_whitespace().count(), 60);
    }
}
