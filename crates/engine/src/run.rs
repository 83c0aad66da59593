//! One run: builds input, schedule, workers, nib and output, and waits for the end.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use encarno_input::{InputFormat, Sharing};
use encarno_nib::clock::{self, Clock};
use encarno_nib::poll::Waker;
use encarno_nib::{Nib, Protocol};
use encarno_record::notes::Details;
use encarno_record::template::has_number;
use encarno_record::{Payload, Record, StringId, Strings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::RunError;
use crate::meter::{self, Ending, Meter, Summary, Totals, Window};
use crate::output::{self, Recorder};
use crate::pilot::{self, Gauge, Helm, Pilot};
use crate::schedule::{HitInstants, Randomness};
use crate::script::{Compiler, Planned, ScriptContext};
use crate::settings::{Arrivals, RunSettings, Source, Start, Workload, nanoseconds};
use crate::workers::control::{Limits, Schedules};
use crate::workers::feed::{Crowd, Deal, Numbered, ReadSummary};
use crate::workers::{
    Closed, Control, Counters, EventLoop, Feed, LoopError, Open, Pace, Reader, Share, Steered,
    Traced, has_fields,
};

/// How often the main thread checks the run.
const LOOK: Duration = Duration::from_millis(50);
/// The number of open files that aren't connections.
const FILES_RESERVE: u64 = 64;

/// Makes a run. `stop` is called with the control once the run has started, to connect it
/// with signals. `observe` is called with each second of the run when it is over.
pub fn run<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    mut observe: &mut dyn FnMut(&Window),
    stop: impl FnOnce(Arc<Control>),
) -> Result<Summary, RunError> {
    steer(settings, protocol, &mut observe, stop)
}

/// Makes a run under the control of a pilot. `stop` is called with the control once the
/// run has started, to connect it with signals.
pub fn steer<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    pilot: &mut dyn Pilot,
    stop: impl FnOnce(Arc<Control>),
) -> Result<Summary, RunError> {
    let shares = shares(settings, protocol);
    check(settings, protocol, &shares)?;
    let strings = Strings::default();
    let wakers = wakers(shares.len())?;
    let scripts = scripts(settings, protocol, &strings)?;
    let (reader, feeds) = feeds(settings, &strings, &scripts, &shares)?;
    let clock = start(&settings.part.start)?;
    let (mut meter, sums) = Meter::new(settings, shares.len(), &strings, clock);
    let (samples, sampled) = match &settings.workload {
        Workload::Steered(_) => {
            let (samples, sampled) = unbounded();
            (Some(samples), Some(sampled))
        }
        _ => (None, None),
    };
    let mut gauge = Gauge::new(sampled, shares.len());
    let (recorders, writer) = output::open(
        &settings.output,
        shares.len(),
        &strings,
        clock.started_unix_ns(),
        &settings.expected,
        sums,
        samples,
    )?;
    let counters: Vec<Arc<Counters>> = shares.iter().map(|_| Arc::default()).collect();
    let control = Arc::new(control(&settings.workload, &wakers, clock));
    stop(Arc::clone(&control));
    let (sender, endings) = unbounded();
    for (index, (share, (feed, recorder))) in shares
        .iter()
        .zip(feeds.into_iter().zip(recorders))
        .enumerate()
    {
        let seat = Seat {
            index,
            share: *share,
            feed,
            recorder,
            counters: &counters,
            control: &control,
            waker: &wakers[index],
            scripts: &scripts,
        };
        let event_loop = event_loop(settings, protocol, &strings, clock, seat);
        let sender = sender.clone();
        let spawned = match &settings.workload {
            Workload::Open(open) => spawn(event_loop, Open::new(open, *share), sender),
            Workload::Closed(closed) => spawn(event_loop, Closed::new(closed, *share), sender),
            Workload::Steered(steered) => spawn(event_loop, Steered::new(steered, *share), sender),
        };
        spawned.inspect_err(|_| control.drain())?;
    }
    drop(sender);
    let mark_pauses = || {
        for turn in control.take_pause_turns() {
            writer.mark(turn.at_ns, format!("{{\"paused\":{}}}", turn.paused));
        }
    };
    let look = || {
        mark_pauses();
        meter.follow(control.schedule());
        meter.look(&mut |window| pilot.window(window));
        gauge.take();
        pilot.look(&mut Helm {
            control: &control,
            gauge: &mut gauge,
            writer: &writer,
        });
    };
    let every = match &settings.workload {
        Workload::Steered(_) => pilot::LOOK,
        _ => LOOK,
    };
    let result = wait(&endings, &control, (every, look), &writer, reader.as_ref());
    let elapsed_ns = clock.now_ns();
    mark_pauses();
    let totals = Totals::of(&counters);
    let span_ns = span_ns(settings, &control, totals.scheduled, elapsed_ns);
    // The file contains the verdict, so judge the run before the file ends.
    let metered = meter.end(elapsed_ns, &mut |window| pilot.window(window));
    let (judge, total, stop) = (
        metered.judge.clone(),
        metered.statistics.total(),
        control.stop(),
    );
    let read = reader.map_or(Ok(ReadSummary::default()), Reader::finish);
    let addresses = addresses(&counters, protocol.address(), &strings);
    let paused_ns = control.paused_ns(elapsed_ns);
    let details = Details {
        addresses: addresses.clone(),
        elapsed_ns,
        paused_ns,
        ..read.as_ref().map(ReadSummary::details).unwrap_or_default()
    };
    // The error of an output says more than the loops' report that one failed.
    let written = writer.finish_with(span_ns, move |written| {
        let details = Details {
            queue_full: written.queue_full_count,
            ..details
        };
        let verdict = judge.verdict(&total, &totals, written, stop);
        meter::notes(&totals, &verdict, details)
    })?;
    result?;
    let read = read?;
    let ending = Ending {
        origin_ns: clock.origin_ns(),
        started_unix_ns: clock.started_unix_ns(),
        elapsed_ns,
        span_ns,
        expected: settings.expected,
        written,
        read,
        addresses,
        stop,
        paused_ns,
    };
    Ok(Summary::new(totals, metered, ending))
}

