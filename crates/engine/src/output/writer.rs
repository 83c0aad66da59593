//! The thread that writes, and what it says at the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use encarno_record::formats::{
    GoBinarySink, LdjsonSink, NativeSink, OutputError, PhoutSink, Sink, Texts, TraceFile,
};
use encarno_record::{Hit, Strings};

use super::recorder::{Counts, Message, Recorder};
use crate::settings::OutputSettings;

/// Buffers under way to the writer, for each recorder.
const QUEUE_BUFFERS: usize = 16;

/// Opens all outputs and starts the writer thread: a recorder for each event
/// loop, and the thread's handle. `started_unix_ns` is the wall clock at the
/// run's start.
pub fn open(
    settings: &OutputSettings,
    recorders: usize,
    strings: &Strings,
    started_unix_ns: u64,
) -> Result<(Vec<Recorder>, WriterThread), OutputError> {
    let (queue, messages) = sync_channel(QUEUE_BUFFERS * recorders.max(1));
    let trace = match &settings.trace {
        Some(trace) => Some(TraceFile::create(trace, started_unix_ns)?),
        None => None,
    };
    let trace_level = settings.trace.as_ref().map(|trace| trace.level);
    let mut give_back = Vec::with_capacity(recorders);
    let recorders = (0..recorders)
        .map(|number| {
            let (sender, empty) = sync_channel(QUEUE_BUFFERS);
            give_back.push(sender);
            Recorder::new(number, queue.clone(), empty, trace_level)
        })
        .collect();
    let failed = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        messages,
        give_back,
        sinks: create_sinks(settings, started_unix_ns)?,
        trace,
        texts: Texts::of_run(strings.clone()),
        summary: WriteSummary::default(),
        error: None,
        failed: Arc::clone(&failed),
    };
    let thread = std::thread::Builder::new()
        .name("writer".into())
        .spawn(|| writer.run())
        .map_err(|source| OutputError {
            operation: "start the thread that writes",
            path: settings.native.clone().unwrap_or_default(),
            source,
        })?;
    Ok((
        recorders,
        WriterThread {
            thread,
            queue,
            failed,
        },
    ))
}

/// The thread that writes.
#[derive(Debug)]
pub struct WriterThread {
    thread: JoinHandle<Result<WriteSummary, OutputError>>,
    queue: SyncSender<Message>,
    failed: Arc<AtomicBool>,
}

impl WriterThread {
    /// True once an output failed (disk full …): the run had better end.
    pub fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Writes what recorders handed over, closes all files, and says what
    /// happened. Drop all recorders before. An output's first error comes back
    /// here; what was written before it is readable.
    pub fn finish(self) -> Result<WriteSummary, OutputError> {
        // A closed queue means that the thread ended already: join says why.
        let _ = self.queue.send(Message::End);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// What was written, and what wasn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSummary {
    /// Hits written (to each output).
    pub hits: u64,
    /// Hits that weren't recorded because the writer fell behind past the bound.
    pub hits_lost: u64,
    /// How often a recorder found the queue full.
    pub queue_full_count: u64,
    /// Hits written to the trace.
    pub traces: u64,
    /// Traces that weren't recorded because the writer fell behind.
    pub traces_lost: u64,
    /// Bytes written to all files.
    pub bytes: u64,
    /// What a reader of the files must know, a sentence each.
    pub warnings: Vec<String>,
}

struct Writer {
    messages: Receiver<Message>,
    give_back: Vec<SyncSender<Vec<Hit>>>,
    sinks: Vec<Box<dyn Sink>>,
    trace: Option<TraceFile>,
    texts: Texts,
    summary: WriteSummary,
    error: Option<OutputError>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self) -> Result<WriteSummary, OutputError> {
        while let Ok(message) = self.messages.recv() {
            match message {
                Message::Hits { recorder, mut hits } => {
                    self.write(&hits);
                    hits.clear();
                    // With enough spare buffers this one is let go.
                    let _ = self.give_back[recorder].try_send(hits);
                }
                Message::Trace(trace) => {
                    if let Some(file) = &mut self.trace {
                        match file.write(*trace, &mut self.texts) {
                            Ok(()) => self.summary.traces += 1,
                            Err(error) => {
                                self.trace = None;
                                self.fail(error);
                            }
                        }
                    }
                }
                Message::Counts(counts) => self.count(counts),
                Message::End => break,
            }
        }
        self.finish()
    }

    /// An output that failed is given up; the others and the queue go on, so
    /// that no hit waits for a full disk.
    fn write(&mut self, hits: &[Hit]) {
        self.summary.hits += hits.len() as u64;
        let mut at = 0;
        while at < self.sinks.len() {
            match self.sinks[at].hits(hits, &mut self.texts) {
                Ok(()) => at += 1,
                Err(error) => {
                    self.sinks.remove(at);
                    self.fail(error);
                }
            }
        }
    }

    fn count(&mut self, counts: Counts) {
        self.summary.hits_lost += counts.hits_lost;
        self.summary.traces_lost += counts.traces_lost;
        self.summary.queue_full_count += counts.queue_full_count;
    }

    fn fail(&mut self, error: OutputError) {
        self.failed.store(true, Relaxed);
        self.error.get_or_insert(error);
    }

    fn finish(mut self) -> Result<WriteSummary, OutputError> {
        for mut sink in std::mem::take(&mut self.sinks) {
            match sink.finish(self.summary.hits_lost) {
                Ok(bytes) => self.summary.bytes += bytes,
                Err(error) => self.fail(error),
            }
            self.summary.warnings.extend(sink.warning());
        }
        self.summary.bytes += self.trace.as_ref().map_or(0, TraceFile::bytes);
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.summary),
        }
    }
}

fn create_sinks(
    settings: &OutputSettings,
    started_unix_ns: u64,
) -> Result<Vec<Box<dyn Sink>>, OutputError> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = &settings.native {
        let text = &settings.settings_text;
        sinks.push(Box::new(NativeSink::create(path, started_unix_ns, text)?));
    }
    if let Some(go_binary) = &settings.go_binary {
        sinks.push(Box::new(GoBinarySink::create(go_binary, started_unix_ns)?));
    }
    if let Some(path) = &settings.ldjson {
        sinks.push(Box::new(LdjsonSink::create(path, started_unix_ns)?));
    }
    if let Some(path) = &settings.phout {
        sinks.push(Box::new(PhoutSink::create(path, started_unix_ns)?));
    }
    Ok(sinks)
}
