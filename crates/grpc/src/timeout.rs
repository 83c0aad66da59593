//! The header with a deadline: a number of up to eight digits, and a unit.

use std::time::Duration;

/// The value of `grpc-timeout`; `None` if the timeout is too long for it. It is rounded up.
pub fn timeout_text(timeout: Duration) -> Option<String> {
    const MAX: u128 = 99_999_999;
    let ns = timeout.as_nanos();
    let units = [
        ('n', 1),
        ('u', 1_000),
        ('m', 1_000_000),
        ('S', 1_000_000_000),
        ('M', 60_000_000_000),
        ('H', 3_600_000_000_000),
    ];
    let (unit, count) = units
        .into_iter()
        .map(|(unit, size)| (unit, ns.div_ceil(size)))
        .find(|&(_, count)| count <= MAX)?;
    Some(format!("{count}{unit}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::timeout_text;

    #[test]
    fn the_smallest_unit_that_fits() {
        for (timeout, text) in [
            (Duration::from_nanos(1), "1n"),
            (Duration::from_millis(50), "50000000n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_nanos(100_000_001), "100001u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(400_000), "400000S"),
        ] {
            assert_eq!(timeout_text(timeout).as_deref(), Some(text));
        }
        assert_eq!(timeout_text(Duration::MAX), None);
    }
}
