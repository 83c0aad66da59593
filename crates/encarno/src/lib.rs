//! encarno, a hit generator: the program around the engine.
//!
//! - [`cli`]: the commands
//! - [`config`]: the configuration file
//! - url_text: URLs and headers, whose passwords nobody sees
//! - [`files`]: no output is an input
//! - [`protocols`]: the protocols that users can name
//! - [`read`]: what commands say about files
//! - [`exit`]: exit codes

pub mod cli;
pub mod config;
pub mod exit;
pub mod files;
pub mod protocols;
pub mod read;

mod url_text;
