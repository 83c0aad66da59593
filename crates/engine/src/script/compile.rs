//! Makes plans for records from their scripts and the matching rules, each plan once.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use encarno_input::Prepare;
use encarno_nib::{Form, Keep, Kind, Protocol};
use encarno_record::script::Script;
use encarno_record::template::is_template;
use encarno_record::{Payload, Record, StringId, Strings, VariableId};
use encarno_secret::Secret;

use super::data::{DataError, DataSource};
use super::pattern::Pattern;
use super::plan::{Expressions, KEEP_HEAD, NEEDS_ORDER, Plan, Planned};
use super::steps::StepPlan;
use super::values::{assert_with, texts_of_assert, with_fixed};
use crate::settings::{RuleSettings, ScriptSettings};

const LAST_OK: &str = "JMeterThread.last_sample_ok";
/// The most plans that are kept; further plans are compiled each time.
const PLANS_MAX: usize = 100_000;

/// Compiles plans, for all readers of the input.
#[derive(Debug)]
pub struct Compiler {
    strings: Strings,
    rules: Vec<Rule>,
    /// Whether each worker reads the input in order.
    pub(super) per_worker: bool,
    pub(super) cookies: bool,
    pub(super) same_user: bool,
    /// `JMeterThread.last_sample_ok`: whether a worker's last hit succeeded.
    pub(super) last_ok: VariableId,
    pub(super) seed: u64,
    pub(super) data: Vec<DataSource>,
    /// The values of variables at the start of each pass.
    pub(super) values: Vec<(VariableId, Box<[u8]>)>,
    /// Whether records without a script belong to sessions too.
    active: AtomicBool,
    /// Whether a step leads back.
    has_loops: AtomicBool,
    plain: Arc<Plan>,
    /// The protocol's preparation of payloads.
    prepare: Option<Arc<dyn encarno_nib::Prepare>>,
    kind: Option<&'static Kind>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    expressions: Expressions,
    plans: HashMap<(usize, StringId, StringId), Kept>,
}

#[derive(Debug)]
struct Rule {
    label: Pattern,
    script: Script,
}

/// A kept plan. It owns the script, whose address in memory is the key.
#[derive(Debug)]
struct Kept {
    plan: Option<Arc<Plan>>,
    _script: Option<Arc<Script>>,
}

/// Why scripting can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A file of rows can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Settings can't be used.
    #[error("{0}")]
    Settings(String),
}

impl Prepare for Compiler {
    type Prepared = Planned;

    fn prepare(&self, mut record: Record) -> Result<Planned, String> {
        let plan = self.plan(&record).map_err(|reason| {
            let label = self.strings.get(record.label).unwrap_or_default();
            format!("request {label:?}: {reason}")
        })?;
        record.script = None;
        // If values are filled in later, the payload isn't final yet.
        if !plan
            .as_deref()
            .is_some_and(|plan| plan.step.is_some() || self.edits(plan, &record.payload))
        {
            record.payload = self.sent(record.payload, plan.as_deref())?;
        }
        Ok(Planned { record, plan })
    }
}

impl Compiler {
    /// Takes only the rows of data files that belong to one part of a run.
    pub fn take_part(&self, number: usize, count: usize) {
        self.data
            .iter()
            .for_each(|data| data.take_part(number, count));
    }

    /// The compiler of one run.
    pub fn new(
        settings: &ScriptSettings,
        values: &BTreeMap<String, Secret>,
        per_worker: bool,
        strings: &Strings,
    ) -> Result<Self, ScriptError> {
        let mut expressions = Expressions::default();
        if !per_worker && (settings.cookies || !settings.data.is_empty()) {
            let what = if settings.cookies {
                "cookies"
            } else {
                "data files"
            };
            return Err(ScriptError::Settings(format!("{what} need {NEEDS_ORDER}")));
        }
        let last_ok = expressions
            .names
            .id_of(LAST_OK)
            .map_err(ScriptError::Settings)?;
        let id = |(name, value): (&String, &Secret)| {
            let id = expressions
                .names
                .id_of(name)
                .map_err(ScriptError::Settings)?;
            Ok((id, value.expose().as_bytes().into()))
        };
        let values = values.iter().map(id).collect::<Result<_, ScriptError>>()?;
        let data = settings
            .data
            .iter()
            .map(|data| DataSource::read(data, &mut expressions.names));
        let data = data.collect::<Result<Vec<_>, _>>()?;
        let rules = settings.rules.iter().map(|rule| {
            let bad = |reason| ScriptError::Settings(format!("rule {:?}: {reason}", rule.label));
            let label = expressions.pattern(&rule.label).map_err(bad)?;
            // Find errors now, not at the first matching hit.
            expressions
                .plan(&rule.script, &["", ""], strings, per_worker)
                .map_err(bad)?;
            let script = rule.script.clone();
            Ok(Rule { label, script })
        });
        let rules = rules.collect::<Result<Vec<_>, ScriptError>>()?;
        let plain = Plan {
            keep: match settings.cookies {
                true => KEEP_HEAD,
                false => Keep::default(),
            },
            ..Plan::default()
        };
        Ok(Self {
            strings: strings.clone(),
            rules,
            per_worker,
            cookies: settings.cookies,
            same_user: settings.same_user,
            last_ok,
            has_loops: AtomicBool::new(false),
            seed: settings.seed,
            active: AtomicBool::new(settings.cookies || !data.is_empty()),
            data,
            values,
            plain: Arc::new(plain),
            prepare: None,
            kind: None,
            state: Mutex::new(State {
                expressions,
                plans: HashMap::new(),
            }),
        })
    }

