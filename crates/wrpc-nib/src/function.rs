//! Payloads as the parameters of a function.

use std::path::PathBuf;

use encarno_nib::Prepare;
use encarno_record::Payload;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc_value::{Function, Interfaces, Source};

/// The interface of blasts, for which no file has to be named.
const BLASTER: &str = include_str!("../../../wit/blaster.wit");

/// The function that hits call, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// A blast: the payload is the packet's.
    Blast {
        id: String,
        mem_burn_mb: u64,
        cpu_burn_ms: u64,
        wait_ms: u64,
    },
    /// A function by its name; the payload is JSON.
    Named { name: String, wit: Option<PathBuf> },
}

/// The function that hits call.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) function: Function,
    called: Called,
}

impl Calls {
    /// Reads the WIT.
    pub(crate) fn set_up(called: Called) -> Result<Self, String> {
        let (interfaces, name) = match &called {
            Called::Blast { .. } => (of_blaster(), blast()),
            Called::Named { name, wit: None } => (of_blaster(), name.clone()),
            Called::Named {
                name,
                wit: Some(wit),
            } => (Interfaces::read(wit), name.clone()),
        };
        let function = interfaces?.function(&name).cloned();
        let function = function.map_err(|reason| match &called {
            Called::Named { wit: None, .. } => {
                format!("{reason}: name the file or the folder of its WIT by --wit")
            }
            _ => reason,
        });
        Ok(Self {
            function: function?,
            called,
        })
    }
}

impl Called {
    /// The files that it reads: of a folder, those of which WIT is read.
    pub(crate) fn wit_files(&self) -> Vec<PathBuf> {
        let Self::Named { wit: Some(wit), .. } = self else {
            return Vec::new();
        };
        match Source::read(wit) {
            Ok(sources) if wit.is_dir() => {
                let files = sources.iter().map(|source| wit.join(&source.path));
                files.collect()
            }
            // What is wrong with it is said when it is read.
            _ => vec![wit.clone()],
        }
    }
}

fn of_blaster() -> Result<Interfaces, String> {
    Interfaces::parse(&[Source::new("blaster.wit", BLASTER)])
}

fn blast() -> String {
    format!("{}.{}", blaster::INSTANCE, blaster::FUNCTION)
}

impl Prepare for Calls {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(payload) = payload else {
            return Err(
                "with wRPC a payload is held in memory, and this one is too long".to_owned(),
            );
        };
        let params = match &self.called {
            Called::Blast {
                id,
                mem_burn_mb,
                cpu_burn_ms,
                wait_ms,
            } => {
                let packet = Packet {
                    id,
                    payload: &payload,
                    mem_burn_mb: *mem_burn_mb,
                    cpu_burn_ms: *cpu_burn_ms,
                    wait_ms: *wait_ms,
                };
                packet.encode()
            }
            Called::Named { .. } => {
                let encoded = self.function.encode_json(&payload);
                encoded.map_err(|error| error.to_string())?
            }
        };
        Ok(Payload::Memory(params.into()))
    }
}
