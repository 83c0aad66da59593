//! `encarno target`: the scripted server.

use clap::Args;

use super::Failure;
use crate::error::exit;

/// What `encarno target` understands.
#[derive(Debug, Args)]
pub(super) struct TargetArguments {}

impl TargetArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        Ok(exit::OK)
    }
}