/// The duration to divide by. Ten hits at ten a second take a second, although the last
/// one starts after 0.9 s: an open run lasts until its next hit would have been due.
fn span_ns(settings: &RunSettings, control: &Control, scheduled: u64, elapsed_ns: u64) -> u64 {
    let settled = control.settled();
    let (Workload::Open(open), Some(schedule)) = (&settings.workload, settled.rate) else {
        return elapsed_ns;
    };
    let end_ns = open.end_ns().saturating_add(settled.delay_ns);
    let end_ns = end_ns.min(schedule.duration_ns());
    let part = &settings.part;
    let next = scheduled.saturating_mul(part.count as u64) + part.number as u64;
    let next_ns = HitInstants::new(&schedule, Randomness::None, next, 1).next();
    elapsed_ns.max(next_ns.unwrap_or(end_ns).min(end_ns))
}

/// The addresses that hits went to, those with most hits first.
fn addresses(
    counters: &[Arc<Counters>],
    default: Option<&str>,
    strings: &Strings,
) -> Vec<(String, u64)> {
    let mut hits = HashMap::new();
    counters
        .iter()
        .for_each(|counters| counters.add_addresses_to(&mut hits));
    let text = |id: StringId| match id.0 {
        0 => default.unwrap_or_default().to_owned(),
        _ => strings
            .get(id)
            .map(|text| text.to_string())
            .unwrap_or_default(),
    };
    let mut addresses: Vec<_> = hits
        .into_iter()
        .map(|(id, hits)| (text(id), hits))
        .collect();
    addresses.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.cmp(b)));
    addresses
}

/// Reads the whole input as a run would, without sending anything, and returns the number
/// of records.
pub fn read_through<P: Protocol>(settings: &RunSettings, protocol: &P) -> Result<u64, RunError> {
    let strings = Strings::default();
    let scripts = scripts(settings, protocol, &strings)?;
    match &settings.source {
        Source::Request { .. } | Source::Users { .. } => Ok(1),
        Source::File(input) | Source::Chosen { input, .. } => {
            Ok(Reader::read_through(input, &strings, &scripts)?)
        }
    }
}

/// The parts of one event loop.
struct Seat<'a> {
    /// Its number among the loops of this process.
    index: usize,
    share: Share,
    feed: Feed,
    recorder: Recorder,
    counters: &'a [Arc<Counters>],
    control: &'a Arc<Control>,
    waker: &'a Arc<Waker>,
    scripts: &'a Arc<Compiler>,
}

type LoopEnd = Result<(), LoopError>;

