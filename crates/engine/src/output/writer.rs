//! The thread that writes the outputs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use encarno_record::formats::{
    GoBinarySink, NativeSink, OutputError, ResultFormat, Sink, TraceFile,
};
use encarno_record::notes::Notes;
use encarno_record::results::Ending;
use encarno_record::series::Measured;
use encarno_record::sums::LoopSums;
use encarno_record::{Expected, Hit, Strings, Texts};

use super::recorder::{Conclude, Counts, Message, Recorder, Ways};
use super::sample::{Sample, Sampling};
use super::summary::WriteSummary;
use crate::settings::OutputSettings;

/// The most buffers on their way to the writer, for each recorder.
const QUEUE_BUFFERS: usize = 16;

/// Opens all outputs and starts the writer thread. Returns a recorder for each event
/// loop, and the thread's handle. `started_unix_ns` is the wall clock at the run's start.
/// The meter gets the sums of each loop at least once a second, and the pilot gets
/// samples.
pub fn open(
    settings: &OutputSettings,
    recorders: usize,
    strings: &Strings,
    started_unix_ns: u64,
    expected: &Expected,
    meter: Sender<Arc<LoopSums>>,
    samples: Option<Sender<Sample>>,
) -> Result<(Vec<Recorder>, WriterThread), OutputError> {
    let (queue, messages) = bounded(QUEUE_BUFFERS * recorders.max(1));
    let trace = match &settings.trace {
        Some(trace) => Some(TraceFile::create(trace, started_unix_ns)?),
        None => None,
    };
    let ways = Ways {
        queue: queue.clone(),
        meter,
        trace_level: settings.trace.as_ref().map(|trace| trace.level),
        started_unix_ns,
        sampling: samples.map(|samples| Sampling::new(samples, *expected)),
    };
    let mut give_back = Vec::with_capacity(recorders);
    let untils = vec![0; recorders];
    let recorders = (0..recorders)
        .map(|number| {
            let (sender, empty) = bounded(QUEUE_BUFFERS);
            give_back.push(sender);
            Recorder::new(number, ways.clone(), empty)
        })
        .collect();
    let failed = Arc::new(AtomicBool::new(false));
    let mut sinks = create_sinks(settings, started_unix_ns, untils.len() as u32, expected)?;
    if settings.notes != Notes::default() {
        for sink in &mut sinks {
            sink.notes(&settings.notes)?;
        }
    }
    let writer = Writer {
        messages,
        give_back,
        sinks,
        untils,
        started_unix_ns,
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
    queue: Sender<Message>,
    failed: Arc<AtomicBool>,
}

impl WriterThread {
    /// Whether an output has failed, such as by a full disk. The run should then end.
    pub fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Writes a mark about an instant into the result file.
    pub fn mark(&self, at_ns: u64, text: String) {
        // If the queue is closed, the thread has ended, and `finish` reports why.
        let _ = self.queue.send(Message::Mark { at_ns, text });
    }

    /// The same as [`WriterThread::finish_with`], without notes.
    pub fn finish(self, span_ns: u64) -> Result<WriteSummary, OutputError> {
        self.finish_with(span_ns, |_| Notes::default())
    }

    /// Writes everything that recorders handed over, closes all files, and returns the
    /// counts. `span_ns` is the duration to divide by; 0 means unknown. `conclude` makes
    /// the file's last notes from the counts. Drop all recorders first.
    ///
    /// # Errors
    ///
    /// The first error of an output; everything that was written before it is readable.
    pub fn finish_with(
        self,
        span_ns: u64,
        conclude: impl FnOnce(&WriteSummary) -> Notes + Send + 'static,
    ) -> Result<WriteSummary, OutputError> {
        // If the queue is closed, the thread has ended, and `join` reports why.
        let conclude = Conclude(Box::new(conclude));
        let _ = self.queue.send(Message::End { span_ns, conclude });
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Writer {
    messages: Receiver<Message>,
    give_back: Vec<Sender<Vec<Hit>>>,
    sinks: Vec<Box<dyn Sink>>,
    /// The instant up to which each recorder has handed over all its hits.
    untils: Vec<u64>,
    started_unix_ns: u64,
    trace: Option<TraceFile>,
    texts: Texts,
    summary: WriteSummary,
    error: Option<OutputError>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self) -> Result<WriteSummary, OutputError> {
        let mut ended = None;
        while let Ok(message) = self.messages.recv() {
            match message {
                Message::Hits { recorder, mut hits } => {
                    self.write(recorder as u32, &hits);
                    hits.clear();
                    // If there are enough spare buffers, this one is freed.
                    let _ = self.give_back[recorder].try_send(hits);
                }
                Message::Sums(sums) => self.write_sums(&sums),
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
                Message::Exemplars(exemplars) => {
                    self.each_sink(|sink, _| sink.exemplars(&exemplars));
                }
                Message::Measured(measured) => self.write_measured(&measured),
                Message::Mark { at_ns, text } => {
                    self.each_sink(|sink, _| sink.mark(at_ns, &text));
                }
                Message::Counts(counts) => self.count(counts),
                Message::End { span_ns, conclude } => {
                    ended = Some((span_ns, conclude));
                    break;
                }
            }
        }
        self.finish(ended)
    }

    fn write(&mut self, recorder: u32, hits: &[Hit]) {
        self.summary.hits += hits.len() as u64;
        self.each_sink(|sink, texts| sink.hits_of(recorder, hits, texts));
    }

    fn write_sums(&mut self, sums: &LoopSums) {
        if let Some(until_ns) = self.untils.get_mut(sums.number as usize) {
            *until_ns = sums.until_ns;
        }
        let until_ns = self.untils.iter().copied().min().unwrap_or(0);
        let until_unix_ns = self.started_unix_ns.saturating_add(until_ns);
        self.each_sink(|sink, texts| {
            sink.sums(sums, texts)?;
            sink.at_rest(until_unix_ns, texts)
        });
    }

    fn write_measured(&mut self, measured: &Measured) {
        for (_, metric, label, points) in measured.sums() {
            let series = Measured::series(metric, &self.texts.get(label));
            self.summary.metrics.add(&series, points);
        }
        self.each_sink(|sink, texts| sink.measured(measured, texts));
    }

    /// Calls each output. One that fails is given up; the others go on and the queue is
    /// still emptied, so that no hit waits for a full disk.
    fn each_sink(
        &mut self,
        mut act: impl FnMut(&mut dyn Sink, &mut Texts) -> Result<(), OutputError>,
    ) {
        let mut at = 0;
        while at < self.sinks.len() {
            match act(&mut *self.sinks[at], &mut self.texts) {
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

    fn finish(mut self, ended: Option<(u64, Conclude)>) -> Result<WriteSummary, OutputError> {
        let mut span_ns = 0;
        if let Some((ended_span_ns, conclude)) = ended {
            span_ns = ended_span_ns;
            let notes = conclude.0(&self.summary);
            if notes != Notes::default() {
                self.each_sink(|sink, _| sink.notes(&notes));
            }
        }
        let ending = Ending {
            hits_lost: self.summary.hits_lost,
            span_ns,
        };
        for mut sink in std::mem::take(&mut self.sinks) {
            match sink.finish(ending, &mut self.texts) {
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
    loops: u32,
    expected: &Expected,
) -> Result<Vec<Box<dyn Sink>>, OutputError> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = &settings.native {
        let text = &settings.settings_text;
        sinks.push(Box::new(NativeSink::create(
            path,
            started_unix_ns,
            loops,
            expected,
            text,
        )?));
    }
    if let Some(go_binary) = &settings.go_binary {
        sinks.push(Box::new(GoBinarySink::create(go_binary, started_unix_ns)?));
    }
    let plain = [
        (ResultFormat::Ldjson, &settings.ldjson),
        (ResultFormat::Phout, &settings.phout),
    ];
    for (format, path) in plain {
        if let Some(path) = path {
            sinks.push(format.create(path, started_unix_ns, expected)?);
        }
    }
    Ok(sinks)
}
