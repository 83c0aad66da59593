//! Records in the order that a chooser decides. One pass of the input is held in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crossbeam_channel::Sender;
use encarno_input::{AutoLabel, InputError, InputSettings};
use encarno_record::{Payload, Record, StringId, Strings};

use super::held::{BYTES_MAX, RECORDS_MAX};
use super::{
    BATCH_RECORDS, Counts, Deal, Dealer, Feed, InputFailure, Reader, check, lock, no_thread, shared,
};
use crate::scenario::{Choice, Chooser};
use crate::script::{Compiler, Planned};
use crate::settings::Part;

/// So many decisions are asked for at a time.
const DECISIONS: u32 = 64;

impl Reader {
    /// Reads one pass of the input, and starts to hand its records over as the chooser decides.
    pub(crate) fn start_chosen(
        settings: &InputSettings,
        choice: &dyn Choice,
        strings: &Strings,
        scripts: &Arc<Compiler>,
        loops: usize,
        deal: Deal,
        part: &Part,
    ) -> Result<(Self, Vec<Feed>), InputFailure> {
        let counts = Arc::new(Counts::default());
        let records = read(settings, strings, scripts, &counts)?;
        let label = |record: &Planned| strings.get(record.record.label).unwrap_or_default();
        let labels: Vec<_> = records.iter().map(|it| label(it).to_string()).collect();
        let chooser = choice
            .begin(&labels)
            .map_err(|text| unfit(settings, text))?;
        let (senders, feeds) = shared(deal, loops);
        let left = settings.records_max.map_or(u64::MAX, |max| max.get());
        let body = {
            let (counts, part) = (Arc::clone(&counts), part.clone());
            move || choose_on(chooser, &records, left, &senders, &counts, &part)
        };
        let thread = thread::Builder::new().name("input".to_owned()).spawn(body);
        let threads = vec![thread.map_err(|error| no_thread(settings, &error))?];
        Ok((Self { threads, counts }, feeds))
    }
}

fn unfit(settings: &InputSettings, reason: impl Into<String>) -> InputError {
    InputError {
        operation: "choose from",
        file: settings.file.clone(),
        reason: reason.into(),
    }
}

/// One pass of the input. A record without a label is labelled by its number, so that each
/// decision can be seen in the results.
fn read(
    settings: &InputSettings,
    strings: &Strings,
    scripts: &Arc<Compiler>,
    counts: &Counts,
) -> Result<Vec<Planned>, InputFailure> {
    if settings.auto_label == AutoLabel::Unique {
        let reason = "its records are sent again and again, and can't have unique labels";
        return Err(unfit(settings, reason).into());
    }
    let mut input = encarno_input::open(settings, strings)?.prepared_by(scripts);
    let (mut records, mut bytes) = (Vec::new(), 0);
    for item in input.first_pass() {
        let Some(record) = check(item, counts)? else {
            continue;
        };
        if let Payload::Memory(payload) = &record.record.payload {
            bytes += payload.len() as u64;
        }
        if records.len() >= RECORDS_MAX || bytes > BYTES_MAX {
            let mib = BYTES_MAX >> 20;
            let reason = format!("it has more than {RECORDS_MAX} records or {mib} MiB");
            return Err(unfit(settings, reason).into());
        }
        records.push(record);
    }
    lock(&counts.left_out).clone_from(input.left_out());
    counts.records.store(0, Ordering::Relaxed);
    if records.is_empty() {
        return Err(unfit(settings, "there is no usable record in it").into());
    }
    for (number, planned) in records.iter_mut().enumerate() {
        let Record { label, .. } = &mut planned.record;
        if *label == StringId(0) {
            *label = strings.intern(&format!("#{number}"));
        }
        planned.record.first_of_pass = false;
        planned.plan = scripts.complete(planned.plan.take());
    }
    Ok(records)
}

fn choose_on(
    mut chooser: Box<dyn Chooser>,
    records: &[Planned],
    mut left: u64,
    senders: &[Sender<Vec<Planned>>],
    counts: &Counts,
    part: &Part,
) -> Result<(), InputFailure> {
    let mut dealer = Dealer::new(senders, BATCH_RECORDS, counts);
    let failed = |text: String| {
        counts.failed.store(true, Ordering::Relaxed);
        InputFailure::Chooser(text)
    };
    let mut index = 0;
    while left > 0 {
        let count = u64::from(DECISIONS).min(left) as u32;
        let decisions = chooser.next(count).map_err(failed)?;
        if decisions.is_empty() {
            break;
        }
        if decisions.len() > count as usize {
            let made = decisions.len();
            return Err(failed(format!(
                "it chose {made} records, and {count} were asked for"
            )));
        }
        for number in decisions {
            let Some(record) = records.get(number as usize) else {
                let text = format!("it chose record {number}, and there are {}", records.len());
                return Err(failed(text));
            };
            left -= 1;
            index += 1;
            // Each part of a run makes the same decisions, and takes its own of them.
            if !part.has(index - 1) {
                continue;
            }
            counts.records.fetch_add(1, Ordering::Relaxed);
            if !dealer.deal(record.clone()) {
                return Ok(());
            }
        }
    }
    dealer.end();
    Ok(())
}