fn event_loop<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    strings: &Strings,
    clock: Clock,
    seat: Seat<'_>,
) -> EventLoop<P::Nib> {
    let nib = protocol.nib(&encarno_nib::Seat {
        number: seat.index,
        strings,
        waker: seat.waker,
        clock,
        expected: &settings.expected,
    });
    let traced = Traced::new(
        settings.script.traced_share,
        nobodys_seed(seat.index),
        P::KIND.form,
        protocol.prepare(),
    );
    let workers_start = match &settings.workload {
        Workload::Open(open) => seat.share.workers(open.workers_start.min(open.workers_max)),
        Workload::Closed(_) | Workload::Steered(_) => 0,
    };
    EventLoop {
        nib,
        feed: seat.feed,
        recorder: seat.recorder,
        counters: Arc::clone(&seat.counters[seat.index]),
        all_counters: seat.counters.to_vec(),
        control: Arc::clone(seat.control),
        clock,
        waker: Arc::clone(seat.waker),
        strings: strings.clone(),
        expected: settings.expected,
        timeout_ns: nanoseconds(protocol.timeout()),
        grace_ns: nanoseconds(settings.grace),
        share: seat.share,
        workers_start,
        keep_answer_bytes_max: protocol.keep_answer_bytes_max(),
        traced: traced.map(Box::new),
        script_context: is_scripted(settings).then(|| {
            Box::new(ScriptContext::new(
                Arc::clone(seat.scripts),
                protocol.address(),
                seat.share.number,
                strings,
                &settings.expected,
            ))
        }),
    }
}

/// A seed that no other run has, nor another loop of this one.
fn nobodys_seed(number: usize) -> [u8; 32] {
    let mut seed = [0; 32];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    if random.is_err() {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ns = now_ns.map_or(0, |now| now.as_nanos());
        seed[..16].copy_from_slice(&now_ns.to_le_bytes());
        seed[16..20].copy_from_slice(&std::process::id().to_le_bytes());
        seed[20..28].copy_from_slice(&(number as u64).to_le_bytes());
    }
    seed
}

/// Whether hits may have plans.
fn is_scripted(settings: &RunSettings) -> bool {
    match &settings.source {
        Source::File(_) | Source::Chosen { .. } => true,
        Source::Request { .. } => !settings.script.rules.is_empty(),
        // A user does all of that itself.
        Source::Users { .. } => false,
    }
}

fn control(workload: &Workload, wakers: &[Arc<Waker>], clock: Clock) -> Control {
    let (schedules, limits) = match workload {
        Workload::Open(open) => (
            Schedules {
                rate: open.schedule().cloned().map(Arc::new),
                ..Schedules::default()
            },
            Limits {
                end_ns: open.end_ns(),
                ends_with_schedule: true,
                workers_max: None,
            },
        ),
        Workload::Closed(closed) => (
            Schedules {
                workers: Some(Arc::new(closed.workers.clone())),
                ..Schedules::default()
            },
            Limits {
                end_ns: closed.end_ns().unwrap_or(u64::MAX),
                ends_with_schedule: closed.end_ns().is_none(),
                workers_max: Some(closed.workers_max()),
            },
        ),
        Workload::Steered(steered) => (
            Control::at_rest(),
            Limits {
                end_ns: u64::MAX,
                ends_with_schedule: false,
                workers_max: Some(steered.workers_max),
            },
        ),
    };
    Control::new(wakers.to_vec(), clock, schedules, limits)
}

fn spawn<N, P>(event_loop: EventLoop<N>, pace: P, sender: Sender<LoopEnd>) -> Result<(), RunError>
where
    N: Nib + Send + 'static,
    P: Pace + Send + 'static,
{
    let name = format!("loop-{}", event_loop.share.number);
    let body = move || {
        // A panic means a broken invariant, and has printed its message. The loop's state
        // is dropped with it.
        let ended = catch_unwind(AssertUnwindSafe(|| event_loop.run(pace)));
        // The main thread receives until all loops have ended.
        let _taken = sender.send(ended.unwrap_or(Err(LoopError::Panicked)));
    };
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map(drop)
        .map_err(RunError::system("start an event loop"))
}

