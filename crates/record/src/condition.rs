//! One condition: `p99>200ms`, `errors>1%`, `rate<950/s`, `p95{label=login}>300ms`.

use std::fmt;
use std::str::FromStr;

use crate::histogram::Histogram;
use crate::parse_duration;
use crate::statistics::{LabelStatistics, Statistics, time_text};

/// The syntax of a condition, for messages.
pub const SHAPE: &str = "write MEASURE>VALUE or MEASURE<VALUE, such as 'p99>200ms', 'errors>1%', 'rate<950/s', \
     '5xx>10' or 'p95{label=login}>300ms'";

/// A comparison of a measure with a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    measure: Measure,
    /// The label, if only hits with this label count.
    label: Option<String>,
    operator: Operator,
    limit: f64,
    /// Whether measure and limit are shares of all hits.
    share: bool,
}

/// The measure that is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// A time of hits.
    Time(TimeKind, Quantity),
    /// Failed hits.
    Errors,
    /// Hits that were never started.
    Dropped,
    /// All hits.
    Hits,
    /// Hits per second.
    Rate,
    /// Responses with a matching status.
    Status(Mask),
    /// Hits with a matching net code.
    Net(Mask),
}

/// The kind of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeKind {
    /// From the instant at which a hit was due to its end.
    Response,
    /// From its start to its end.
    Service,
    /// From the instant at which it was due to its start.
    Lag,
}

/// A value of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// The least.
    Min,
    /// The mean.
    Mean,
    /// The greatest.
    Max,
    /// The value at or below which this share of all values lies.
    Quantile(f64),
}

/// A pattern of digits, where `x` stands for any digit. Longer codes match by their first
/// digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask(String);

/// How a measure is compared with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// The figures to compare: those of a run, or of a second of it.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The statistics by label.
    pub statistics: &'a Statistics,
    /// All labels together.
    pub total: &'a LabelStatistics,
    /// Hits that were never started.
    pub dropped: u64,
    /// The length of time.
    pub span_ns: u64,
}

/// The result of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The condition.
    pub text: String,
    /// Whether the condition holds, which fails the run. It also counts as holding if the
    /// measure has no value.
    pub holds: bool,
    /// The measure: ns, a share, a count, or a rate.
    pub value: Option<f64>,
    /// The unit of it: `ns`, `share`, `hits`, or `hits/s`.
    pub unit: &'static str,
    /// The value as text.
    pub shown: String,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "FAILED" } else { "passed" };
        write!(f, "{word}  {}  (it is {})", self.text, self.shown)
    }
}

impl Condition {
    /// A condition from its parts.
    pub fn new(
        text: &str,
        measure: Measure,
        label: Option<String>,
        operator: Operator,
        limit: f64,
        share: bool,
    ) -> Self {
        Self {
            text: text.to_owned(),
            measure,
            label,
            operator,
            limit,
            share,
        }
    }

    /// The condition as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates the condition. A measure without hits has no value; the condition then
    /// counts as holding, because nothing shows that the run kept to it.
    pub fn judge(&self, sample: &Measured<'_>) -> Judged {
        let value = self.value(sample);
        Judged {
            text: self.text.clone(),
            holds: value.is_none_or(|value| self.operator.holds(value, self.limit)),
            value,
            unit: self.unit(),
            shown: match value {
                Some(value) => self.value_text(value),
                None => match &self.label {
                    Some(label) => format!("unknown: no hit has the label {label:?}"),
                    None => "unknown: there were no hits".to_owned(),
                },
            },
        }
    }

    /// Whether the condition holds; without a value it doesn't.
    pub fn holds(&self, sample: &Measured<'_>) -> bool {
        let value = self.value(sample);
        value.is_some_and(|value| self.operator.holds(value, self.limit))
    }

    /// The measure; `None` if there were no such hits.
    pub fn value(&self, sample: &Measured<'_>) -> Option<f64> {
        let hits = match &self.label {
            None => sample.total,
            Some(label) => {
                let mut labels = sample.statistics.labels();
                labels.find(|(name, _)| name == label)?.1
            }
        };
        let part = |count: u64, of: u64| match self.share {
            false => Some(count as f64),
            true => (of > 0).then(|| count as f64 / of as f64),
        };
        match &self.measure {
            Measure::Time(kind, quantity) => quantity.of(match kind {
                TimeKind::Response => &hits.response_ns,
                TimeKind::Service => &hits.service_ns,
                TimeKind::Lag => &hits.lag_ns,
            }),
            Measure::Errors => part(hits.failed, hits.hits),
            Measure::Dropped => part(sample.dropped, sample.dropped + hits.hits),
            Measure::Hits => Some(hits.hits as f64),
            Measure::Rate => {
                (sample.span_ns > 0).then(|| hits.hits as f64 * 1e9 / sample.span_ns as f64)
            }
            Measure::Status(mask) => part(mask.count(&hits.protocol_codes), hits.hits),
            Measure::Net(mask) => part(mask.count(&hits.net_codes), hits.hits),
        }
    }

