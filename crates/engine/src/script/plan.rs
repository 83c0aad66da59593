//! A compiled script: what a worker does with a record.

use std::collections::HashMap;
use std::sync::Arc;

use encarno_nib::Keep;
use encarno_nib::delay::Delay;
use encarno_record::script::{Assert, Extract, OnFail, Script, Subject};
use encarno_record::template::{Replaces, is_template};
use encarno_record::{Payload, Record, StringId, Strings};
use memchr::memmem::Finder;

use super::BODY_BYTES_MAX;
use super::check::{Check, ERRORS_END, Expected, Test, error_text};
use super::extract::{ALL, ExtractPlan, Source, Target, Value, parse_template};
use super::jsonpath::Path;
use super::lists::Numbered;
use super::names::{Names, bounded};
use super::pattern::Pattern;
use super::steps::StepPlan;
use super::values::{
    assert_is_live, assert_with, extract_is_live, extract_with, texts_of_assert, texts_of_extract,
    without_values,
};

/// The most redirects; more are a loop.
const FOLLOW_MAX: u32 = 50;
/// The number of list values that are also variables: `name_1` and so on.
const NUMBERED_MAX: usize = 20;
const NOT_FOUND: &str = "NOT_FOUND";
pub(super) const NEEDS_ORDER: &str =
    "workers that read the input in order each: write sharing: per-worker (input) or --per-worker";

/// A record with its plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is sent.
    pub record: Record,
    /// What else the worker does; `None` means only sending.
    pub plan: Option<Arc<Plan>>,
}

/// What a worker does with a record in addition to sending it.
#[derive(Debug, Default)]
pub struct Plan {
    /// The values that are filled in; `None` if there are none.
    pub(super) replaces: Option<Box<Replaces>>,
    /// The values that are filled into the texts of extracts and asserts.
    pub(super) looks: Box<Replaces>,
    /// Label and address, if values are filled into them.
    pub(super) label: Option<Arc<str>>,
    pub(super) address: Option<Arc<str>>,
    pub(super) extracts: Vec<ExtractPlan>,
    pub(super) checks: Vec<Check>,
    pub(super) think: Option<Delay>,
    pub(super) on_fail: OnFail,
    pub(super) scenario: bool,
    pub(super) follow: u32,
    pub(super) close: bool,
    pub(super) whole_url: bool,
    /// The step, if the record is one; then nothing is sent.
    pub(super) step: Option<StepPlan>,
    /// The parts of the response that are needed.
    pub(super) keep: Keep,
    /// The hit's own timeout.
    pub timeout_ns: Option<u64>,
}

impl Plan {
    /// A plan that only keeps parts of the response.
    pub(crate) fn keeping(keep: Keep) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// The parts of the response that are needed.
    pub(crate) fn keep(&self) -> Keep {
        self.keep
    }

    /// Whether the event loop fills values into this payload.
    pub(super) fn fills(&self, payload: &Payload) -> bool {
        self.replaces.is_some() && matches!(payload, Payload::Memory(bytes) if is_template(bytes))
    }
}

/// The expressions, paths and names found so far, each compiled once.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) names: Names,
    patterns: HashMap<String, Pattern>,
    paths: HashMap<String, Arc<Path>>,
    steps: usize,
}

/// The head, which contains redirects and cookies.
pub(super) const KEEP_HEAD: Keep = Keep {
    head: true,
    body_bytes_max: 0,
    wire_bytes_max: 0,
};

