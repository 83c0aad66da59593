//! Extracts values from an answer.

use std::borrow::Cow;
use std::sync::Arc;

use encarno_nib::delay::uniform;
use encarno_record::script::{Extract, Subject};
use encarno_record::{VariableId, Variables};
use rand_xoshiro::Xoshiro256PlusPlus;
use regex::bytes::CaptureLocations;

use super::VALUE_BYTES_MAX;
use super::inspection::{Inspection, node_text};
use super::jsonpath::Path;
use super::lists::{Lists, Numbered};
use super::pattern::{Matcher, Matchers, Pattern};

/// The most matches among which a random one is chosen.
const MATCHES_MAX: u32 = 10_000;
/// A match number that means all matches.
pub(super) const ALL: i32 = -2;

/// An extract, compiled.
#[derive(Debug)]
pub(super) struct ExtractPlan {
    pub(super) target: Target,
    pub(super) subject: Subject,
    pub(super) source: Source,
    /// The number of the match, from 0; -1 means a random one; or [`ALL`].
    pub(super) number: i32,
    pub(super) default: Box<[u8]>,
}

/// The variables that an extract sets.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) slot: VariableId,
    /// For a list, its numbered variables.
    pub(super) numbered: Option<Box<Numbered>>,
}

#[derive(Debug)]
pub(super) enum Source {
    Regex(Pattern, Value),
    JsonPath(Arc<Path>),
    /// The extract contains variables: see `live`.
    Live(Box<Extract>),
}

/// How a match becomes a value.
#[derive(Debug)]
pub(super) enum Value {
    Group(usize),
    Template(Vec<Part>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Group(usize),
}

/// The error for a value that would be longer than [`VALUE_BYTES_MAX`].
#[derive(Debug)]
pub(super) struct TooLong;

impl ExtractPlan {
    /// Sets the variable to the match, or to the default without one.
    pub(super) fn run(
        &self,
        target: &Target,
        inspection: &mut Inspection<'_>,
        matchers: &mut Matchers,
        random: &mut Xoshiro256PlusPlus,
        variables: &mut Variables,
        lists: &mut Lists,
    ) -> Result<(), TooLong> {
        if let Some(numbered) = &target.numbered {
            let values = self.all(inspection, matchers).into_iter();
            let whole = lists.set(target.slot, values, numbered, variables);
            return if whole { Ok(()) } else { Err(TooLong) };
        }
        let mut set = |value: &[u8]| {
            let fits = value.len() <= VALUE_BYTES_MAX;
            variables.set(target.slot, if fits { value } else { &self.default });
            if fits { Ok(()) } else { Err(TooLong) }
        };
        match &self.source {
            Source::Regex(pattern, value) => {
                let text = inspection.part(self.subject);
                let matcher = matchers.get(pattern);
                if !matcher.find(text, self.number, random) {
                    return set(&self.default);
                }
                set(&value.of(text, &matcher.groups))
            }
            Source::JsonPath(path) => {
                let nodes = inspection.nodes(path);
                let index = match usize::try_from(self.number) {
                    Ok(index) => index,
                    Err(_) => (uniform(random) * nodes.len() as f64) as usize,
                };
                match nodes.get(index) {
                    Some(node) => set(node_text(node).as_bytes()),
                    None => set(&self.default),
                }
            }
            // With these values, the extract is invalid and finds nothing.
            Source::Live(_) => set(&self.default),
        }
    }

    fn all(&self, inspection: &mut Inspection<'_>, matchers: &mut Matchers) -> Vec<Vec<u8>> {
        match &self.source {
            Source::Regex(pattern, value) => {
                let text = inspection.part(self.subject);
                let Matcher { regex, groups } = matchers.get(pattern);
                let mut values = Vec::new();
                let mut at = 0;
                while values.len() < MATCHES_MAX as usize
                    && at <= text.len()
                    && let Some(found) = regex.captures_read_at(groups, text, at)
                {
                    values.push(value.of(text, groups).into_owned());
                    at = found.end() + usize::from(found.is_empty());
                }
                values
            }
            Source::JsonPath(path) => {
                let nodes = inspection.nodes(path);
                let texts = nodes.iter().map(|node| node_text(node).as_bytes().to_vec());
                texts.collect()
            }
            Source::Live(_) => Vec::new(),
        }
    }

