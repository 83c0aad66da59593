//! One run on many machines: agents, which make a part of it each, and the coordinator.
//!
//! There is no cluster of our own under it. NATS with JetStream carries everything: a KV
//! bucket in which agents say that they are there, one with the plan, the start and the
//! state of each run, an object store with the files, by their content, and a stream with
//! the results, which drops what comes twice. Agents dial out, and know nobody but NATS.
//!
//! - error: why something didn't come about
//! - [`words`]: what agents and coordinators say to one another
//! - clock: how an agent's clock stands to its coordinator's
//! - bus: NATS, with the buckets and subjects of a group
//! - files: what a run reads, by content
//! - shipping: a result file that grows, as chunks of sums
//! - worker: the process that makes the hits
//! - [`agent`]: an agent
//! - parts: what came of each agent, and the account of all
//! - [`coordinator`]: a run from its plan to its merged file
//! - [`local`]: a NATS server and agents on this machine, for a trial

mod error;

pub mod agent;
pub mod coordinator;
pub mod local;
pub mod words;

mod bus;
mod clock;
mod files;
mod parts;
mod shipping;
mod worker;

pub use bus::Hub;
pub use error::FleetError;
pub use files::RunFile;