impl Expressions {
    pub(super) fn plan(
        &mut self,
        script: &Script,
        [label, address]: &[&str; 2],
        strings: &Strings,
        per_worker: bool,
    ) -> Result<Plan, String> {
        let ordered = !script.extracts.is_empty()
            || script.on_fail != OnFail::Continue
            || script.step.is_some();
        if ordered && !per_worker {
            return Err(format!("extracts, onfail and steps need {NEEDS_ORDER}"));
        }
        let replaces = script.replaces.iter().map(|name| {
            let id = self.names.id_of(name)?;
            Ok((name.as_bytes().into(), id))
        });
        let replaces = replaces.collect::<Result<Box<_>, String>>()?;
        let texts = script.extracts.iter().flat_map(texts_of_extract);
        let texts = texts.chain(script.asserts.iter().flat_map(texts_of_assert));
        let looks = match per_worker {
            true => [&*self.names.in_texts(texts)?, &*replaces].concat(),
            false => Vec::new(),
        };
        let extracts = script.extracts.iter().map(|extract| {
            let made = match per_worker && extract_is_live(extract) {
                false => self.extract(extract),
                true => self.live_extract(extract),
            };
            made.map_err(in_variable(&extract.name))
        });
        let extracts = extracts.collect::<Result<Vec<_>, _>>()?;
        let checks =
            script
                .asserts
                .iter()
                .map(|assert| match per_worker && assert_is_live(assert) {
                    false => self.check(assert, strings),
                    true => self.live_check(assert, strings),
                });
        let checks = checks.collect::<Result<Vec<_>, _>>()?;
        let think = match &script.think {
            None => None,
            Some(text) => {
                let delay = text.parse::<Delay>();
                Some(delay.map_err(|reason| format!("think {text:?}: {reason}"))?)
            }
        };
        let step = script.step.as_deref().map(|step| {
            self.steps += 1;
            StepPlan::compile(step, &mut self.names, self.steps - 1)
        });
        let follow = script.follow.unwrap_or(0);
        if follow > FOLLOW_MAX {
            return Err(format!("follow {follow}: at most {FOLLOW_MAX} redirects"));
        }
        let subjects = extracts.iter().map(|extract| extract.subject);
        let subjects = subjects.chain(checks.iter().map(|check| check.subject));
        let keep = subjects.map(|subject| match subject {
            Subject::Code => Keep::default(),
            Subject::Headers => KEEP_HEAD,
            // The head says how the body is encoded.
            Subject::Response | Subject::Body => Keep {
                body_bytes_max: BODY_BYTES_MAX,
                ..KEEP_HEAD
            },
        });
        let keep = keep.fold(Keep::default(), Keep::or);
        let template =
            |text: &str| (per_worker && is_template(text.as_bytes())).then(|| text.into());
        Ok(Plan {
            replaces: Some(replaces),
            looks: looks.into(),
            label: template(label),
            address: template(address),
            extracts,
            checks,
            think: think.filter(|think| *think != Delay::Zero),
            on_fail: script.on_fail,
            scenario: script.scenario,
            follow,
            close: script.close,
            whole_url: script.whole_url,
            step: step.transpose()?,
            keep: match follow {
                0 => keep,
                _ => keep.or(KEEP_HEAD),
            },
            timeout_ns: script.timeout_ns,
        })
    }

    pub(super) fn extract(&mut self, extract: &Extract) -> Result<ExtractPlan, String> {
        let default = extract.default.as_deref().unwrap_or(NOT_FOUND);
        let subject = match (&extract.jsonpath, extract.subject) {
            (None, subject) => subject,
            (Some(_), Subject::Response | Subject::Body) => Subject::Body,
            (Some(_), _) => return Err("a JSONPath searches the body only".to_owned()),
        };
        let source = match &extract.jsonpath {
            Some(_) if !extract.regex.is_empty() => {
                return Err("use either re or jsonpath, not both".to_owned());
            }
            Some(path) => Source::JsonPath(self.path(path)?),
            None => {
                let pattern = self.pattern(&extract.regex)?;
                let groups = pattern.regex.captures_len();
                let group = extract.group_number as usize;
                if group >= groups {
                    return Err(format!(
                        "group {group} isn't in {:?}, which has {} of them",
                        extract.regex,
                        groups - 1
                    ));
                }
                let value = match &extract.template {
                    None => Value::Group(group),
                    Some(template) => Value::Template(parse_template(template, groups)?),
                };
                Source::Regex(pattern, value)
            }
        };
        Ok(ExtractPlan {
            target: self.target(extract)?,
            subject,
            source,
            number: extract.match_number.max(ALL),
            default: default.as_bytes().into(),
        })
    }

