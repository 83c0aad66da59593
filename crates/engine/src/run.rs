//! One run: input → schedule → workers → nib → output, built and waited for.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use encarno_input::Sharing;
use encarno_nib::clock::Clock;
use encarno_nib::poll::Waker;
use encarno_nib::{Nib, Protocol};
use encarno_record::{Payload, Record, Strings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::RunError;
use crate::output::{self, Recorder};
use crate::progress::{Ending, Progress, Summary, Watch};
use crate::schedule::{HitInstants, Randomness};
use crate::script::{Compiler, Desk, Planned};
use crate::settings::{Arrivals, RunSettings, Source, Workload};
use crate::workers::feed::Deal;
use crate::workers::pace::{ClosedPace, OpenPace, Pace, share_of};
use crate::workers::{Control, Counters, EventLoop, Feed, LoopError, Reader};

/// How often the main thread looks around.
const LOOK: Duration = Duration::from_millis(50);
/// Open files that aren't connections.
const FILES_RESERVE: u64 = 64;

/// Runs to the end. `stop` is called with the control once the run is on, to
/// connect it with signals.
pub fn run<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    progress: Progress,
    stop: impl FnOnce(Arc<Control>),
) -> Result<Summary, RunError> {
    let threads = threads(settings);
    check(settings, protocol, threads)?;
    let strings = Strings::default();
    let wakers = wakers(threads)?;
    let scripts = scripts(settings, &strings)?;
    let (reader, feeds) = feeds(settings, &strings, &scripts, threads)?;
    let clock = Clock::start();
    let (recorders, writer) =
        output::open(&settings.output, threads, &strings, clock.started_unix_ns())?;
    let counters: Vec<Arc<Counters>> = (0..threads)
        .map(|_| Arc::new(Counters::default()))
        .collect();
    let control = Arc::new(Control::new(wakers.clone()));
    stop(Arc::clone(&control));
    let watch = Watch::new(settings, progress, &counters, clock);
    let loops = feeds
        .into_iter()
        .zip(recorders)
        .enumerate()
        .map(|(number, (feed, recorder))| {
            let share = (number, threads);
            let seat = Seat {
                share,
                feed,
                recorder,
                counters: &counters,
                control: &control,
                waker: &wakers[number],
                scripts: &scripts,
            };
            spawn(event_loop(settings, protocol, &strings, clock, seat))
        });
    let loops = loops
        .collect::<Result<Vec<_>, _>>()
        .inspect_err(|_| control.drain())?;
    let result = wait(loops, &control, &watch, &writer, reader.as_ref());
    let ended_ns = clock.now_ns();
    // An output's error says more than the loops' word that there was one.
    let written = writer.finish()?;
    let read = reader.map_or(Ok((0, 0)), |reader| {
        let counts = (reader.records(), reader.bad());
        reader.finish().map(|()| counts)
    });
    result?;
    let (records, bad) = read?;
    let (origin_ns, elapsed_ns) = (clock.origin_ns(), ended_ns);
    let ending = Ending {
        origin_ns,
        elapsed_ns,
        written,
        records,
        bad,
        stop: control.stop(),
    };
    Ok(watch.summary(ending, &strings))
}

/// What one event loop gets for itself.
struct Seat<'a> {
    share: (usize, usize),
    feed: Feed,
    recorder: Recorder,
    counters: &'a [Arc<Counters>],
    control: &'a Arc<Control>,
    waker: &'a Arc<Waker>,
    scripts: &'a Arc<Compiler>,
}

type LoopEnd = crossbeam_channel::Receiver<Result<(), LoopError>>;

fn event_loop<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    strings: &Strings,
    clock: Clock,
    seat: Seat<'_>,
) -> EventLoop<P::Nib> {
    let nib = protocol.nib(&encarno_nib::Seat {
        number: seat.share.0,
        strings,
        waker: seat.waker,
    });
    let workers_start = match &settings.workload {
        Workload::Open(open) => share_of(open.workers_start.min(open.workers_max), seat.share),
        Workload::Closed(_) => 0,
    };
    EventLoop {
        nib,
        pace: pace(&settings.workload, seat.share),
        feed: seat.feed,
        recorder: seat.recorder,
        counters: Arc::clone(&seat.counters[seat.share.0]),
        all_counters: seat.counters.to_vec(),
        control: Arc::clone(seat.control),
        clock,
        waker: Arc::clone(seat.waker),
        strings: strings.clone(),
        timeout_ns: nanoseconds(protocol.timeout()),
        grace_ns: nanoseconds(settings.grace),
        share: seat.share,
        workers_start,
        keep_answer_bytes_max: protocol.keep_answer_bytes_max(),
        desk: matches!(settings.source, Source::File(_)).then(|| {
            Box::new(Desk::new(
                Arc::clone(seat.scripts),
                protocol.address(),
                seat.share.0,
                strings,
            ))
        }),
    }
}

