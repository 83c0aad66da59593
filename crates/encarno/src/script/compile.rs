//! Scripts and rules into plans: everything that can be done once.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::memmem::Finder;
use serde_json_path::JsonPath;

use super::ANSWER_BYTES_MAX;
use super::check::{Check, Test, error_text};
use super::data::{DataError, DataSource};
use super::definition::{Assert, Extract, OnFail, Script, Subject};
use super::extract::{ExtractPlan, Source, Value, parse_template};
use super::pattern::Pattern;
use super::template::is_template;
use super::variables::Slot;
use crate::hit::{Payload, Record};
use crate::nib::http::answer::HEAD_BYTES_MAX;
use crate::settings::{Delay, RuleSettings, ScriptSettings};
use crate::strings::{StringId, Strings};

/// Distinct expressions, JSONPaths and names in a run.
const TEXTS_MAX: usize = 10_000;
/// Plans that are kept; further ones are made again.
const PLANS_MAX: usize = 100_000;
/// More redirects than that are a loop.
const FOLLOW_MAX: u32 = 50;
/// Texts of asserts get numbers below; further ones share one.
const ERRORS_END: StringId = StringId(1_000_000);
const NOT_FOUND: &str = "NOT_FOUND";

/// What a worker does about a record beside sending it.
#[derive(Debug, Default)]
pub struct Plan {
    /// None = nothing is put in.
    pub(super) replaces: Option<Box<super::template::Replaces>>,
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
    /// So much of the answer is needed.
    pub(super) keep_bytes: usize,
    /// The hit's own timeout.
    pub timeout_ns: Option<u64>,
}

/// Makes plans, for all readers of the input.
#[derive(Debug)]
pub struct Compiler {
    strings: Strings,
    rules: Vec<Rule>,
    /// Each worker reads the input in order.
    pub(super) per_worker: bool,
    pub(super) cookies: bool,
    pub(super) seed: u64,
    pub(super) data: Vec<DataSource>,
    /// What variables have at the start of each pass.
    pub(super) values: Vec<(Slot, Box<[u8]>)>,
    /// Records without a script belong to sessions too.
    active: AtomicBool,
    plain: Arc<Plan>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Rule {
    label: Pattern,
    script: Script,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    patterns: HashMap<String, Pattern>,
    paths: HashMap<String, Arc<JsonPath>>,
    plans: HashMap<(usize, StringId, StringId), Kept>,
}

/// The script is kept along: its place in memory is the key.
#[derive(Debug)]
struct Kept {
    plan: Option<Arc<Plan>>,
    _script: Option<Arc<Script>>,
}

/// Variables by name.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, Slot>);

/// Scripting that can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A file of rows.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Anything else.
    #[error("{0}")]
    Settings(String),
}

const NEEDS_ORDER: &str =
    "workers that read the input in order each: write sharing: per-worker (input) or --per-worker";

impl Compiler {
    /// Of one run.
    pub fn new(
        settings: &ScriptSettings,
        values: &BTreeMap<String, String>,
        per_worker: bool,
        strings: &Strings,
    ) -> Result<Self, ScriptError> {
        let mut state = State::default();
        if !per_worker && (settings.cookies || !settings.data.is_empty()) {
            let what = if settings.cookies {
                "cookies"
            } else {
                "data files"
            };
            return Err(ScriptError::Settings(format!("{what} need {NEEDS_ORDER}")));
        }
        let slot = |(name, value): (&String, &String)| {
            let slot = state.names.slot(name).map_err(ScriptError::Settings)?;
            Ok((slot, value.as_bytes().into()))
        };
        let values = values
            .iter()
            .map(slot)
            .collect::<Result<_, ScriptError>>()?;
        let data = settings
            .data
            .iter()
            .map(|data| DataSource::read(data, &mut state.names));
        let data = data.collect::<Result<Vec<_>, _>>()?;
        let rules = settings.rules.iter().map(|rule| {
            let bad = |reason| ScriptError::Settings(format!("rule {:?}: {reason}", rule.label));
            let label = state.pattern(&rule.label).map_err(bad)?;
            // Found now, rather than at the first hit that matches.
            state
                .plan(&rule.script, &["", ""], strings, per_worker)
                .map_err(bad)?;
            let script = rule.script.clone();
            Ok(Rule { label, script })
        });
        let rules = rules.collect::<Result<Vec<_>, ScriptError>>()?;
        let plain = Plan {
            keep_bytes: if settings.cookies { KEEP_HEAD } else { 0 },
            ..Plan::default()
        };
        Ok(Self {
            strings: strings.clone(),
            rules,
            per_worker,
            cookies: settings.cookies,
            seed: settings.seed,
            active: AtomicBool::new(settings.cookies || !data.is_empty()),
            data,
            values,
            plain: Arc::new(plain),
            state: Mutex::new(state),
        })
    }

