//! Samples of metrics that aren't hits, such as those of k6, summed by second and series.
//!
//! A series is a metric with its tags. The metric defines the unit of values: k6's times
//! are milliseconds, its sizes bytes. A distribution keeps values in millionths, so a
//! time of k6 has a resolution of a nanosecond, and above 1,024 ns an error below 0.1 %.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::sums::second_of;
use crate::{StringId, varint};

/// The number of parts of 1 that a distribution resolves.
const PARTS: f64 = 1e6;
/// The most series of a file that is written. Further ones count as the series `other` of
/// their metric.
pub const SERIES_MAX: usize = 20_000;
/// The tags or text for those beyond the limit.
pub const OTHER: &str = "other";

/// A metric with its tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Series {
    /// The metric's name.
    pub metric: String,
    /// How its samples are summed up.
    #[serde(rename = "type")]
    pub kind: MetricKind,
    /// The unit of its values: `time` (milliseconds), `data` (bytes) or `default`.
    #[serde(default)]
    pub contains: String,
    /// The tags, by name.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Series {
    /// The metric without tags.
    fn without_tags(&self) -> Self {
        Self {
            metric: self.metric.clone(),
            kind: self.kind,
            contains: self.contains.clone(),
            tags: BTreeMap::new(),
        }
    }

    /// Parses a series; `None` if the bytes aren't one.
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// How the samples of a metric are summed up, in k6's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Values are added.
    Counter,
    /// The last, least and greatest values count.
    Gauge,
    /// The share of samples that aren't 0.
    Rate,
    /// The distribution of values.
    Trend,
}

/// The sums of the samples of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// The number of samples.
    pub count: u64,
    /// The number of samples that aren't 0.
    pub nonzero: u64,
    /// The sum of their values.
    pub sum: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The instant of the latest value, Unix time in ns, and the value.
    pub last: (u64, f64),
    /// The distribution; empty if the metric isn't a trend.
    pub values: Distribution,
}

impl Default for Points {
    fn default() -> Self {
        Self {
            count: 0,
            nonzero: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: (0, 0.0),
            values: Distribution::default(),
        }
    }
}

impl Points {
    /// Adds a sample.
    pub fn record(&mut self, kind: MetricKind, at_unix_ns: u64, value: f64) {
        self.count += 1;
        self.nonzero += u64::from(value != 0.0);
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if at_unix_ns >= self.last.0 {
            self.last = (at_unix_ns, value);
        }
        if kind == MetricKind::Trend {
            self.values.record(value);
        }
    }

    /// Adds other points.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.nonzero = self.nonzero.saturating_add(other.nonzero);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.last.0 >= self.last.0 {
            self.last = other.last;
        }
        self.values.merge(&other.values);
    }

    /// The share of samples that aren't 0; 0 without samples.
    pub fn rate(&self) -> f64 {
        self.nonzero as f64 / self.count.max(1) as f64
    }

    /// The mean of the values; 0 without samples.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// A distribution of numbers of either sign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Magnitudes of the numbers below 0, in millionths.
    below: Histogram,
    /// The other numbers, in millionths.
    above: Histogram,
}

impl Distribution {
    /// Adds a number. Magnitudes above 1.8e13 count as that, and NaN counts as 0.
    pub fn record(&mut self, value: f64) {
        let parts = (value.abs() * PARTS).round() as u64;
        let side = if value < 0.0 {
            &mut self.below
        } else {
            &mut self.above
        };
        side.record(parts);
    }

    /// Adds all numbers of another distribution.
    pub fn merge(&mut self, other: &Self) {
        self.below.merge(&other.below);
        self.above.merge(&other.above);
    }

    /// The count of numbers.
    pub fn count(&self) -> u64 {
        self.below.count().saturating_add(self.above.count())
    }

