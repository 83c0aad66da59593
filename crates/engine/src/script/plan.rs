//! A script, compiled: what a worker does about a record.

use std::collections::HashMap;
use std::sync::Arc;

use encarno_nib::Keep;
use encarno_nib::delay::Delay;
use encarno_record::script::{Assert, Extract, OnFail, Script, Subject};
use encarno_record::template::{Replaces, is_template};
use encarno_record::{Payload, Record, StringId, Strings, VariableId};
use memchr::memmem::Finder;
use serde_json_path::JsonPath;

use super::BODY_BYTES_MAX;
use super::check::{Check, Test, error_text};
use super::extract::{ExtractPlan, Source, Value, parse_template};
use super::pattern::Pattern;

/// A longer JSONPath is none that a person wrote.
const PATH_BYTES_MAX: usize = 16 << 10;
/// Brackets within brackets.
const PATH_DEPTH_MAX: usize = 64;
/// Distinct expressions, JSONPaths and names in a run.
const TEXTS_MAX: usize = 10_000;
/// More redirects than that are a loop.
const FOLLOW_MAX: u32 = 50;
/// Texts of asserts get numbers below; further ones share one.
pub(super) const ERRORS_END: StringId = StringId(1_000_000);
const NOT_FOUND: &str = "NOT_FOUND";
pub(super) const NEEDS_ORDER: &str =
    "workers that read the input in order each: write sharing: per-worker (input) or --per-worker";

/// A record and what a worker does about it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is sent.
    pub record: Record,
    /// What else is done; none = send it and be done.
    pub plan: Option<Arc<Plan>>,
}

/// What a worker does about a record beside sending it.
#[derive(Debug, Default)]
pub struct Plan {
    /// None = nothing is put in.
    pub(super) replaces: Option<Box<Replaces>>,
    /// Label and address that have values to be put in.
    pub(super) label: Option<Arc<str>>,
    pub(super) address: Option<Arc<str>>,
    pub(super) extracts: Vec<ExtractPlan>,
    pub(super) checks: Vec<Check>,
    pub(super) think: Option<Delay>,
    pub(super) on_fail: OnFail,
    pub(super) scenario: bool,
    pub(super) follow: u32,
    pub(super) close: bool,
    /// What is needed of the response.
    pub(super) keep: Keep,
    /// The hit's own timeout.
    pub timeout_ns: Option<u64>,
}

impl Plan {
    /// Whether values are put into that payload in the event loop.
    pub(super) fn fills(&self, payload: &Payload) -> bool {
        self.replaces.is_some() && matches!(payload, Payload::Memory(bytes) if is_template(bytes))
    }
}

/// Expressions, paths and names that were met, each compiled once.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) names: Names,
    patterns: HashMap<String, Pattern>,
    paths: HashMap<String, Arc<JsonPath>>,
}

/// Variables by name.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, VariableId>);