    /// The compiler for the protocol that sends the records. A script that the protocol
    /// doesn't support is an error.
    pub(crate) fn with<P: Protocol>(mut self, protocol: &P) -> Result<Self, ScriptError> {
        if self.cookies && P::KIND.form != Form::Http {
            let text = format!("only HTTP has cookies, not {}", P::KIND.name);
            return Err(ScriptError::Settings(text));
        }
        self.kind = Some(P::KIND);
        self.prepare = protocol.prepare();
        Ok(self)
    }

    /// Whether the event loop builds the payload.
    pub(crate) fn edits(&self, plan: &Plan, payload: &Payload) -> bool {
        let is_memory = matches!(payload, Payload::Memory(_));
        is_memory && (plan.follow > 0 || plan.whole_url || self.cookies) || plan.fills(payload)
    }

    /// The bytes that the protocol sends for a payload.
    pub(crate) fn sent(&self, payload: Payload, plan: Option<&Plan>) -> Result<Payload, String> {
        let Some(prepare) = &self.prepare else {
            return Ok(payload);
        };
        match plan.and_then(|plan| plan.timeout_ns) {
            Some(timeout_ns) => prepare.prepare_within(payload, Duration::from_nanos(timeout_ns)),
            None => prepare.prepare(payload),
        }
    }

    /// Checks a rule; the error says why it can't be used.
    pub fn check_rule(rule: &RuleSettings, per_worker: bool) -> Result<(), String> {
        let mut expressions = Expressions::default();
        expressions.pattern(&rule.label)?;
        expressions.plan(&rule.script, &["", ""], &Strings::default(), per_worker)?;
        Ok(())
    }

    /// The plan of a record; `None` if it needs none.
    pub(crate) fn plan(&self, record: &Record) -> Result<Option<Arc<Plan>>, String> {
        let script = record.script.clone();
        if script.is_none() && self.rules.is_empty() && !self.active.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if script.is_some() && self.per_worker {
            self.active.store(true, Ordering::Relaxed);
        }
        let [label, address] = [record.label, record.address]
            .map(|id| self.strings.get(id).unwrap_or_else(|| Arc::from("")));
        // The key contains only what changes the plan.
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
                let plan = self.make(
                    &mut state.expressions,
                    script.as_deref(),
                    &[&label, &address],
                )?;
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
        let plan = self.complete(plan);
        if let Some(kind) = self.kind.filter(|kind| kind.form != Form::Http)
            && plan.as_deref().is_some_and(|plan| plan.follow > 0)
        {
            return Err(format!("only HTTP has redirects, not {}", kind.name));
        }
        let edits = |plan: &Plan| {
            let has_values = plan
                .replaces
                .as_ref()
                .is_some_and(|names| !names.is_empty());
            has_values || plan.follow > 0 || self.cookies
        };
        if matches!(record.payload, Payload::File { .. }) && plan.as_deref().is_some_and(edits) {
            return Err(
                "values, cookies and redirects need a payload that is held in memory, \
                 and this one is too long for that"
                    .to_owned(),
            );
        }
        Ok(plan)
    }

    /// In a run with sessions, each record gets a plan.
    pub(crate) fn complete(&self, plan: Option<Arc<Plan>>) -> Option<Arc<Plan>> {
        let active = || self.active.load(Ordering::Relaxed);
        plan.or_else(|| active().then(|| Arc::clone(&self.plain)))
    }

    fn make(
        &self,
        expressions: &mut Expressions,
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
        if !self.per_worker {
            for assert in &mut whole.asserts {
                let ids = expressions.names.in_texts(texts_of_assert(assert))?;
                let fixed = |name: &str| {
                    let (_, id) = ids.iter().find(|(other, _)| **other == *name.as_bytes())?;
                    let (_, value) = self.values.iter().find(|(other, _)| other == id)?;
                    Some(&**value)
                };
                *assert = assert_with(assert, |text| with_fixed(text, fixed));
            }
        }
        let mut plan = expressions.plan(&whole, texts, &self.strings, self.per_worker)?;
        // Fixed values were filled in when the record was read.
        if script.is_none() || !self.per_worker {
            plan.replaces = None;
        }
        if self.cookies {
            plan.keep = plan.keep.or(KEEP_HEAD);
        }
        if plan.step.as_ref().is_some_and(StepPlan::is_loop) {
            self.has_loops.store(true, Ordering::Relaxed);
        }
        Ok(Some(Arc::new(plan)))
    }

    /// Whether the records so far have a step that leads back.
    pub(crate) fn has_loops(&self) -> bool {
        self.has_loops.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
