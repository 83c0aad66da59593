//! Merges the notes of files.

use std::collections::BTreeMap;

use super::Source;
use crate::notes::{Account, Check, Details, Judgement, Notes, Transport, Verdict};
use crate::results::SCHEMA_VERSION;

/// The notes of all files together, and remarks for readers.
pub(super) fn merge(sources: &[Source<'_>]) -> (Notes, Vec<String>) {
    let mut remarks = Vec::new();
    let all = || sources.iter().map(|source| source.reader.notes());
    let programs = distinct(all().map(|notes| notes.program.as_deref()));
    if programs.len() > 1 {
        let each = sources.iter().map(|source| {
            let program = source.reader.notes().program.as_deref();
            format!(
                "{} by {}",
                source.part.name,
                program.unwrap_or("an unknown one")
            )
        });
        let each: Vec<_> = each.collect();
        remarks.push(format!("different programs made them: {}", each.join(", ")));
    }
    for source in sources {
        let (name, version) = (&source.part.name, source.reader.schema_version());
        if version != SCHEMA_VERSION {
            remarks.push(format!(
                "{name} has schema version {version}, and the new file {SCHEMA_VERSION}"
            ));
        }
        let summary = source.reader.summary();
        if !summary.is_whole() {
            remarks.push(format!("{name}: {summary}"));
        }
        if !source.reader.notes().thresholds.is_empty() {
            remarks.push(format!(
                "{name} has thresholds that were judged by its own figures: they are left out"
            ));
        }
    }
    let open = distinct(all().map(|notes| notes.open));
    let mut clocks: Vec<_> = all().flat_map(|notes| notes.clocks.clone()).collect();
    clocks.sort_by(|a, b| a.agent.cmp(&b.agent));
    let notes = Notes {
        program: (!programs.is_empty()).then(|| programs.join(", ")),
        open: open.first().copied().filter(|_| open.len() == 1),
        environment: values(all().map(|notes| &notes.environment)),
        settings: values(all().map(|notes| &notes.settings)),
        totals: totals(all()),
        transport: transport(all()),
        details: details(all()),
        verdict: verdict(sources),
        thresholds: Vec::new(),
        checks: checks(all()),
        clocks,
    };
    (notes, remarks)
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = Option<T>>) -> Vec<T> {
    let mut known = Vec::new();
    for value in values.flatten() {
        if !known.contains(&value) {
            known.push(value);
        }
    }
    known
}

/// Each name with all its values.
fn values<'a>(lists: impl Iterator<Item = &'a Vec<(String, String)>>) -> Vec<(String, String)> {
    let mut known: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, value) in lists.flatten() {
        match known.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) if values.contains(&&**value) => {}
            Some((_, values)) => values.push(value),
            None => known.push((name.clone(), vec![value])),
        }
    }
    let joined = |(name, values): (String, Vec<&str>)| (name, values.join("; "));
    known.into_iter().map(joined).collect()
}

/// The sum of all accounts, if all files have one.
fn totals<'a>(notes: impl Iterator<Item = &'a Notes>) -> Option<Account> {
    let mut sum = Account::default();
    for notes in notes {
        let totals = notes.totals?;
        sum.add(&totals);
    }
    Some(sum)
}

/// The sum of what is known.
fn transport<'a>(notes: impl Iterator<Item = &'a Notes>) -> Option<Transport> {
    let mut sum = Transport::default();
    notes
        .filter_map(|notes| notes.transport)
        .for_each(|transport| sum.add(&transport));
    sum.known()
}

/// The sum of all that there are.
fn details<'a>(notes: impl Iterator<Item = &'a Notes>) -> Option<Details> {
    notes
        .filter_map(|notes| notes.details.clone())
        .reduce(|mut sum, details| {
            sum.add(&details);
            sum
        })
}

/// Limited if one file is limited, with its name; unknown if one file has no verdict.
fn verdict(sources: &[Source<'_>]) -> Option<Verdict> {
    let verdicts = || {
        let of = |source: &Source<'_>| source.reader.notes().verdict.clone();
        sources
            .iter()
            .map(move |source| (&source.part.name, of(source)))
    };
    if verdicts().all(|(_, verdict)| verdict.is_none()) {
        return None;
    }
    let has = |judgement| verdicts().any(|(_, v)| v.unwrap_or_default().judgement == judgement);
    let judgement = if has(Judgement::Limited) {
        Judgement::Limited
    } else if has(Judgement::Unknown) {
        Judgement::Unknown
    } else {
        Judgement::Sound
    };
    let mut reasons = Vec::new();
    for (name, verdict) in verdicts() {
        let Some(verdict) = verdict else {
            reasons.push(format!("{name} has no verdict"));
            continue;
        };
        reasons.extend(
            verdict
                .reasons
                .iter()
                .map(|reason| format!("{name}: {reason}")),
        );
    }
    Some(Verdict { judgement, reasons })
}

fn checks<'a>(notes: impl Iterator<Item = &'a Notes>) -> Vec<Check> {
    let mut sums: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for check in notes.flat_map(|notes| &notes.checks) {
        let name = (check.group.clone(), check.name.clone());
        let (passes, fails) = sums.entry(name).or_default();
        *passes = passes.saturating_add(check.passes);
        *fails = fails.saturating_add(check.fails);
    }
    let check = |((group, name), (passes, fails))| Check {
        group,
        name,
        passes,
        fails,
    };
    sums.into_iter().map(check).collect()
}
