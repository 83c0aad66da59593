//! Components in Python, which componentize-py makes.

use std::path::Path;
use std::process::Command;

use super::recorded::said;

/// The component of `_examples/guests/python` with this name, for a world of `wit/FOLDER`; none
/// where there is no componentize-py.
pub(super) fn made(folder: &Path, wit: &str, world: &str, name: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = folder.join(name).with_extension("wasm");
    let made = Command::new("componentize-py")
        .current_dir(root)
        .args(["-d", &format!("wit/{wit}"), "-w", world, "componentize"])
        .args(["-p", "_examples/guests/python", name, "-o"])
        .arg(&file)
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: there is no componentize-py (pip install componentize-py)");
        return None;
    };
    assert!(made.status.success(), "{}", said(&made));
    Some(file.to_str().unwrap().to_owned())
}
