//! What a run printed, and what it left in its file.

use std::collections::HashMap;
use std::path::Path;
use std::process::Output;

use encarno_record::Hit;
use encarno_record::results::{Block, whole};

/// All that it printed.
pub(super) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// It ended with that status, and said that.
pub(super) fn assert_ended(output: &Output, arguments: &[&str], code: i32, says: &str) {
    let said = said(output);
    assert!(said.contains(says), "{arguments:?} said: {said}");
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?} said: {said}"
    );
}

/// The hits of a file, with their labels.
pub(super) fn hits(file: &Path) -> Vec<(Hit, String)> {
    let (mut hits, mut texts) = (Vec::new(), HashMap::new());
    let mut reader = whole::open(file).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        match block {
            Block::Strings(strings) => texts.extend(strings.iter()),
            Block::Hits(block) => hits.extend(block.iter()),
            Block::Mark(_) | Block::Other | Block::End => {}
        }
    }
    let label = |hit: &Hit| texts.get(&hit.label).cloned().unwrap_or_default();
    hits.iter().map(|hit| (*hit, label(hit))).collect()
}
