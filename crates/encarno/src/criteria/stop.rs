//! Conditions that end a run: ours, such as `p99>200ms for 5s`, and those of
//! Yandex.Tank's autostop, such as `time(1s,10s) http(5xx,10%,5s)`.

use std::str::FromStr;

use encarno_record::parse_duration;

use encarno_record::condition::{Condition, Mask, Measure, Operator, Quantity, TimeKind};

const SECOND_NS: u64 = 1_000_000_000;

/// Any number of conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StopRules(pub Vec<StopRule>);

/// A condition that must hold for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct StopRule {
    /// The condition as it was written.
    pub text: String,
    pub(super) when: When,
    /// The condition must hold in each second of this time.
    pub(super) for_ns: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    Holds(Condition),
    /// More hits than this are in flight; with `true`, the number is a share of the most
    /// hits in flight.
    Instances(f64, bool),
    /// The run is older than this.
    Elapsed(u64),
}

/// Tank's criteria that aren't supported here, each with ours that does the same.
const OTHERS: [(&str, &str); 9] = [
    ("total_time", "write quantile() or time()"),
    ("total_http", "write http()"),
    ("total_net", "write net()"),
    (
        "negative_http",
        "write http() with the statuses that are bad",
    ),
    ("negative_net", "write net()"),
    ("http_trend", "write http()"),
    ("metric_lower", "encarno doesn't monitor hosts"),
    ("metric_higher", "encarno doesn't monitor hosts"),
    ("steady_cumulative", "Tank has none, either"),
];

impl FromStr for StopRules {
    type Err = String;

    /// Parses one of our conditions, or any number of Tank's.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains(['<', '>']) {
            return rule(text).map(|rule| Self(vec![rule]));
        }
        let mut rules = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let shape = || {
                format!(
                    "{rest:?}: write a condition such as 'p99>200ms for 5s', or NAME(VALUE,…) as in \
                     'time(1s,10s) http(5xx,10%,5s) net(xx,1,30) quantile(95,1s,10s) instances(80%,1m) limit(10m)'"
                )
            };
            let (name, tail) = rest.split_once('(').ok_or_else(shape)?;
            let (inner, tail) = tail.split_once(')').ok_or_else(shape)?;
            let whole = rest[..rest.len() - tail.len()].trim();
            rules.push(of_tank(whole, name.trim(), inner)?);
            rest = tail.trim_start_matches([' ', '\t', '\n', '\r', ',', ';']);
        }
        if rules.is_empty() {
            return Err("there is no condition".to_owned());
        }
        Ok(Self(rules))
    }
}

fn rule(text: &str) -> Result<StopRule, String> {
    let (condition, for_ns) = match text.rsplit_once(" for ") {
        None => (text, SECOND_NS),
        Some((condition, length)) => {
            let length = parse_duration(length)
                .filter(|&length| length > 0)
                .ok_or_else(|| format!("{text:?}: after 'for' write a duration such as 5s"))?;
            (condition, length)
        }
    };
    Ok(StopRule {
        text: text.to_owned(),
        when: When::Holds(condition.parse()?),
        for_ns,
    })
}

