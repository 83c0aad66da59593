//! Sends a growing result file as chunks of a native result file, with sums alone or
//! unchanged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use encarno_record::frame::RESULT_MAGIC;
use encarno_record::results::{self, Ending, FileSums, SumsReader};
use encarno_record::sums::{LoopSums, OutcomeSums};
use encarno_record::{StringId, Texts};

/// The most bytes of a chunk; a NATS message may have 1 MiB.
const CHUNK_BYTES: usize = 512 << 10;

/// Divides a file into chunks.
pub(crate) struct Shipper {
    path: PathBuf,
    way: Option<Way>,
    with_hits: bool,
    out: Vec<u8>,
}

enum Way {
    Sums {
        reader: Box<SumsReader>,
        texts: Texts,
        strings: u32,
    },
    Whole(File),
}

impl Shipper {
    pub(crate) fn new(path: &Path, with_hits: bool) -> Self {
        Self {
            path: path.into(),
            way: None,
            with_hits,
            out: Vec::new(),
        }
    }

    /// The new data as chunks. With `last`, no more data will come.
    pub(crate) fn take(&mut self, last: bool) -> io::Result<Vec<Vec<u8>>> {
        if self.way.is_none() {
            self.way = self.open()?;
        }
        match &mut self.way {
            None => {}
            Some(Way::Whole(file)) => {
                // Take a bounded amount; the rest follows the next time.
                let bytes_max = if last { u64::MAX } else { 16 << 20 };
                file.take(bytes_max).read_to_end(&mut self.out)?;
            }
            Some(Way::Sums {
                reader,
                texts,
                strings,
            }) => {
                while let Some(sums) = reader.next_sums(texts)? {
                    append(&mut self.out, &sums, texts, strings);
                }
                if last {
                    let out = &mut self.out;
                    reader.rest(|sums| append(out, &sums, texts, strings))?;
                    results::append_notes(out, reader.notes());
                    let summary = reader.summary();
                    if summary.ended {
                        let ending = Ending {
                            hits_lost: summary.hits_lost.saturating_add(summary.hits_damaged),
                            span_ns: reader.span_ns(),
                        };
                        results::append_end(out, 0, ending);
                    }
                }
            }
        }
        let chunks = self.out.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
        self.out.clear();
        Ok(chunks)
    }

    /// Opens the file; `None` while it has no beginning yet.
    fn open(&mut self) -> io::Result<Option<Way>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.with_hits {
            return Ok(Some(Way::Whole(file)));
        }
        let Ok(reader) = SumsReader::new(file) else {
            return Ok(None);
        };
        self.out.extend_from_slice(&RESULT_MAGIC);
        results::append_run(
            &mut self.out,
            reader.started_unix_ns(),
            reader.loops(),
            &reader.expected(),
            reader.settings_text(),
        );
        Ok(Some(Way::Sums {
            reader: Box::new(reader),
            texts: Texts::default(),
            strings: 0,
        }))
    }
}

fn append(out: &mut Vec<u8>, sums: &FileSums, texts: &mut Texts, strings: &mut u32) {
    let new = texts.since(StringId(*strings));
    results::append_strings(out, StringId(*strings), &new);
    *strings += new.len() as u32;
    let mut seconds: BTreeMap<u64, OutcomeSums> = BTreeMap::new();
    let mut hits = 0_u64;
    sums.for_each(|second, outcome, sums| {
        hits = hits.saturating_add(sums.hits);
        seconds.entry(second).or_default().merge(*outcome, sums);
    });
    let loop_sums = LoopSums {
        number: sums.number,
        until_ns: sums.until_ns,
        hits_covered: hits,
        state: sums.state.unwrap_or_default(),
        seconds: seconds.into_iter().collect(),
    };
    results::append_sums_alone(out, &loop_sums);
}
