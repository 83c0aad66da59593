//! Compiled steps. Steps give a list of records branches and loops.

use encarno_record::script::{Step, StepEnd};
use encarno_record::template::{Replaces, filled};
use encarno_record::{VariableId, Variables};

use super::condition::Condition;
use super::lists::Lists;
use super::names::Names;

/// What a worker does at a step.
#[derive(Debug)]
pub(super) struct StepPlan {
    set: Vec<(VariableId, String)>,
    gate: Gate,
    skip: u32,
    then: Then,
    /// The index of its count.
    counter: usize,
}

/// The condition under which a worker passes.
#[derive(Debug)]
enum Gate {
    Open,
    Shut,
    /// Passes only in a worker's first pass.
    Once,
    If(Condition),
    Times(String),
    Each(Each),
}

#[derive(Debug)]
struct Each {
    name: VariableId,
    of: VariableId,
    items: Vec<VariableId>,
}

/// Where a worker that passes continues.
#[derive(Clone, Copy, Debug)]
enum Then {
    Next,
    Back(u32),
    End(StepEnd),
}

/// Where a worker continues after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// After skipping this many records.
    Ahead(u32),
    /// This many records before the step.
    Back(u32),
    /// At the next pass.
    NextPass,
    /// Nowhere: the worker ends.
    Nowhere,
}

/// How often a worker was at each of its steps.
#[derive(Debug, Default)]
pub(super) struct Counters(Vec<u32>);

impl StepPlan {
    /// Compiles a step. `counter` is the index of its count.
    pub(super) fn compile(step: &Step, names: &mut Names, counter: usize) -> Result<Self, String> {
        let mut set = Vec::with_capacity(step.set.len());
        for (name, value) in &step.set {
            set.push((names.id_of(name)?, value.clone()));
        }
        let mut gates = Vec::new();
        if step.once {
            gates.push(Gate::Once);
        }
        if let Some(condition) = &step.condition {
            gates.push(Gate::If(Condition::parse(condition)?));
        }
        if let Some(times) = &step.times {
            gates.push(Gate::Times(times.clone()));
        }
        if let Some(each) = &step.each {
            let items = each.items.iter().map(|name| names.id_of(name));
            gates.push(Gate::Each(Each {
                items: items.collect::<Result<_, _>>()?,
                name: names.id_of(&each.name)?,
                of: names.id_of(&each.of)?,
            }));
        }
        if gates.len() > 1 {
            return Err("a step has one of once, if, times and each".to_owned());
        }
        let leads_on = step.back > 0 || step.end.is_some();
        Ok(Self {
            set,
            gate: match gates.pop() {
                Some(gate) => gate,
                None if step.skip > 0 && !leads_on => Gate::Shut,
                None => Gate::Open,
            },
            skip: step.skip,
            then: match (step.back, step.end) {
                (0, None) => Then::Next,
                (back, None) => Then::Back(back),
                (_, Some(end)) => Then::End(end),
            },
            counter,
        })
    }

    /// Whether the step leads back.
    pub(super) fn is_loop(&self) -> bool {
        matches!(self.then, Then::Back(_))
    }

    /// Takes the step.
    pub(super) fn take(
        &self,
        is_first_pass: bool,
        counters: &mut Counters,
        replaces: &Replaces,
        variables: &mut Variables,
        lists: &Lists,
    ) -> Move {
        for (slot, value) in &self.set {
            let value = filled(value, replaces, variables);
            variables.set(*slot, &value);
        }
        let count = counters.of(self.counter);
        let passes = match &self.gate {
            Gate::Open => true,
            Gate::Shut => false,
            Gate::Once => is_first_pass,
            Gate::If(condition) => condition.holds(&mut |text| filled(text, replaces, variables)),
            Gate::Times(times) => {
                let times = filled(times, replaces, variables);
                let times = std::str::from_utf8(&times).ok();
                let times = times
                    .and_then(|times| times.trim().parse().ok())
                    .unwrap_or(0);
                counted(count, |so_far| so_far < times)
            }
            Gate::Each(each) => {
                let mut found = None;
                let passes = counted(count, |so_far| {
                    found = each.item(so_far as usize, variables, lists);
                    found.is_some()
                });
                if let Some(item) = found {
                    variables.set(each.name, &item);
                }
                passes
            }
        };
        match (passes, self.then) {
            (false, _) => Move::Ahead(self.skip),
            (true, Then::Next) => Move::Ahead(0),
            (true, Then::Back(back)) => Move::Back(back),
            (true, Then::End(StepEnd::Pass)) => Move::NextPass,
            (true, Then::End(StepEnd::Worker)) => Move::Nowhere,
        }
    }
}