/// Redirects and cookies are in the head.
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
        let ordered = !script.extracts.is_empty() || script.on_fail != OnFail::Continue;
        if ordered && !per_worker {
            return Err(format!("extracts and onfail need {NEEDS_ORDER}"));
        }
        let replaces = script.replaces.iter().map(|name| {
            let id = self.names.id_of(name)?;
            Ok((name.as_bytes().into(), id))
        });
        let replaces = replaces.collect::<Result<Box<_>, String>>()?;
        let extracts = script
            .extracts
            .iter()
            .map(|extract| self.extract(extract).map_err(in_variable(&extract.name)));
        let extracts = extracts.collect::<Result<Vec<_>, _>>()?;
        let checks = script
            .asserts
            .iter()
            .map(|assert| self.check(assert, strings));
        let checks = checks.collect::<Result<Vec<_>, _>>()?;
        let think = match &script.think {
            None => None,
            Some(text) => {
                let delay = text.parse::<Delay>();
                Some(delay.map_err(|reason| format!("think {text:?}: {reason}"))?)
            }
        };
        let follow = script.follow.unwrap_or(0);
        if follow > FOLLOW_MAX {
            return Err(format!("follow {follow}: at most {FOLLOW_MAX} redirects"));
        }
        let subjects = extracts.iter().map(|extract| extract.subject);
        let subjects = subjects.chain(checks.iter().map(|check| check.subject));
        let keep = subjects.map(|subject| match subject {
            Subject::Code => Keep::default(),
            Subject::Headers => KEEP_HEAD,
            // The head says how the body is coded.
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
            label: template(label),
            address: template(address),
            extracts,
            checks,
            think: think.filter(|think| *think != Delay::Zero),
            on_fail: script.on_fail,
            scenario: script.scenario,
            follow,
            close: script.close,
            keep: match follow {
                0 => keep,
                _ => keep.or(KEEP_HEAD),
            },
            timeout_ns: script.timeout_ns,
        })
    }

    fn extract(&mut self, extract: &Extract) -> Result<ExtractPlan, String> {
        let default = extract.default.as_deref().unwrap_or(NOT_FOUND);
        let subject = match (&extract.jsonpath, extract.subject) {
            (None, subject) => subject,
            (Some(_), Subject::Response | Subject::Body) => Subject::Body,
            (Some(_), _) => return Err("a JSONPath looks at the body only".to_owned()),
        };
        let source = match &extract.jsonpath {
            Some(_) if !extract.regex.is_empty() => {
                return Err("re and jsonpath: one of them is too much".to_owned());
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
            variable: self.names.id_of(&extract.name)?,
            subject,
            source,
            number: extract.match_number.max(-1),
            default: default.as_bytes().into(),
        })
    }

    fn check(&mut self, assert: &Assert, strings: &Strings) -> Result<Check, String> {
        let mut subject = assert.subject;
        let test = match (&assert.jsonpath, &assert.text) {
            (Some(_), Some(_)) => {
                return Err("an assert has a text or a jsonpath, not both".to_owned());
            }
            (Some(path), None) => {
                if !matches!(subject, Subject::Response | Subject::Body) {
                    return Err("a JSONPath looks at the body only".to_owned());
                }
                subject = Subject::Body;
                Test::JsonPath(self.path(path)?, assert.equals.clone())
            }
            (None, Some(text)) => Test::Text(Box::new(Finder::new(text).into_owned())),
            (None, None) => Test::Regex(self.pattern(&assert.regex)?),
        };
        let error = strings.intern_below(&error_text(assert), ERRORS_END);
        Ok(Check {
            subject,
            test,
            invert: assert.invert,
            error: error.unwrap_or_else(|| strings.intern("assert: not met")),
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

    fn path(&mut self, text: &str) -> Result<Arc<JsonPath>, String> {
        if let Some(path) = self.paths.get(text) {
            return Ok(Arc::clone(path));
        }
        bounded(self.paths.len(), "JSONPaths")?;
        check_path(text)?;
        let path = JsonPath::parse(text).map_err(|error| {
            let (at, reason) = (error.position(), error.message().to_owned());
            format!("bad JSONPath {text:?}, at character {at}: {reason}")
        })?;
        let path = Arc::new(path);
        self.paths.insert(text.to_owned(), Arc::clone(&path));
        Ok(path)
    }
}

impl Names {
    pub(super) fn id_of(&mut self, name: &str) -> Result<VariableId, String> {
        if let Some(&id) = self.0.get(name) {
            return Ok(id);
        }
        bounded(self.0.len(), "variables")?;
        let id = VariableId(self.0.len() as u32);
        self.0.insert(name.into(), id);
        Ok(id)
    }
}

/// What its parser, which calls itself, must not be given.
fn check_path(text: &str) -> Result<(), String> {
    if text.len() > PATH_BYTES_MAX {
        return Err(format!("a JSONPath has more than {PATH_BYTES_MAX} bytes"));
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > PATH_DEPTH_MAX {
            let start: String = text.chars().take(20).collect();
            return Err(format!(
                "bad JSONPath {start:?}…: brackets in more than {PATH_DEPTH_MAX} levels"
            ));
        }
    }
    Ok(())
}

fn bounded(count: usize, what: &str) -> Result<(), String> {
    if count < TEXTS_MAX {
        Ok(())
    } else {
        Err(format!("more than {TEXTS_MAX} distinct {what} in one run"))
    }
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
