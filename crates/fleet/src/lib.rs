//! One run on many machines: agents, each of which makes a part of it, and the
//! coordinator.
//!
//! Agents and coordinators communicate only over NATS with JetStream: one KV bucket has
//! the present agents, another one the plan, the start and the state of each run. An
//! object store has the files, by content. A stream has the results, and drops
//! duplicates. Agents connect to NATS only, and nothing connects to them.
//!
//! - error: errors
//! - [`words`]: the messages between agents and coordinators
//! - clock: the offset of an agent's clock from its coordinator's
//! - bus: NATS, with the buckets and subjects of a group
//! - files: the files of a run, by content
//! - shipping: sends a growing result file, as chunks of sums
//! - meeting: where the programs of all agents meet while they run
//! - worker: the process that makes the hits
//! - [`agent`]: an agent
//! - parts: the results of each agent, and the account of all
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
mod meeting;
mod parts;
mod shipping;
mod worker;

pub use bus::Hub;
pub use error::FleetError;
pub use files::RunFile;