fn pace(workload: &Workload, share: (usize, usize)) -> Pace {
    let instants = |schedule, randomness| {
        Some(HitInstants::new(
            schedule,
            randomness,
            share.0 as u64,
            share.1 as u64,
        ))
    };
    match workload {
        Workload::Open(open) => Pace::Open(OpenPace {
            instants: match &open.arrivals {
                Arrivals::Uniform(schedule) => instants(schedule, Randomness::None),
                Arrivals::Poisson { schedule, seed } => {
                    instants(schedule, Randomness::Poisson { seed: *seed })
                }
                Arrivals::Recorded => None,
            },
            end_ns: open.duration_max.map_or(u64::MAX, nanoseconds),
            late_limit_ns: open.late_limit.map_or(u64::MAX, nanoseconds),
            workers_max: share_of(open.workers_max, share),
            spin: open.spin,
        }),
        Workload::Closed(closed) => {
            let schedule_ns = closed.workers.duration_ns();
            let own_end_ns = if schedule_ns == 0 {
                u64::MAX
            } else {
                schedule_ns
            };
            Pace::Closed(ClosedPace {
                workers: closed.workers.clone(),
                end_ns: closed.duration.map_or(own_end_ns, nanoseconds),
                share,
            })
        }
    }
}

fn spawn<N>(event_loop: EventLoop<N>) -> Result<LoopEnd, RunError>
where
    N: Nib + Send + 'static,
{
    let (sender, receiver) = bounded(1);
    let name = format!("loop-{}", event_loop.share.0);
    let body = move || {
        // The main thread is there until all loops have ended.
        let _taken = sender.send(event_loop.run());
    };
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(RunError::system("start an event loop"))?;
    Ok(receiver)
}

fn wait(
    loops: Vec<LoopEnd>,
    control: &Control,
    watch: &Watch,
    writer: &output::WriterThread,
    reader: Option<&Reader>,
) -> Result<(), RunError> {
    let mut result = Ok(());
    for ending in loops {
        loop {
            match ending.recv_timeout(LOOK) {
                Ok(ended) => {
                    if ended.is_err() {
                        control.drain();
                    }
                    result = result.and(ended);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {
                    watch.look();
                    if writer.failed() || reader.is_some_and(Reader::failed) {
                        control.drain();
                    }
                }
                // Its thread panicked: a broken invariant, told by the panic itself.
                Err(RecvTimeoutError::Disconnected) => {
                    control.drain();
                    result = Err(LoopError::Panicked);
                    break;
                }
            }
        }
    }
    watch.end();
    Ok(result?)
}

fn threads(settings: &RunSettings) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // No more loops than workers: a loop without one would only be in the way.
    settings
        .threads
        .map_or(cores, NonZeroUsize::get)
        .min(workers_max(settings))
        .max(1)
}

fn workers_max(settings: &RunSettings) -> usize {
    match &settings.workload {
        Workload::Open(open) => open.workers_max,
        Workload::Closed(closed) => closed.workers.level_max().0.div_ceil(1_000_000) as usize,
    }
}

/// What can be known to fail before anything is started.
fn check<P: Protocol>(
    settings: &RunSettings,
    protocol: &P,
    threads: usize,
) -> Result<(), RunError> {
    let workers = workers_max(settings);
    if workers == 0 {
        return Err(RunError::Settings(
            "no workers: the number of connections is 0".to_owned(),
        ));
    }
    if let Workload::Open(open) = &settings.workload {
        if matches!(open.arrivals, Arrivals::Recorded)
            && matches!(&settings.source, Source::File(input) if input.sharing == Sharing::PerWorker)
        {
            let text = "instants of the records and an input per worker don't go together: each worker \
                        would want the same instants";
            return Err(RunError::Settings(text.to_owned()));
        }
        if matches!(open.arrivals, Arrivals::Recorded)
            && matches!(settings.source, Source::Request { .. })
        {
            let text = "a schedule is missing: only stpd files carry their own times";
            return Err(RunError::Settings(text.to_owned()));
        }
    }
    let needed = protocol.descriptors(workers as u64) + threads as u64 * 4 + FILES_RESERVE;
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

fn scripts(settings: &RunSettings, strings: &Strings) -> Result<Arc<Compiler>, RunError> {
    let none = BTreeMap::new();
    let (values, per_worker) = match &settings.source {
        Source::File(input) => (&input.values, input.sharing == Sharing::PerWorker),
        Source::Request { .. } => (&none, false),
    };
    let compiler = Compiler::new(&settings.script, values, per_worker, strings)?;
    Ok(Arc::new(compiler))
}

fn feeds(
    settings: &RunSettings,
    strings: &Strings,
    scripts: &Arc<Compiler>,
    threads: usize,
) -> Result<(Option<Reader>, Vec<Feed>), RunError> {
    match &settings.source {
        Source::Request {
            payload,
            label,
            hits_max,
        } => {
            // A copy for each loop, so that they don't share its counter.
            let copy = || Payload::Memory(bytes::Bytes::copy_from_slice(payload));
            let record = || Planned {
                record: Record {
                    label: strings.intern(label),
                    ..Record::new(copy())
                },
                plan: None,
            };
            let left = |number| {
                hits_max.map_or(u64::MAX, |max| {
                    share_of(max as usize, (number, threads)) as u64
                })
            };
            let feed = |number| Feed::Repeat {
                record: record(),
                left: left(number),
            };
            Ok((None, (0..threads).map(feed).collect()))
        }
        Source::File(input) => {
            let deal = match settings.workload {
                Workload::Open(_) => Deal::InTurn,
                Workload::Closed(_) => Deal::ByNeed,
            };
            let workers: Vec<usize> = (0..threads)
                .map(|number| share_of(workers_max(settings), (number, threads)))
                .collect();
            let (reader, feeds) = Reader::start(input, strings, scripts, &workers, deal)?;
            Ok((Some(reader), feeds))
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
