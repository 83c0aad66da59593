//! Components that a program makes of sources in another language.

use std::path::Path;
use std::process::Command;

use super::recorded::said;

/// The component of `_examples/guests/python` with this name, for a world of `wit/FOLDER`; none
/// where there is no componentize-py.
pub(super) fn of_python(folder: &Path, wit: &str, world: &str, name: &str) -> Option<String> {
    let arguments =
        format!("-d wit/{wit} -w {world} componentize -p _examples/guests/python {name} -o");
    made(
        folder,
        "componentize-py",
        "pip install componentize-py",
        &arguments,
    )
}

/// The component that a program of another language makes; none where there is no such program.
pub(super) fn made(folder: &Path, program: &str, install: &str, arguments: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = folder.join("made.wasm");
    let made = Command::new(program)
        .current_dir(root)
        .args(arguments.split_whitespace())
        .arg(&file)
        .output();
    let Ok(made) = made else {
        eprintln!("NOT TESTED: there is no {program} ({install})");
        return None;
    };
    assert!(made.status.success(), "{}", said(&made));
    Some(file.to_str().unwrap().to_owned())
}