    /// The number at or below which this share of all numbers lies (nearest rank); 0 if
    /// there are no numbers.
    pub fn quantile(&self, share: f64) -> f64 {
        let (below, count) = (self.below.count(), self.count());
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        // Use the middle of a rank, so that rounding can't change the rank.
        let at = |histogram: &Histogram, rank: u64| {
            histogram.quantile((rank as f64 - 0.5) / histogram.count().max(1) as f64) as f64 / PARTS
        };
        if rank <= below {
            -at(&self.below, below - rank + 1)
        } else {
            at(&self.above, rank - below)
        }
    }

    /// The numbers that are at least 0, in millionths.
    pub fn above(&self) -> &Histogram {
        &self.above
    }
}

/// Times that a protocol measures beside its hits, summed by second, metric and label.
/// There are none in most runs.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    started_unix_ns: u64,
    times: BTreeMap<(u64, &'static str, StringId), Points>,
}

impl Measured {
    /// Nothing yet, in a run that started at this instant.
    pub fn new(started_unix_ns: u64) -> Self {
        Self {
            started_unix_ns,
            times: BTreeMap::new(),
        }
    }

    /// Adds a time of a metric, at an instant in ns from the run's start. Label 0 means no
    /// label.
    pub fn record(&mut self, metric: &'static str, label: StringId, at_ns: u64, time_ns: i64) {
        let second = second_of(self.started_unix_ns, at_ns);
        let points = self.times.entry((second, metric, label)).or_default();
        let at_unix_ns = self.started_unix_ns.saturating_add(at_ns);
        points.record(MetricKind::Trend, at_unix_ns, time_ns as f64 / 1e6);
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Takes everything.
    pub fn take(&mut self) -> Self {
        let rest = Self::new(self.started_unix_ns);
        std::mem::replace(self, rest)
    }

    /// The sums: second (Unix time), metric, label and points.
    pub fn sums(&self) -> impl Iterator<Item = (u64, &'static str, StringId, &Points)> {
        let times = self.times.iter();
        times.map(|(&(second, metric, label), points)| (second, metric, label, points))
    }

    /// The series of a metric, for hits with this label. An empty one is none.
    pub fn series(metric: &str, label: &str) -> Series {
        let tags = match label {
            "" => BTreeMap::new(),
            label => [("label".to_owned(), label.to_owned())].into(),
        };
        Series {
            metric: metric.to_owned(),
            kind: MetricKind::Trend,
            contains: "time".to_owned(),
            tags,
        }
    }
}

/// The metrics of a run, by series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The series by their numbers in the file.
    series: BTreeMap<u32, Series>,
    totals: BTreeMap<Series, Points>,
    /// Points by second that weren't taken yet; `None` if they aren't kept.
    by_second: Option<Vec<(u64, Series, Points)>>,
}

impl Metrics {
    /// The most series, because a hostile file could claim any number.
    const SERIES_MAX: usize = 1 << 16;

    /// Takes a frame that describes a series.
    pub(crate) fn learn(&mut self, payload: &[u8]) {
        let series = payload
            .split_first_chunk::<4>()
            .and_then(|(number, json)| Some((u32::from_le_bytes(*number), Series::parse(json)?)));
        if let Some((number, series)) = series
            && self.series.len() < Self::SERIES_MAX
        {
            self.series.insert(number, series);
        }
    }

    /// Takes a frame with points.
    pub(crate) fn take(&mut self, payload: &[u8]) {
        let mut bytes = payload;
        while let Some((second, number, points)) = take_points(&mut bytes) {
            if let Some(series) = self.series.get(&number) {
                if let Some(by_second) = &mut self.by_second {
                    by_second.push((second, series.without_tags(), points.clone()));
                }
                match self.totals.get_mut(series) {
                    Some(total) => total.merge(&points),
                    None => drop(self.totals.insert(series.clone(), points)),
                }
            }
        }
    }

    /// Keeps points by second from now on, until they are taken.
    pub(crate) fn keep_seconds(&mut self) {
        self.by_second.get_or_insert_default();
    }

