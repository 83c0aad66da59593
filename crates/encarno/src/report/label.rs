//! The text about one label, or about all hits, in 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use encarno_record::statistics::{LabelStatistics, QUANTILES, counted, time_text};

use super::advice::advice;
use super::{printable, rate};
use crate::texts::{bytes_text, percent, rows};

/// The most error texts that are printed for a label.
const ERRORS_SHOWN: usize = 5;
/// The fewest hits for which a histogram is shown.
const HISTOGRAM_HITS_MIN: u64 = 20;
/// The shortest run for which a rate is shown. A shorter run shows mainly how long its
/// connections took to open.
const RATE_SPAN_NS_MIN: u64 = 100_000_000;
/// The number of rows of the histogram.
const ROWS: usize = 11;
/// The length of the histogram's longest bar.
const BAR: usize = 50;
/// The width of lines, except for names and addresses, which aren't cut.
pub(crate) const COLUMNS: usize = 80;

/// Appends the text about hits that took `span_ns` in all.
pub(crate) fn append_label(text: &mut String, name: &str, label: &LabelStatistics, span_ns: u64) {
    let span = match span_ns {
        1_000_000_000.. => format!("{:.3} s", span_ns as f64 * 1e-9),
        _ => time_text(span_ns as f64),
    };
    let rate = rate(label.hits, span_ns).filter(|_| span_ns >= RATE_SPAN_NS_MIN);
    let per_second = match rate {
        Some(rate) => format!(", {rate:.1}/s"),
        None => String::new(),
    };
    let mut line = |line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&format!(
        "{name}: {} in {span}{per_second}, {} failed ({:.2} %)",
        counted(label.hits, "hit"),
        label.failed,
        percent(label.failed, label.hits),
    ));
    if label.hits == 0 {
        return;
    }
    let exact = if label.response_ns.is_exact() {
        "exact"
    } else {
        ""
    };
    let mut head = format!("{exact:8}{:>8}{:>8}", "min", "mean");
    for (name, _) in QUANTILES {
        let _fits = write!(head, "{name:>8}");
    }
    line(&(head + "     max"));
    for (name, times) in [
        ("service", &label.service_ns),
        ("response", &label.response_ns),
        ("lag", &label.lag_ns),
    ] {
        if times.count() == 0 {
            continue;
        }
        let mut row = format!("{name:<8}{:>8}", time_text(times.min() as f64));
        let _fits = write!(row, "{:>8}", time_text(times.mean()));
        for (_, share) in QUANTILES {
            let _fits = write!(row, "{:>8}", time_text(times.quantile(share) as f64));
        }
        let _fits = write!(row, "{:>8}", time_text(times.max() as f64));
        line(&row);
    }
    let flow = |bytes: u64| match rate {
        Some(_) => format!(
            "{} ({}/s)",
            bytes_text(bytes as f64),
            bytes_text(bytes as f64 / (span_ns as f64 * 1e-9))
        ),
        None => bytes_text(bytes as f64),
    };
    let (sent, received) = (label.sent_bytes, label.received_bytes);
    // Hits of k6 and of dummy: have no bytes of their own, which isn't the same as none.
    if sent > 0 || received > 0 {
        line(&format!(
            "bytes     {} sent, {} received",
            flow(sent),
            flow(received)
        ));
        let a_hit = |bytes: u64| bytes_text(bytes as f64 / label.hits as f64);
        line(&format!(
            "a hit     {} sent, {} received",
            a_hit(sent),
            a_hit(received)
        ));
    }
    if label.concurrency > 0 {
        line(&format!("in flight {} at most", label.concurrency));
    }
    append_codes(&mut line, "codes", &label.protocol_codes, label.hits);
    if label.net_codes.keys().any(|&code| code != 0) {
        append_codes(&mut line, "net", &label.net_codes, label.hits);
    }
    append_errors(&mut line, label);
}

/// Appends the histogram of response times. There is none for few hits, or if all times
/// are equal: the table shows those.
pub(crate) fn append_histogram(text: &mut String, label: &LabelStatistics) {
    let times = &label.response_ns;
    let (min, max) = (times.min(), times.max());
    if times.count() < HISTOGRAM_HITS_MIN || max - min < max / 100 {
        return;
    }
    let rows = rows(times, ROWS);
    let most = rows.iter().map(|row| row.count).max().unwrap_or(1).max(1);
    let digits = most.to_string().len();
    let _fits = writeln!(text, "response time up to, and hits");
    for row in &rows {
        // A row with hits has a bar.
        let bar = (row.count as f64 / most as f64 * BAR as f64).round() as usize;
        let bar = bar.max(usize::from(row.count > 0));
        let up_to = time_text(row.up_to as f64);
        let line = format!("{up_to:>10} {:>digits$} {}", row.count, "■".repeat(bar));
        let _fits = writeln!(text, "{}", line.trim_end());
    }
}