    fn target(&mut self, extract: &Extract) -> Result<Target, String> {
        let name = &extract.name;
        let mut numbered = None;
        if extract.match_number <= ALL {
            let items = (1..=NUMBERED_MAX).map(|item| self.names.id_of(&format!("{name}_{item}")));
            numbered = Some(Box::new(Numbered {
                items: items.collect::<Result<_, _>>()?,
                count: self.names.id_of(&format!("{name}_matchNr"))?,
            }));
        }
        let slot = self.names.id_of(name)?;
        Ok(Target { slot, numbered })
    }

    /// An extract with variables; with a sample value for each, it must be valid.
    fn live_extract(&mut self, extract: &Extract) -> Result<ExtractPlan, String> {
        let tried = Self::default().extract(&extract_with(extract, without_values))?;
        Ok(ExtractPlan {
            target: self.target(extract)?,
            source: Source::Live(Box::new(extract.clone())),
            ..tried
        })
    }

    /// An assert with variables; with a sample value for each, it must be valid.
    fn live_check(&mut self, assert: &Assert, strings: &Strings) -> Result<Check, String> {
        let tried = Self::default().check(&assert_with(assert, without_values), strings)?;
        Ok(Check {
            test: Test::Live(Box::new(assert.clone())),
            error: error_of(assert, strings),
            ..tried
        })
    }

    pub(super) fn check(&mut self, assert: &Assert, strings: &Strings) -> Result<Check, String> {
        let mut subject = assert.subject;
        let test = match (&assert.jsonpath, &assert.text) {
            (Some(_), Some(_)) => {
                return Err("an assert has a text or a jsonpath, not both".to_owned());
            }
            (Some(path), None) => {
                if !matches!(subject, Subject::Response | Subject::Body) {
                    return Err("a JSONPath searches the body only".to_owned());
                }
                subject = Subject::Body;
                let expected = match (&assert.equals, &*assert.regex) {
                    (Some(_), regex) if !regex.is_empty() => {
                        return Err("use either re or equals, not both".to_owned());
                    }
                    (Some(text), _) => Expected::Text(text.clone()),
                    (None, "") => Expected::Anything,
                    (None, regex) => Expected::Regex(self.pattern(regex)?),
                };
                Test::JsonPath(self.path(path)?, expected)
            }
            (None, Some(text)) => Test::Text(Box::new(Finder::new(text).into_owned())),
            (None, None) => Test::Regex(self.pattern(&assert.regex)?),
        };
        Ok(Check {
            subject,
            test,
            invert: assert.invert,
            error: error_of(assert, strings),
        })
    }

    pub(super) fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(pattern.clone());
        }
        bounded(self.patterns.len(), "regular expressions")?;
        let pattern = Pattern::compile(text, self.patterns.len() as u32)?;
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    fn path(&mut self, text: &str) -> Result<Arc<Path>, String> {
        if let Some(path) = self.paths.get(text) {
            return Ok(Arc::clone(path));
        }
        bounded(self.paths.len(), "JSONPaths")?;
        let path = Arc::new(Path::parse(text)?);
        self.paths.insert(text.to_owned(), Arc::clone(&path));
        Ok(path)
    }
}

fn error_of(assert: &Assert, strings: &Strings) -> StringId {
    let error = strings.intern_below(&error_text(assert), ERRORS_END);
    error.unwrap_or_else(|| strings.intern("assert: not met"))
}

fn in_variable(name: &str) -> impl Fn(String) -> String {
    move |reason| format!("variable {name:?}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::Expressions;

    #[test]
    fn what_is_nested_too_deep_is_refused_before_it_is_parsed() {
        let mut expressions = Expressions::default();
        for count in [65, 5_000, 8_000] {
            for (open, close) in [("(", ")"), ("!(", ")"), ("[?", "]"), ("[", "]")] {
                let text = format!("$[?{}@.a{}]", open.repeat(count), close.repeat(count));
                assert!(expressions.path(&text).is_err(), "{count} of {open}");
            }
            let text = format!("{}a{}", "(".repeat(count), ")".repeat(count));
            let compiled = expressions.pattern(&text);
            assert_eq!(compiled.is_ok(), count < 100, "{count} groups");
        }
        assert!(
            expressions
                .path("$[?((@.a == 1) && !(@.b > 2))].c[0]")
                .is_ok()
        );
    }
}
