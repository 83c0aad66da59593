//! The results of each agent, which are stored on disk as they arrive, and the account of
//! all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use encarno_record::Texts;
use encarno_record::notes::Account;
use encarno_record::results::{ResultsError, SumsReader};
use encarno_record::seconds::Seconds;
use encarno_record::sums::{LoopState, OutcomeSums, Sums};

use crate::FleetError;

/// The results of an agent: a native result file that grows.
pub(crate) struct Part {
    pub(crate) agent: String,
    pub(crate) path: PathBuf,
    file: File,
    next_chunk: u64,
    reader: Option<Box<SumsReader>>,
    texts: Texts,
    /// The number of its first event loop among those of all agents, if seconds are wanted.
    first_loop: Option<usize>,
}

/// The results since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) sums: Sums,
    pub(crate) failed: u64,
}

impl Part {
    pub(crate) fn create(folder: &Path, agent: &str) -> Result<Self, FleetError> {
        let path = folder.join(format!("{agent}.enc"));
        let failed = || FleetError::of(path.display().to_string());
        Ok(Self {
            file: File::create(&path).map_err(failed())?,
            path,
            agent: agent.to_owned(),
            next_chunk: 0,
            reader: None,
            texts: Texts::default(),
            first_loop: None,
        })
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.next_chunk
    }

    /// Takes a chunk, unless it was taken before.
    pub(crate) fn take(&mut self, number: u64, bytes: &[u8]) -> Result<(), FleetError> {
        if number < self.next_chunk {
            return Ok(());
        }
        if number > self.next_chunk {
            return Err(FleetError(format!(
                "chunk {} of the agent {} is missing in NATS's stream: its results are incomplete",
                self.next_chunk, self.agent
            )));
        }
        let written = self.file.write_all(bytes);
        written.map_err(FleetError::of(self.path.display().to_string()))?;
        self.next_chunk += 1;
        Ok(())
    }

    /// The results, as far as they were looked at; none if not even their start is there.
    pub(crate) fn reader(&self) -> Option<&SumsReader> {
        self.reader.as_deref()
    }

    /// Adds the results since the last look, also to the seconds of all agents, if they are
    /// wanted. These begin with the first agent that sends any.
    pub(crate) fn look(
        &mut self,
        news: &mut News,
        seconds: Option<&mut Option<Seconds>>,
    ) -> io::Result<()> {
        if self.reader.is_none() {
            // Even the start of the file may be missing.
            self.reader = SumsReader::new(File::open(&self.path)?).ok().map(Box::new);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(());
        };
        let (expected, started_unix_ns) = (reader.expected(), reader.started_unix_ns());
        let mut seconds =
            seconds.map(|seconds| seconds.get_or_insert_with(|| Seconds::new(started_unix_ns)));
        if let Some(seconds) = &mut seconds {
            let loops = reader.loops() as usize;
            self.first_loop
                .get_or_insert_with(|| seconds.add_loops(loops));
        }
        while let Some(sums) = reader.next_sums(&mut self.texts)? {
            let mut by_second = BTreeMap::<u64, OutcomeSums>::new();
            sums.for_each(|second, outcome, sums| {
                if outcome.failed(&expected) {
                    news.failed += sums.hits;
                }
                news.sums.merge(sums);
                if seconds.is_some() {
                    by_second.entry(second).or_default().merge(*outcome, sums);
                }
            });
            let (Some(seconds), Some(first)) = (&mut seconds, self.first_loop) else {
                continue;
            };
            for (second, outcomes) in by_second {
                let statistics = seconds.statistics_of(second);
                statistics.add(&outcomes, &mut self.texts, started_unix_ns, &expected);
            }
            if let Some(state) = sums.state {
                seconds.reach(first + sums.number as usize, sums.until_ns, state);
            }
        }
        Ok(())
    }

    /// Its hits aren't waited for any more.
    pub(crate) fn give_up(&self, seconds: &mut Seconds) {
        if let (Some(first), Some(reader)) = (self.first_loop, &self.reader) {
            (first..first + reader.loops() as usize).for_each(|number| seconds.give_up(number));
        }
    }
}

/// The account of an agent's hits at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartAccount {
    pub(crate) totals: Account,
    /// Whether all its results have arrived.
    pub(crate) is_whole: bool,
}

/// The account of an agent. If the agent was lost, its unreported hits count as lost.
pub(crate) fn account(path: &Path, due: Option<u64>) -> Result<PartAccount, FleetError> {
    let failed = |error: ResultsError| FleetError(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    // The agent was lost before it sent anything.
    let Ok(mut reader) = SumsReader::new(file) else {
        let lost = due.unwrap_or(0);
        let totals = Account {
            scheduled: lost,
            lost,
            ..Account::default()
        };
        return Ok(PartAccount {
            totals,
            is_whole: false,
        });
    };
    let expected = reader.expected();
    let (mut done, mut bad) = (0_u64, 0_u64);
    let mut states: BTreeMap<u32, LoopState> = BTreeMap::new();
    let mut texts = Texts::default();
    let mut add = |sums: &encarno_record::results::FileSums| {
        sums.for_each(|_, outcome, sums| {
            let place = if outcome.failed(&expected) {
                &mut bad
            } else {
                &mut done
            };
            *place = place.saturating_add(sums.hits);
        });
        if let Some(state) = sums.state {
            states.insert(sums.number, state);
        }
    };
    while let Some(sums) = reader
        .next_sums(&mut texts)
        .map_err(|error| failed(error.into()))?
    {
        add(&sums);
    }
    reader
        .rest(|sums| add(&sums))
        .map_err(|error| failed(error.into()))?;
    if reader.summary().ended {
        // k6 has no account: its requests are those that were made.
        let made = Account {
            scheduled: done + bad,
            done,
            failed: bad,
            ..Account::default()
        };
        return Ok(PartAccount {
            totals: reader.notes().totals.unwrap_or(made),
            is_whole: true,
        });
    }
    let mut state = LoopState::default();
    states.values().for_each(|one| state.add(one));
    let known = done + bad + state.dropped;
    let scheduled = due
        .unwrap_or(state.scheduled)
        .max(state.scheduled)
        .max(known);
    Ok(PartAccount {
        totals: Account {
            scheduled,
            done,
            failed: bad,
            dropped: state.dropped,
            lost: scheduled - known,
        },
        is_whole: false,
    })
}