/// Waits for the ends of loops. If one fails, the others stop at once.
fn wait(
    endings: &Receiver<LoopEnd>,
    control: &Control,
    (every, mut look): (Duration, impl FnMut()),
    writer: &output::WriterThread,
    reader: Option<&Reader>,
) -> Result<(), RunError> {
    let mut result = Ok(());
    loop {
        match endings.recv_timeout(every) {
            Ok(ended) => {
                if ended.is_err() {
                    control.drain();
                }
                result = result.and(ended);
            }
            Err(RecvTimeoutError::Timeout) => {
                look();
                if writer.failed() || reader.is_some_and(Reader::failed) {
                    control.drain();
                }
            }
            // All loops have ended.
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(result?)
}

/// The share of each event loop.
fn shares<P: Protocol>(settings: &RunSettings, protocol: &P) -> Vec<Share> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let group = protocol.streams().max(1) as usize;
    // There are no more loops than links, because a loop without a link would have
    // nothing to do.
    let count = settings
        .threads
        .map_or(cores, NonZeroUsize::get)
        .min(
            settings
                .part
                .of(settings.workload.workers_max().div_ceil(group)),
        )
        .max(1);
    let part = &settings.part;
    // Loop k of this part is loop k · parts + part of all. So the loops of this part
    // together take the hits part, part + parts, …, whatever the number of loops in other
    // parts.
    let share = |index| Share {
        number: index * part.count + part.number,
        count: count * part.count,
        group,
    };
    (0..count).map(share).collect()
}

/// Waits for the start of the run, and returns its clock.
fn start(start: &Start) -> Result<Clock, RunError> {
    let at = match start {
        Start::Now => return Ok(Clock::start()),
        Start::At(at) => *at,
        Start::Told { ready, start } => {
            // If the receiver is gone, the start won't come either.
            let _heard = ready.send(());
            start.recv().map_err(|_| {
                RunError::Settings(
                    "the standard input ended before the instant of the start".to_owned(),
                )
            })?
        }
    };
    let left_ns = at.monotonic_ns.saturating_sub(clock::monotonic_ns());
    thread::sleep(Duration::from_nanos(left_ns));
    Ok(Clock::started_at(at.monotonic_ns, at.unix_ns))
}

/// Checks everything that can fail before the run starts anything.
fn check<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    shares: &[Share],
) -> Result<(), RunError> {
    let workers = settings.workload.workers_max();
    if workers == 0 {
        return Err(RunError::Settings(
            "no workers: the number of connections is 0".to_owned(),
        ));
    }
    if settings.script.traced_share > 0.0 && !has_fields(P::KIND.form) {
        return Err(RunError::Settings(format!(
            "{} has no headers: only hits over HTTP and gRPC begin traces (--traceparent)",
            P::KIND.name
        )));
    }
    let part = &settings.part;
    if part.of(workers.div_ceil(protocol.streams().max(1) as usize)) == 0 {
        return Err(RunError::Settings(format!(
            "part {} of {} has nothing to do: there are fewer connections than parts",
            part.number + 1,
            part.count
        )));
    }
    if let Workload::Open(open) = &settings.workload {
        if matches!(open.arrivals, Arrivals::Recorded)
            && matches!(&settings.source, Source::File(input) if input.sharing == Sharing::PerWorker)
        {
            let text = "instants of the records and an input per worker don't go together: each \
                        worker would use the same instants";
            return Err(RunError::Settings(text.to_owned()));
        }
        if matches!(open.arrivals, Arrivals::Recorded) && settings.source.input().is_none() {
            let text = "a schedule is missing: only stpd files carry their own times";
            return Err(RunError::Settings(text.to_owned()));
        }
    }
    if matches!(settings.source, Source::Users { .. })
        && !matches!(settings.workload, Workload::Closed(_))
    {
        let text = "users decide by themselves when they send, so that there can't be a rate: say \
                    how many users there are";
        return Err(RunError::Settings(text.to_owned()));
    }
    if let (Workload::Closed(_), Source::File(input)) = (&settings.workload, &settings.source)
        && input.file.is_file()
        && matches!(encarno_input::format_of(input), Ok(InputFormat::Stpd))
    {
        tracing::warn!(
            "the instants in {} aren't used: in a closed workload a hit starts when a worker is free",
            input.file.display()
        );
    }
    let workers: usize = shares.iter().map(|share| share.workers(workers)).sum();
    let needed = protocol.descriptors(workers as u64) + shares.len() as u64 * 4 + FILES_RESERVE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        if limit.maximum.is_some_and(|maximum| maximum < needed) {
            let maximum = limit.maximum.unwrap_or(0);
            let text = format!(
                "{workers} connections need {needed} file descriptors, but only {maximum} are allowed: \
                 raise the limit (ulimit -Hn) or lower the number of connections"
            );
            return Err(RunError::Settings(text));
        }
        let raised = Rlimit {
            current: Some(needed.max(limit.current.unwrap_or(0))),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised)
            .map_err(|errno| RunError::system("raise the limit of open files")(errno.into()))?;
    }
    Ok(())
}

