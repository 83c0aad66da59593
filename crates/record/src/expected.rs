//! The statuses that count as success.

use std::fmt;
use std::str::FromStr;

/// Statuses from this number on are never expected.
const CODES: u16 = 1024;

/// The expected statuses, by default `200-399`. A code of 0 means that the protocol has
/// no statuses, and counts as expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expected([u64; CODES as usize / 64]);

impl Expected {
    /// Whether a status is a success.
    #[inline]
    pub fn has(&self, code: u16) -> bool {
        code == 0 || code < CODES && self.0[code as usize / 64] >> (code % 64) & 1 == 1
    }

    /// Whether such an outcome is a failure: without an answer, with an unexpected
    /// status, or with an answer that breaks an assert.
    #[inline]
    pub fn is_failure(&self, net_code: u16, protocol_code: u16, has_error: bool) -> bool {
        net_code != 0 || has_error || !self.has(protocol_code)
    }

    fn add(&mut self, first: u16, last: u16) {
        for code in first..=last {
            self.0[code as usize / 64] |= 1 << (code % 64);
        }
    }
}

impl Default for Expected {
    fn default() -> Self {
        let mut expected = Self([0; CODES as usize / 64]);
        expected.add(200, 399);
        expected
    }
}

impl FromStr for Expected {
    type Err = String;

    /// Parses `200-399`, `200,404` and the like.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut expected = Self([0; CODES as usize / 64]);
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let code = |text: &str| text.trim().parse::<u16>().ok();
            match (code(first), code(last)) {
                (Some(first), Some(last)) if 1 <= first && first <= last && last < CODES => {
                    expected.add(first, last);
                }
                _ => {
                    return Err(format!(
                        "{part:?} isn't a status or a range of them: write 200-399 or 200,404"
                    ));
                }
            }
        }
        Ok(expected)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut first = 1;
        while first < CODES {
            if !self.has(first) {
                first += 1;
                continue;
            }
            let mut last = first;
            while last + 1 < CODES && self.has(last + 1) {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
            first = last + 1;
        }
        Ok(())
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expected({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Expected;

    #[test]
    fn statuses_and_ranges_are_read_and_shown() {
        for (text, shown) in [
            ("200-399", "200-399"),
            ("404, 200", "200,404"),
            ("200-299,300", "200-300"),
            ("1-1023", "1-1023"),
        ] {
            let expected: Expected = text.parse().expect(text);
            assert_eq!(expected.to_string(), shown);
        }
        for text in ["", "2xx", "399-200", "0-10", "1024", "200,,300"] {
            assert!(text.parse::<Expected>().is_err(), "{text}");
        }
        let default = Expected::default();
        assert_eq!(default.to_string(), "200-399");
        let known = [0, 99, 200, 399, 400, 1023, 65535].map(|code| default.has(code));
        assert_eq!(known, [true, false, true, true, false, false, false]);
    }
}
