//! Components, which `make component` builds.

use std::path::Path;

/// A component of `_examples/guests`.
pub(super) fn guest(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("_examples/guests").join(name);
    assert!(file.exists(), "{}: run make component", file.display());
    file.to_str().expect("a path in UTF-8").to_owned()
}