fn of_tank(text: &str, name: &str, inner: &str) -> Result<StopRule, String> {
    let bad = |reason: &str| format!("{text:?}: {reason}");
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    // Without a unit, lengths are seconds and limits of times are milliseconds.
    let seconds = |part: &str| {
        let parsed = parse_duration(part).filter(|&ns| ns > 0);
        parsed.ok_or_else(|| bad("write a length such as 10s"))
    };
    let limit = |part: &str| {
        let number: Option<f64> = part.parse().ok();
        let parsed = match number.filter(|ms| ms.is_finite() && *ms >= 0.0) {
            Some(ms) => Some((ms * 1e6) as u64),
            None => parse_duration(part),
        };
        parsed.ok_or_else(|| bad("write a time such as 500ms; a bare number is milliseconds"))
    };
    let level = |part: &str| {
        let share = part.strip_suffix('%');
        let level: Option<f64> = share.unwrap_or(part).trim().parse().ok();
        let level = level.filter(|level| level.is_finite() && *level >= 0.0);
        let level =
            level.ok_or_else(|| bad("write a number such as 10, or a share such as 10%"))?;
        Ok::<_, String>(match share {
            Some(_) => (level / 100.0, true),
            None => (level, false),
        })
    };
    let label = |index: usize| parts.get(index).map(|&label| label.to_owned());
    let holds = |measure, label, operator, limit, share| {
        When::Holds(Condition::new(text, measure, label, operator, limit, share))
    };
    let (when, length) = match (name, &parts[..]) {
        ("time", [time, length] | [time, length, _]) => {
            let measure = Measure::Time(TimeKind::Response, Quantity::Mean);
            let time = limit(time)? as f64;
            (
                holds(measure, label(2), Operator::Above, time, false),
                *length,
            )
        }
        ("http" | "net", [mask, count, length] | [mask, count, length, _]) => {
            let mask =
                Mask::parse(mask).ok_or_else(|| bad("write codes such as 404, 5xx or xx"))?;
            let measure = match name {
                "http" => Measure::Status(mask),
                _ => Measure::Net(mask),
            };
            let (count, share) = level(count)?;
            (
                holds(measure, label(3), Operator::AtLeast, count, share),
                *length,
            )
        }
        ("quantile", [percent, time, length] | [percent, time, length, _]) => {
            let percent: Option<f64> = percent.parse().ok();
            let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
            let percent = percent.ok_or_else(|| bad("a quantile is a number up to 100"))?;
            let quantity = Quantity::Quantile(percent / 100.0);
            let measure = Measure::Time(TimeKind::Response, quantity);
            let time = limit(time)? as f64;
            (
                holds(measure, label(3), Operator::Above, time, false),
                *length,
            )
        }
        ("instances", [count, length]) => {
            let (count, share) = level(count)?;
            (When::Instances(count, share), *length)
        }
        ("limit", [length]) => (When::Elapsed(seconds(length)?), "1s"),
        ("time" | "http" | "net" | "quantile" | "instances" | "limit", _) => {
            return Err(bad(
                "the number of values is wrong: write time(1s,10s), http(5xx,10%,5s), net(xx,1,30), \
                 quantile(95,1s,10s), instances(80%,1m) or limit(10m)",
            ));
        }
        _ => {
            let other = OTHERS.iter().find(|(other, _)| *other == name);
            let reason = match other {
                Some((_, instead)) => format!("{name} isn't known here: {instead}"),
                None => format!(
                    "{name:?} isn't known: write time, http, net, quantile, instances or limit"
                ),
            };
            return Err(bad(&reason));
        }
    };
    Ok(StopRule {
        text: text.to_owned(),
        when,
        for_ns: seconds(length)?,
    })
}

#[cfg(test)]
mod tests {
    use super::StopRules;

    #[test]
    fn rules_of_both_grammars() {
        let rules: StopRules = "time(1s,10s) http(5xx,10%,5s) net(xx,1,30)\nquantile(95,1000,10s, tag) instances(80%,1m), limit(1h)"
            .parse()
            .expect("Tank's");
        let lengths: Vec<u64> = rules
            .0
            .iter()
            .map(|rule| rule.for_ns / 1_000_000_000)
            .collect();
        assert_eq!(lengths, [10, 5, 30, 10, 60, 1]);
        assert_eq!(rules.0[3].text, "quantile(95,1000,10s, tag)");
        let ours: StopRules = "p99>200ms for 5s".parse().expect("ours");
        assert_eq!(ours.0[0].for_ns, 5_000_000_000);
        for (text, says) in [
            ("", "no condition"),
            ("time(1s)", "number of values"),
            ("time 1s", "write a condition"),
            ("time(1s,0)", "a length"),
            ("http(abc,1,1)", "codes such as"),
            (
                "total_time(1s,10%,5s)",
                "isn't known here: write quantile()",
            ),
            ("tme(1s,10s)", "write time, http"),
            ("p99>1s for ever", "write a duration"),
        ] {
            let error = text.parse::<StopRules>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