    /// Sets the variable to its default, because there was no answer.
    pub(super) fn run_without(&self, variables: &mut Variables, lists: &mut Lists) {
        match &self.target.numbered {
            None => variables.set(self.target.slot, &self.default),
            Some(numbered) => {
                let none = std::iter::empty::<&[u8]>();
                lists.set(self.target.slot, none, numbered, variables);
            }
        }
    }
}

impl Value {
    fn of<'a>(&self, text: &'a [u8], groups: &CaptureLocations) -> Cow<'a, [u8]> {
        let parts = match self {
            Self::Group(group) => return Cow::Borrowed(group_of(text, groups, *group)),
            Self::Template(parts) => parts,
        };
        let mut value = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => value.extend_from_slice(text.as_bytes()),
                Part::Group(group) => value.extend_from_slice(group_of(text, groups, *group)),
            }
            if value.len() > VALUE_BYTES_MAX {
                break;
            }
        }
        Cow::Owned(value)
    }
}

impl Matcher {
    /// Finds a match; its groups are then in `groups`.
    fn find(&mut self, text: &[u8], number: i32, random: &mut Xoshiro256PlusPlus) -> bool {
        let Self { regex, groups } = self;
        let mut at = 0;
        let mut seen = 0;
        let mut chosen = None;
        // Only the last match needs its groups; earlier ones need only their ends.
        while let Some(found) = match number == seen as i32 {
            true => regex.captures_read_at(groups, text, at),
            false => regex.find_at(text, at),
        } {
            if number == seen as i32 {
                return true;
            }
            seen += 1;
            // Reservoir sampling: match k replaces the earlier choice with probability
            // 1/k.
            if number < 0 && uniform(random) * f64::from(seen) < 1.0 {
                chosen = Some(found.start());
            }
            at = found.end() + usize::from(found.is_empty());
            if at > text.len() || seen >= MATCHES_MAX {
                break;
            }
        }
        chosen.is_some_and(|start| regex.captures_read_at(groups, text, start).is_some())
    }
}

/// A group that didn't take part is empty, as in Go.
fn group_of<'a>(text: &'a [u8], groups: &CaptureLocations, group: usize) -> &'a [u8] {
    groups
        .get(group)
        .map_or(&[], |(start, end)| &text[start..end])
}

/// `$1$-$2$`: groups stand between dollars; the rest is literal text.
pub(super) fn parse_template(template: &str, groups: usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('$') {
        let digits = rest[start + 1..].split('$').next().unwrap_or_default();
        let is_group = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && rest.len() > start + 1 + digits.len();
        let (text, end) = match is_group {
            true => (&rest[..start], start + digits.len() + 2),
            false => (&rest[..=start], start + 1),
        };
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        if is_group {
            let group = digits.parse().ok().filter(|&group| group < groups);
            parts.push(Part::Group(group.ok_or_else(|| {
                format!("template {template:?}: the expression has no group {digits}")
            })?));
        }
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::{Matchers, Part, Pattern, group_of, parse_template};

    fn find(pattern: &str, text: &str, number: i32, seed: u64) -> Option<String> {
        let mut matchers = Matchers::default();
        let pattern = Pattern::compile(pattern, 0).expect("it is right");
        let matcher = matchers.get(&pattern);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        matcher.find(text.as_bytes(), number, &mut random).then(|| {
            let last = matcher.groups.len() - 1;
            String::from_utf8(group_of(text.as_bytes(), &matcher.groups, last).to_vec())
                .expect("text")
        })
    }

    #[test]
    fn matches_by_number() {
        let text = "a=1 a=22 a=333";
        for (number, expected) in [(0, Some("1")), (1, Some("22")), (2, Some("333")), (3, None)] {
            assert_eq!(find(r"a=(\d+)", text, number, 0).as_deref(), expected);
        }
        assert_eq!(find("x*", "aé", 3, 0).as_deref(), Some(""));
        assert_eq!(find("x*", "aé", 4, 0), None);
        assert_eq!(find("(a)|(b)", "a", 0, 0).as_deref(), Some(""));
    }

    #[test]
    fn a_random_match_is_any_of_them() {
        let mut counts = [0; 3];
        for seed in 0..3000 {
            let found = find(r"a=(\d)", "a=0 a=1 a=2", -1, seed).expect("there is one");
            counts[found.parse::<usize>().expect("a digit")] += 1;
        }
        assert!(counts.iter().all(|&count| count > 800), "{counts:?}");
        assert_eq!(find("b", "a=0", -1, 0), None);
    }

    #[test]
    fn templates() {
        let text = |text: &str| Part::Text(text.to_owned());
        for (template, parts) in [
            ("$1$-$2$", vec![Part::Group(1), text("-"), Part::Group(2)]),
            ("$0$", vec![Part::Group(0)]),
            ("cost: $1", vec![text("cost: $"), text("1")]),
            ("$$1$", vec![text("$"), Part::Group(1)]),
            ("x", vec![text("x")]),
        ] {
            assert_eq!(parse_template(template, 3), Ok(parts), "{template}");
        }
        assert!(parse_template("$3$", 3).is_err());
    }
}