fn append_codes(line: &mut impl FnMut(&str), name: &str, codes: &BTreeMap<u16, u64>, hits: u64) {
    let mut words = codes.iter().map(|(&code, &count)| {
        let code = match code {
            0 => "none".to_owned(),
            code => code.to_string(),
        };
        format!("{code}: {count} ({:.2} %)", percent(count, hits))
    });
    let mut text = format!("{name:<10}{}", words.next().unwrap_or_default());
    for word in words {
        if text.len() + 2 + word.len() > COLUMNS {
            line(&text);
            text = format!("{:10}{word}", "");
        } else {
            text.push_str("  ");
            text.push_str(&word);
        }
    }
    line(&text);
}

fn append_errors(line: &mut impl FnMut(&str), label: &LabelStatistics) {
    let mut errors: Vec<_> = label.errors.iter().collect();
    errors.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
    let mut advised = None;
    for ((code, error), hits) in errors.iter().take(ERRORS_SHOWN) {
        let said = printable(error);
        let said = match code {
            0 => format!("{hits} with {said}"),
            code => format!("{hits} failed with {code}: {said}"),
        };
        wrapped(line, "error", &said);
        let advice = advice(*code, error);
        if advice.is_some() && advice != advised {
            wrapped(line, "", &format!("→ {}", advice.unwrap_or_default()));
            advised = advice;
        }
    }
    if errors.len() > ERRORS_SHOWN {
        let further = errors.len() - ERRORS_SHOWN;
        line(&format!("error     {further} further texts"));
    }
    // Servers answer 400 to a request that they can't parse.
    if label.protocol_codes.get(&400) == Some(&label.hits) {
        wrapped(line, "", &format!("→ {}", super::advice::ALL_BAD_REQUESTS));
    }
}

/// Wraps a text at spaces, beside a name.
fn wrapped(line: &mut impl FnMut(&str), name: &str, said: &str) {
    let mut text = format!("{name:<10}");
    let mut columns = 10;
    for word in said.split(' ') {
        let length = word.chars().count();
        if columns > 10 && columns + length > COLUMNS {
            line(&text);
            text = format!("{:12}", "");
            columns = 12;
        }
        text.push_str(word);
        text.push(' ');
        columns += length + 1;
    }
    line(&text);
}

#[cfg(test)]
mod tests {
    use encarno_record::statistics::Statistics;
    use encarno_record::sums::OutcomeSums;
    use encarno_record::{Expected, Hit, Strings, Texts};

    use super::{COLUMNS, append_histogram, append_label};

    fn text(hits: &[Hit], strings: &Strings) -> String {
        let mut sums = OutcomeSums::default();
        hits.iter().for_each(|hit| sums.record(hit));
        let mut statistics = Statistics::default();
        let mut texts = Texts::of_run(strings.clone());
        statistics.add(&sums, &mut texts, 0, &Expected::default());
        let total = statistics.total();
        let mut text = String::new();
        append_label(&mut text, "total", &total, 2_000_000_000);
        append_histogram(&mut text, &total);
        text
    }

    #[test]
    fn lines_fit_into_80_columns_whatever_the_figures() {
        let strings = Strings::default();
        let long = strings.intern(&"a long text of a peer ".repeat(20));
        let hits: Vec<Hit> = (0..600_u16)
            .map(|number| Hit {
                scheduled_ns: 0,
                started_ns: 987_654_321,
                ended_ns: 987_654_321 + u64::from(number) * 99_987_654_321,
                sent_bytes: u64::from(number) << 30,
                received_bytes: u64::from(number) << 40,
                protocol_code: 400 + number % 40,
                net_code: number % 9 * 111,
                error: long,
                concurrency: 123_456,
                ..Hit::default()
            })
            .collect();
        let text = text(&hits, &strings);
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        assert!(text.contains("→ nothing listens there"), "{text}");
    }

    #[test]
    fn all_is_said_in_units_that_fit() {
        let strings = Strings::default();
        let hits: Vec<Hit> = (1..=100_u64)
            .map(|number| Hit {
                scheduled_ns: 1000,
                started_ns: 1400,
                ended_ns: 1400 + number * 1_000_000,
                sent_bytes: 100,
                received_bytes: 4096,
                protocol_code: 200,
                concurrency: 7,
                ..Hit::default()
            })
            .collect();
        let text = text(&hits, &strings);
        let expected = "\
total: 100 hits in 2.000 s, 50.0/s, 0 failed (0.00 %)
             min    mean     p50     p75     p90     p95     p99   p99.9     max
service  1.00 ms 50.5 ms 50.0 ms 75.0 ms 90.0 ms 95.0 ms 99.0 ms  100 ms  100 ms
response 1.00 ms 50.5 ms 50.0 ms 75.0 ms 90.0 ms 95.0 ms 99.0 ms  100 ms  100 ms
lag       400 ns  400 ns  400 ns  400 ns  400 ns  400 ns  400 ns  400 ns  400 ns
bytes     9.77 KiB (4.88 KiB/s) sent, 400 KiB (200 KiB/s) received
a hit     100 B sent, 4.00 KiB received
in flight 7 at most
codes     200: 100 (100.00 %)
response time up to, and hits
";
        assert!(text.starts_with(expected), "{text}");
        let rows = text.lines().skip(10);
        let counts = rows.filter_map(|line| line.split_whitespace().nth(2));
        let sum: u64 = counts.filter_map(|count| count.parse::<u64>().ok()).sum();
        assert_eq!(sum, 100, "{text}");
    }
}