    /// Whether a rule can be used; the error says why not.
    pub fn check_rule(rule: &RuleSettings, per_worker: bool) -> Result<(), String> {
        let mut state = State::default();
        state.pattern(&rule.label)?;
        state.plan(&rule.script, &["", ""], &Strings::default(), per_worker)?;
        Ok(())
    }

    /// Gives the record its plan, if it needs one; it takes its script's place.
    pub fn plan(&self, record: &mut Record) -> Result<(), String> {
        let script = record.script.take();
        if script.is_none() && self.rules.is_empty() && !self.active.load(Ordering::Relaxed) {
            return Ok(());
        }
        if script.is_some() && self.per_worker {
            self.active.store(true, Ordering::Relaxed);
        }
        let [label, address] = [record.label, record.address]
            .map(|id| self.strings.get(id).unwrap_or_else(|| Arc::from("")));
        // What doesn't change the plan isn't part of its key.
        let label_counts = !self.rules.is_empty() || is_template(label.as_bytes());
        let key = (
            script
                .as_ref()
                .map_or(0, |script| Arc::as_ptr(script).addr()),
            if label_counts {
                record.label
            } else {
                StringId(0)
            },
            if is_template(address.as_bytes()) {
                record.address
            } else {
                StringId(0)
            },
        );
        let mut state = self.lock();
        let plan = match state.plans.get(&key) {
            Some(kept) => kept.plan.clone(),
            None => {
                let plan = self.make(&mut state, script.as_deref(), &[&label, &address])?;
                if state.plans.len() >= PLANS_MAX {
                    state.plans.clear();
                }
                let kept = Kept {
                    plan: plan.clone(),
                    _script: script,
                };
                state.plans.insert(key, kept);
                plan
            }
        };
        drop(state);
        record.plan = plan;
        self.complete(record);
        let edits = |plan: &Plan| plan.replaces.is_some() || plan.follow > 0 || self.cookies;
        if matches!(record.payload, Payload::File { .. })
            && record.plan.as_deref().is_some_and(edits)
        {
            return Err(
                "values, cookies and redirects need a payload that is held in memory, \
                 and this one is too long for that"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// In a run with sessions each record is part of one.
    pub fn complete(&self, record: &mut Record) {
        if record.plan.is_none() && self.active.load(Ordering::Relaxed) {
            record.plan = Some(Arc::clone(&self.plain));
        }
    }

    fn make(
        &self,
        state: &mut State,
        script: Option<&Script>,
        texts: &[&str; 2],
    ) -> Result<Option<Arc<Plan>>, String> {
        let mut whole = script.cloned().unwrap_or_default();
        let mut has_any = script.is_some();
        for rule in &self.rules {
            if !rule.label.regex.is_match(texts[0].as_bytes()) {
                continue;
            }
            has_any = true;
            whole.extracts.extend(rule.script.extracts.iter().cloned());
            whole.asserts.extend(rule.script.asserts.iter().cloned());
            whole.think = whole.think.or_else(|| rule.script.think.clone());
            whole.follow = whole.follow.or(rule.script.follow);
        }
        if !has_any {
            return Ok(None);
        }
        let mut plan = state.plan(&whole, texts, &self.strings, self.per_worker)?;
        // Fixed values were put in when the record was read.
        if script.is_none() || !self.per_worker {
            plan.replaces = None;
        }
        if self.cookies {
            plan.keep_bytes = plan.keep_bytes.max(KEEP_HEAD);
        }
        Ok(Some(Arc::new(plan)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Interim heads may come before the one that counts.
const KEEP_HEAD: usize = 2 * HEAD_BYTES_MAX;

impl State {
    fn plan(
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
            let slot = self.names.slot(name)?;
            Ok((name.as_bytes().into(), slot))
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
            Subject::Code => 0,
            Subject::Headers => KEEP_HEAD,
            Subject::Response | Subject::Body => ANSWER_BYTES_MAX,
        });
        let keep_bytes = keep.max().unwrap_or(0);
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
            keep_bytes: keep_bytes.max(if follow > 0 { KEEP_HEAD } else { 0 }),
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
            slot: self.names.slot(&extract.name)?,
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

    fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
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
    pub(super) fn slot(&mut self, name: &str) -> Result<Slot, String> {
        if let Some(&slot) = self.0.get(name) {
            return Ok(slot);
        }
        bounded(self.0.len(), "variables")?;
        let slot = Slot(self.0.len() as u32);
        self.0.insert(name.into(), slot);
        Ok(slot)
    }
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
