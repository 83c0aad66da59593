//! encarno, a hit generator: the program around the engine.
//!
//! - [`cli`]: the commands
//! - [`config`]: the configuration file
//! - [`protocols`]: the protocols that users can name
//! - [`read`]: what commands say about files
//! - [`exit`]: exit codes

pub mod cli;
pub mod config;
pub mod exit;
pub mod protocols;
pub mod read;