fn wakers(threads: usize) -> Result<Vec<Arc<Waker>>, RunError> {
    let create = |_| Waker::new().map(Arc::new);
    let wakers: Result<Vec<_>, _> = (0..threads).map(create).collect();
    wakers.map_err(|errno| RunError::system("create an eventfd")(errno.into()))
}

fn scripts<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    strings: &Strings,
) -> Result<Arc<Compiler>, RunError> {
    let none = BTreeMap::new();
    let (values, per_worker) = match &settings.source {
        Source::File(input) => (&input.values, input.in_order()),
        // What is chosen is in no order.
        Source::Chosen { input, .. } => (&input.values, false),
        Source::Request { .. } | Source::Users { .. } => (&none, false),
    };
    let compiler = Compiler::new(&settings.script, values, per_worker, strings)?;
    compiler.take_part(settings.part.number, settings.part.count);
    Ok(Arc::new(compiler.with(protocol)?))
}

/// How the records of an input are distributed.
fn deal(workload: &Workload) -> Deal {
    match workload {
        Workload::Open(_) => Deal::InTurn,
        Workload::Closed(_) | Workload::Steered(_) => Deal::ByNeed,
    }
}

fn feeds(
    settings: &RunSettings,
    strings: &Strings,
    scripts: &Arc<Compiler>,
    shares: &[Share],
) -> Result<(Option<Reader>, Vec<Feed>), RunError> {
    match &settings.source {
        Source::Request {
            payload,
            label,
            hits_max,
        } => {
            // Rules apply to the request as to the records of a file.
            let own = Payload::Memory(payload.clone());
            let record = Record {
                label: strings.intern(label),
                ..Record::new(own.clone())
            };
            let plan = scripts.plan(&record).map_err(RunError::Settings)?;
            let left =
                |share: &Share| hits_max.map_or(u64::MAX, |max| share.part(max as usize) as u64);
            if has_number(payload) {
                let feed = |share: &Share| {
                    let record = Planned {
                        record: record.clone(),
                        plan: plan.clone(),
                    };
                    Numbered::new(record, payload.clone(), *share, left(share), scripts)
                        .map(|numbered| Feed::Numbered(Box::new(numbered)))
                        .map_err(RunError::Settings)
                };
                return Ok((None, shares.iter().map(feed).collect::<Result<_, _>>()?));
            }
            let sent = match plan
                .as_deref()
                .is_some_and(|plan| scripts.edits(plan, &own))
            {
                true => Ok(own),
                false => scripts.sent(own, plan.as_deref()),
            };
            let Payload::Memory(payload) = sent.map_err(RunError::Settings)? else {
                return Err(RunError::Settings(
                    "the request isn't held in memory".to_owned(),
                ));
            };
            // Copy the payload for each loop, so that loops don't share its reference
            // counter.
            let copy = || Payload::Memory(bytes::Bytes::copy_from_slice(&payload));
            let whole = || Record {
                label: strings.intern(label),
                ..Record::new(copy())
            };
            let record = || Planned {
                record: whole(),
                plan: plan.clone(),
            };
            let feed = |share: &Share| Feed::Repeat {
                record: record(),
                left: left(share),
            };
            Ok((None, shares.iter().map(feed).collect()))
        }
        Source::Chosen { input, choice } => {
            let (reader, feeds) = Reader::start_chosen(
                input,
                &**choice,
                strings,
                scripts,
                shares.len(),
                deal(&settings.workload),
                &settings.part,
            )?;
            Ok((Some(reader), feeds))
        }
        Source::Users {
            behaviour,
            hits_max,
        } => {
            let feed = |share: &Share| {
                let workers = share.workers(settings.workload.workers_max());
                let left = hits_max.map_or(u64::MAX, |max| share.part(max as usize) as u64);
                Crowd::new(&**behaviour, share.number, workers, left, strings, scripts)
                    .map(Feed::Users)
                    .map_err(RunError::Settings)
            };
            Ok((None, shares.iter().map(feed).collect::<Result<_, _>>()?))
        }
        Source::File(input) => {
            let deal = deal(&settings.workload);
            let workers: Vec<usize> = shares
                .iter()
                .map(|share| share.workers(settings.workload.workers_max()))
                .collect();
            let (reader, feeds) =
                Reader::start(input, strings, scripts, &workers, deal, &settings.part)?;
            Ok((Some(reader), feeds))
        }
    }
}