    /// Takes the points since the last call: their second (Unix time), and their metric
    /// as a series without tags.
    pub(crate) fn take_seconds(&mut self) -> Vec<(u64, Series, Points)> {
        self.by_second
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Adds the metrics of another run.
    pub fn merge(&mut self, other: &Self) {
        for (series, points) in &other.totals {
            self.add(series, points);
        }
    }

    /// Adds points of a series.
    pub fn add(&mut self, series: &Series, points: &Points) {
        match self.totals.get_mut(series) {
            Some(total) => total.merge(points),
            None => drop(self.totals.insert(series.clone(), points.clone())),
        }
    }

    /// Whether there are no metrics.
    pub fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    /// Each series with its points, by metric and tags.
    pub fn series(&self) -> impl Iterator<Item = (&Series, &Points)> {
        self.totals.iter()
    }

    /// The points of each metric over all tags, by name. The series in the result have no
    /// tags.
    pub fn by_metric(&self) -> BTreeMap<Series, Points> {
        let mut metrics = BTreeMap::<_, Points>::new();
        for (series, points) in &self.totals {
            let metric = series.without_tags();
            metrics.entry(metric).or_default().merge(points);
        }
        metrics
    }
}

/// Appends points of a second and a series, as varints and IEEE 754 numbers.
pub(crate) fn append_points(out: &mut Vec<u8>, second: u64, series: u32, points: &Points) {
    for number in [second, u64::from(series), points.count, points.nonzero] {
        varint::append(out, number);
    }
    varint::append(out, points.last.0);
    for value in [points.sum, points.min, points.max, points.last.1] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    points.values.below.append_to(out);
    points.values.above.append_to(out);
}

/// Takes what [`append_points`] wrote; `None` if the bytes are something else.
pub(crate) fn take_points(bytes: &mut &[u8]) -> Option<(u64, u32, Points)> {
    let second = varint::take(bytes)?;
    let series = varint::take(bytes)?.try_into().ok()?;
    let (count, nonzero) = (varint::take(bytes)?, varint::take(bytes)?);
    let last_ns = varint::take(bytes)?;
    let mut values = [0.0; 4];
    for value in &mut values {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        *value = f64::from_le_bytes(*number);
        *bytes = rest;
    }
    let [sum, min, max, last] = values;
    let points = Points {
        count,
        nonzero,
        sum,
        min,
        max,
        last: (last_ns, last),
        values: Distribution {
            below: Histogram::take_from(bytes)?,
            above: Histogram::take_from(bytes)?,
        },
    };
    Some((second, series, points))
}

#[cfg(test)]
mod tests {
    use super::{Distribution, MetricKind, Points, append_points, take_points};

    #[test]
    fn quantiles_of_numbers_of_either_sign() {
        let mut values = Distribution::default();
        for value in [-2.5, 1.0, -0.5, 0.0, 7.25] {
            values.record(value);
        }
        let quantiles = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|share| values.quantile(share));
        for (is, should) in quantiles.iter().zip([-2.5, -2.5, -0.5, 0.0, 1.0, 7.25]) {
            assert!(
                (is - should).abs() <= 0.001 * f64::abs(should),
                "{is} {should}"
            );
        }
        assert_eq!(Distribution::default().quantile(0.5), 0.0);
    }

    #[test]
    fn points_come_back_and_parts_add_up() {
        let mut parts = [Points::default(), Points::default()];
        let mut whole = Points::default();
        for (number, value) in [0.25, 3.0, 0.0, -1.5, 1e300].into_iter().enumerate() {
            parts[number % 2].record(MetricKind::Trend, number as u64, value);
            whole.record(MetricKind::Trend, number as u64, value);
        }
        let mut bytes = Vec::new();
        append_points(&mut bytes, 7, 3, &parts[0]);
        let mut rest = &bytes[..];
        assert_eq!(take_points(&mut rest), Some((7, 3, parts[0].clone())));
        assert!(rest.is_empty());
        assert_eq!(take_points(&mut &bytes[..bytes.len() - 1]), None);
        let [mut sum, other] = parts;
        sum.merge(&other);
        assert_eq!(sum, whole);
        assert_eq!((sum.count, sum.nonzero, sum.last), (5, 4, (4, 1e300)));
    }
}
