//! What the program says, as a user reads it.

use std::path::Path;

use crate::program::run;

/// What it printed, with its exit status.
pub(super) fn said(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(folder, arguments);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
