//! Result files for k6's samples, with the numbers by which Go refers to them.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use encarno_record::notes::Notes;
use encarno_record::samples::{Request, Sample, SampleWriter};
use encarno_record::series::Series;
use encarno_report::Run;
use encarno_report::live::{self, Live};
use encarno_report::served::{Address, Bound};
use slotmap::{DefaultKey, Key as _, KeyData, SlotMap};

use crate::lock;

/// A result file that is being written; `None` once it was ended.
pub(crate) struct Record(Mutex<Option<SampleWriter>>);

impl Record {
    pub(crate) fn begin(path: &Path, started_unix_ns: u64, notes: &Notes) -> Result<Self, String> {
        SampleWriter::create(path, started_unix_ns, notes)
            .map(|writer| Self(Mutex::new(Some(writer))))
            .map_err(|error| error.to_string())
    }

    pub(crate) fn text(&self, text: &str) -> u32 {
        let mut writer = lock(&self.0);
        writer.as_mut().map_or(0, |writer| writer.text(text))
    }

    pub(crate) fn series(&self, series: Series) -> Result<u32, String> {
        let mut writer = lock(&self.0);
        let writer = writer.as_mut().ok_or("the record has ended")?;
        writer.series(series).map_err(|error| error.to_string())
    }

    pub(crate) fn add(
        &self,
        samples: impl Iterator<Item = Sample>,
        requests: impl Iterator<Item = Request>,
        users: u64,
        until_unix_ns: u64,
    ) -> Result<(), String> {
        let mut writer = lock(&self.0);
        let writer = writer.as_mut().ok_or("the record has ended")?;
        samples.for_each(|sample| writer.sample(&sample));
        requests.for_each(|request| writer.request(&request));
        writer.users(users);
        writer
            .write(until_unix_ns)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn end(&self, notes: &Notes, span_ns: u64) -> Result<(), String> {
        let writer = lock(&self.0).take().ok_or("the record has ended")?;
        writer
            .finish(notes, span_ns)
            .map_err(|error| error.to_string())
    }
}

/// Writes the report of a result file.
pub(crate) fn write_report(path: &Path, page: &Path) -> Result<(), String> {
    let run = Run::of_file(path, name(path)).map_err(|error| error.to_string())?;
    encarno_report::write_file(&[run], &[], page)
        .map_err(|error| format!("can't write {}: {error}", page.display()))
}

/// Serves a result file while it is written. Returns the number of the page, and its URL.
pub(crate) fn show(path: &Path, address: &str) -> Result<(u64, String), String> {
    let address: Address = address.parse()?;
    let bound = Bound::to(&address, live::PATH)
        .map_err(|error| format!("live={address}: can't listen there: {error}"))?;
    let live = bound.show(path, name(path), None);
    let live = live.map_err(|error| error.to_string())?;
    let url = live.url().to_owned();
    let number = lock(&LIVES).insert(live).data().as_ffi();
    Ok((number, url))
}

/// Stops serving a page; its readers get the end. False if it isn't served.
pub(crate) fn end_showing(number: u64) -> bool {
    let live = lock(&LIVES).remove(key(number));
    let is_shown = live.is_some();
    live.into_iter().for_each(Live::end);
    is_shown
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// All pages that this process serves.
static LIVES: LazyLock<Mutex<SlotMap<DefaultKey, Live>>> = LazyLock::new(Mutex::default);

/// All result files that this process writes.
static RECORDS: LazyLock<RwLock<SlotMap<DefaultKey, Arc<Record>>>> = LazyLock::new(RwLock::default);

/// A handle for a record. It is never 0.
pub(crate) fn insert(record: Record) -> u64 {
    let mut records = RECORDS.write().unwrap_or_else(PoisonError::into_inner);
    records.insert(Arc::new(record)).data().as_ffi()
}

pub(crate) fn find(handle: u64) -> Option<Arc<Record>> {
    let records = RECORDS.read().unwrap_or_else(PoisonError::into_inner);
    records.get(key(handle)).cloned()
}

pub(crate) fn remove(handle: u64) -> Option<Arc<Record>> {
    let mut records = RECORDS.write().unwrap_or_else(PoisonError::into_inner);
    records.remove(key(handle))
}

fn key(handle: u64) -> DefaultKey {
    KeyData::from_ffi(handle).into()
}