impl Each {
    fn item(&self, number: usize, variables: &Variables, lists: &Lists) -> Option<Vec<u8>> {
        match lists.get(self.of) {
            Some(list) => list.get(number).cloned(),
            None => {
                let slot = *self.items.get(number)?;
                variables.is_set(slot).then(|| variables.get(slot).to_vec())
            }
        }
    }
}

/// Counts while the condition holds, and then starts again.
fn counted(count: &mut u32, goes_on: impl FnOnce(u32) -> bool) -> bool {
    let passes = goes_on(*count);
    *count = if passes { *count + 1 } else { 0 };
    passes
}

impl Counters {
    /// Resets all loops.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, index: usize) -> &mut u32 {
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        &mut self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use encarno_record::script::{Each, Step, StepEnd};

    use super::{Counters, Lists, Move, Names, StepPlan, VariableId, Variables};

    /// Records for a test: steps, and letters that stand for requests.
    struct Walk {
        records: Vec<Result<StepPlan, char>>,
        names: Names,
        variables: Variables,
        lists: Lists,
        counters: Counters,
    }

    impl Walk {
        fn new(records: Vec<Result<Step, char>>) -> Self {
            let mut names = Names::default();
            let numbered = records.into_iter().enumerate();
            let compile = |(number, record): (usize, Result<Step, char>)| {
                record.map(|step| {
                    StepPlan::compile(&step, &mut names, number)
                        .unwrap_or_else(|error| panic!("{error}"))
                })
            };
            Self {
                records: numbered.map(compile).collect(),
                names,
                variables: Variables::default(),
                lists: Lists::default(),
                counters: Counters::default(),
            }
        }

        fn slot(&mut self, name: &str) -> VariableId {
            self.names
                .id_of(name)
                .unwrap_or_else(|error| panic!("{error}"))
        }

        fn set(&mut self, name: &str, value: &str) {
            let slot = self.slot(name);
            self.variables.set(slot, value.as_bytes());
        }

        /// The requests of a pass.
        fn pass(&mut self, is_first: bool) -> String {
            let mut replaces: Vec<(Box<[u8]>, VariableId)> = Vec::new();
            for name in ["n", "x", "list"] {
                let slot = self.slot(name);
                replaces.push((name.as_bytes().into(), slot));
            }
            let x = self.slot("x");
            let mut sent = String::new();
            let mut at = 0;
            for _ in 0..1000 {
                match self.records.get(at) {
                    None => break,
                    Some(Err(letter)) => {
                        sent.push(*letter);
                        if *letter == 'x' {
                            sent.push_str(&String::from_utf8_lossy(self.variables.get(x)));
                        }
                        at += 1;
                    }
                    Some(Ok(step)) => {
                        let goes = step.take(
                            is_first,
                            &mut self.counters,
                            &replaces,
                            &mut self.variables,
                            &self.lists,
                        );
                        match goes {
                            Move::Ahead(records) => at += 1 + records as usize,
                            Move::Back(records) => at -= records as usize,
                            Move::NextPass => return sent + ">",
                            Move::Nowhere => return sent + ".",
                        }
                    }
                }
            }
            sent
        }
    }

    fn step(step: Step) -> Result<Step, char> {
        Ok(step)
    }