    fn unit(&self) -> &'static str {
        match self.measure {
            Measure::Time(..) => "ns",
            Measure::Rate => "hits/s",
            _ if self.share => "share",
            _ => "hits",
        }
    }

    fn value_text(&self, value: f64) -> String {
        match self.unit() {
            "ns" => time_text(value),
            "share" => format!("{:.2} %", value * 100.0),
            "hits/s" => format!("{value:.1}/s"),
            _ => format!("{value:.0}"),
        }
    }
}

impl Quantity {
    fn of(self, times: &Histogram) -> Option<f64> {
        if times.count() == 0 {
            return None;
        }
        Some(match self {
            Self::Min => times.min() as f64,
            Self::Mean => times.mean(),
            Self::Max => times.max() as f64,
            Self::Quantile(share) => times.quantile(share) as f64,
        })
    }
}

impl Operator {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

impl Mask {
    /// Parses `404`, `5xx` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let fits = (1..=5).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'x');
        fits.then_some(Self(text))
    }

    fn matches(&self, code: u16) -> bool {
        let digits = code.to_string();
        // 0 means no code.
        code != 0
            && digits.len() >= self.0.len()
            && self
                .0
                .bytes()
                .zip(digits.bytes())
                .all(|(mask, digit)| mask == b'x' || mask == digit)
    }

    fn count(&self, codes: &std::collections::BTreeMap<u16, u64>) -> u64 {
        let matching = codes.iter().filter(|&(&code, _)| self.matches(code));
        matching.map(|(_, &hits)| hits).sum()
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bad = |reason: &str| format!("{text:?}: {reason}");
        let at = text.find(['<', '>']).ok_or_else(|| bad(SHAPE))?;
        let (left, right) = text.split_at(at);
        let (operator, right) = match right.as_bytes() {
            [b'>', b'=', ..] => (Operator::AtLeast, &right[2..]),
            [b'<', b'=', ..] => (Operator::AtMost, &right[2..]),
            [b'>', ..] => (Operator::Above, &right[1..]),
            _ => (Operator::Below, &right[1..]),
        };
        let (name, label) = split_label(left.trim()).map_err(|reason| bad(&reason))?;
        let measure = measure(name).ok_or_else(|| {
            bad(&format!(
                "{name:?} isn't a measure: write p50, p99, p99.9, min, mean or max (of the response time; \
                 service.p99 and lag.p99 for the others), errors, dropped, rate, hits, or a status such as 404 or 5xx"
            ))
        })?;
        if label.is_some() && measure == Measure::Dropped {
            return Err(bad("dropped hits have no label: leave it out"));
        }
        let (limit, share) = limit(&measure, right.trim()).map_err(|reason| bad(&reason))?;
        Ok(Self::new(text, measure, label, operator, limit, share))
    }
}

fn split_label(text: &str) -> Result<(&str, Option<String>), String> {
    let Some((name, rest)) = text.split_once('{') else {
        return Ok((text, None));
    };
    let shape = || "write the label as {label=NAME}".to_owned();
    let inner = rest.strip_suffix('}').ok_or_else(shape)?;
    let (key, label) = inner.split_once(['=', ':']).ok_or_else(shape)?;
    if key.trim() != "label" {
        return Err(shape());
    }
    let label = label.trim().trim_matches(['"', '\'']);
    Ok((name.trim(), Some(label.to_owned())))
}

fn measure(name: &str) -> Option<Measure> {
    let lower = name.to_ascii_lowercase();
    let (kind, quantity) = match lower.split_once('.') {
        Some(("response", rest)) => (TimeKind::Response, rest),
        Some(("service", rest)) => (TimeKind::Service, rest),
        Some(("lag", rest)) => (TimeKind::Lag, rest),
        _ => (TimeKind::Response, &*lower),
    };
    let time = match quantity {
        "min" => Some(Quantity::Min),
        "mean" | "avg" => Some(Quantity::Mean),
        "max" => Some(Quantity::Max),
        "med" | "median" => Some(Quantity::Quantile(0.5)),
        _ => quantile(quantity),
    };
    if let Some(quantity) = time {
        return Some(Measure::Time(kind, quantity));
    }
    Some(match &*lower {
        "errors" | "failed" => Measure::Errors,
        "dropped" => Measure::Dropped,
        "hits" => Measure::Hits,
        "rate" => Measure::Rate,
        // Only a number of three digits is a status.
        code if code.len() == 3 => Measure::Status(Mask::parse(code)?),
        _ => return None,
    })
}

/// Parses `p99.9`, and k6's `p(99.9)`.
fn quantile(text: &str) -> Option<Quantity> {
    let number = text.strip_prefix('p')?;
    let inner = number
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let percent: f64 = inner.unwrap_or(number).trim().parse().ok()?;
    (percent > 0.0 && percent <= 100.0).then_some(Quantity::Quantile(percent / 100.0))
}