    fn times(times: &str, skip: u32) -> Result<Step, char> {
        let times = Some(times.to_owned());
        step(Step {
            times,
            skip,
            ..Step::default()
        })
    }

    fn back(back: u32) -> Result<Step, char> {
        step(Step {
            back,
            ..Step::default()
        })
    }

    #[test]
    fn loops_in_loops_start_anew() {
        let records = vec![
            times("2", 5),
            Err('a'),
            times("${n}", 2),
            Err('b'),
            back(2),
            back(5),
            Err('c'),
        ];
        let mut walk = Walk::new(records);
        walk.set("n", "3");
        assert_eq!(walk.pass(true), "abbbabbbc");
        assert_eq!(walk.pass(false), "abbbabbbc");
        walk.set("n", "no number");
        assert_eq!(walk.pass(false), "aac");
    }

    #[test]
    fn branches_and_the_first_pass() {
        let condition = Some("${n} > 1".to_owned());
        let records = vec![
            step(Step {
                once: true,
                skip: 1,
                ..Step::default()
            }),
            Err('o'),
            step(Step {
                condition,
                skip: 2,
                ..Step::default()
            }),
            Err('t'),
            step(Step {
                skip: 1,
                ..Step::default()
            }),
            Err('e'),
            step(Step {
                set: BTreeMap::from([
                    ("n".to_owned(), "1".to_owned()),
                    ("x".to_owned(), "${n}".to_owned()),
                ]),
                ..Step::default()
            }),
            Err('x'),
        ];
        let mut walk = Walk::new(records);
        walk.set("n", "2");
        assert_eq!(walk.pass(true), "otx1");
        assert_eq!(walk.pass(false), "ex1");
    }

    #[test]
    fn each_value_of_a_list_or_of_numbered_variables() {
        let each = Each {
            name: "x".to_owned(),
            of: "list".to_owned(),
            items: vec!["list_1".to_owned(), "list_2".to_owned()],
        };
        let records = vec![
            step(Step {
                each: Some(each),
                skip: 2,
                ..Step::default()
            }),
            Err('x'),
            back(2),
        ];
        let mut walk = Walk::new(records);
        assert_eq!(walk.pass(true), "");
        walk.set("list_1", "A");
        assert_eq!(walk.pass(true), "xA");
        let numbered = super::super::lists::Numbered {
            count: walk.slot("list_matchNr"),
            items: vec![walk.slot("list_1")],
        };
        let list = walk.slot("list");
        let values = ["1", "2", "3"].into_iter();
        assert!(walk.lists.set(list, values, &numbered, &mut walk.variables));
        assert_eq!(walk.pass(true), "x1x2x3");
        assert_eq!(walk.pass(true), "x1x2x3");
        let count = numbered.count;
        assert_eq!(walk.variables.get(count), b"3");
        // A list that is too long is cut, and this is reported.
        let endless = std::iter::repeat_n("v", 20_000);
        assert!(
            !walk
                .lists
                .set(list, endless, &numbered, &mut walk.variables)
        );
        assert_eq!(walk.variables.get(count), b"10000");
        assert!(walk.lists.set(
            list,
            std::iter::empty::<&str>(),
            &numbered,
            &mut walk.variables
        ));
        assert_eq!(walk.pass(true), "");
        assert!(
            !walk
                .variables
                .is_set(walk.names.id_of("list_1").unwrap_or(VariableId(0)))
        );
    }

    #[test]
    fn ends() {
        for (end, shown) in [(StepEnd::Pass, "a>"), (StepEnd::Worker, "a.")] {
            let step = Step {
                end: Some(end),
                ..Step::default()
            };
            assert_eq!(
                Walk::new(vec![Err('a'), Ok(step), Err('b')]).pass(true),
                shown
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let two = Step {
            once: true,
            times: Some("1".to_owned()),
            ..Step::default()
        };
        let error = StepPlan::compile(&two, &mut Names::default(), 0).expect_err("both");
        assert!(error.contains("one of once, if, times and each"), "{error}");
    }
}