fn limit(measure: &Measure, text: &str) -> Result<(f64, bool), String> {
    let number = |text: &str| {
        let number: Option<f64> = text.trim().parse().ok();
        number.filter(|number| number.is_finite() && *number >= 0.0)
    };
    match measure {
        Measure::Time(..) => {
            let has_unit = text.ends_with(|end: char| end.is_alphabetic());
            let parsed = parse_duration(text).filter(|_| has_unit || text == "0");
            let parsed = parsed.ok_or("a time needs a unit: write 200ms, 1.5s or 1m30s")?;
            Ok((parsed as f64, false))
        }
        Measure::Rate => {
            let (number_text, seconds) = match text.split_once('/') {
                None | Some((_, "s")) => (text.split('/').next().unwrap_or(text), 1.0),
                Some((number, "m")) => (number, 60.0),
                Some(_) => return Err("a rate is written as 950/s or 3000/m".to_owned()),
            };
            let (digits, factor) = match number_text.strip_suffix(['k', 'K']) {
                Some(digits) => (digits, 1000.0),
                None => (number_text, 1.0),
            };
            let rate = number(digits).ok_or("a rate is written as 950/s")?;
            Ok((rate * factor / seconds, false))
        }
        Measure::Hits => Ok((number(text).ok_or("write a number of hits")?, false)),
        Measure::Errors | Measure::Dropped | Measure::Status(_) | Measure::Net(_) => {
            let share = text.strip_suffix('%');
            let count = number(share.unwrap_or(text));
            let count = count.ok_or("write a number of hits, or a share of them such as 1%")?;
            match share {
                Some(_) if count > 100.0 => Err("a share is at most 100%".to_owned()),
                Some(_) => Ok((count / 100.0, true)),
                None => Ok((count, false)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::statistics::Statistics;
    use crate::sums::OutcomeSums;
    use crate::{Expected, Hit, Strings, Texts};

    use super::{Condition, Measured};

    /// 100 hits in 2 s: 1 … 100 ms; label `login` from 91 ms on; status 503 at 100 ms.
    fn statistics() -> Statistics {
        let strings = Strings::default();
        let mut sums = OutcomeSums::default();
        for ms in 1..=100_u64 {
            sums.record(&Hit {
                label: strings.intern(if ms > 90 { "login" } else { "" }),
                ended_ns: ms * 1_000_000,
                protocol_code: if ms == 100 { 503 } else { 200 },
                ..Hit::default()
            });
        }
        let mut statistics = Statistics::default();
        let mut texts = Texts::of_run(strings);
        statistics.add(&sums, &mut texts, 0, &Expected::default());
        statistics
    }

    #[test]
    fn conditions_hold_by_their_values() {
        let statistics = statistics();
        let total = statistics.total();
        let sample = Measured {
            statistics: &statistics,
            total: &total,
            dropped: 25,
            span_ns: 2_000_000_000,
        };
        for (text, holds) in [
            ("p50>45ms", true),
            ("p50 > 55ms", false),
            ("p(99)>200ms", false),
            ("max>=99ms", true),
            ("avg<51ms", true),
            ("service.p50>1s", false),
            ("lag.max>0", false),
            ("errors>1%", false),
            ("errors>=1%", true),
            ("errors>0", true),
            ("dropped>19%", true),
            ("dropped>20%", false),
            ("rate<51/s", true),
            ("rate<50/s", false),
            ("rate<0.06k/s", true),
            ("rate>3001/m", false),
            ("hits<101", true),
            ("5xx>0", true),
            ("503>1%", false),
            ("404>0", false),
            ("p50{label=login}>90ms", true),
            ("errors{label=\"login\"}>=10%", true),
            // A measure without a value fails the run.
            ("p50{label=logout}>90ms", true),
        ] {
            let condition: Condition = text.parse().expect(text);
            let judged = condition.judge(&sample);
            assert_eq!(judged.holds, holds, "{judged}");
        }
        let judged = "rate<950/s"
            .parse::<Condition>()
            .expect("one")
            .judge(&sample);
        assert_eq!(judged.to_string(), "FAILED  rate<950/s  (it is 50.0/s)");
        let judged = "p99{label=x}>1s"
            .parse::<Condition>()
            .expect("one")
            .judge(&sample);
        assert!(
            judged.shown.contains("no hit has the label \"x\""),
            "{judged}"
        );
    }

    #[test]
    fn what_is_no_condition_is_said() {
        for (text, says) in [
            ("", "write MEASURE>VALUE"),
            ("p99", "write MEASURE>VALUE"),
            ("p99>200", "needs a unit"),
            ("p99>fast", "needs a unit"),
            ("p0>1s", "isn't a measure"),
            ("latency>1s", "isn't a measure"),
            ("errors>1s", "a share"),
            ("errors>101%", "at most 100%"),
            ("rate<fast", "950/s"),
            ("p99{login}>1s", "{label=NAME}"),
            ("dropped{label=a}>1", "no label"),
            ("hits<-1", "a number"),
        ] {
            let error = text.parse::<Condition>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
