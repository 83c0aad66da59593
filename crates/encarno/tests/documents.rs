//! What the documents say is what the program has.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;

/// docs/configuration.md has a row for each key, and no row for a key that isn't there.
#[test]
fn each_key_of_the_configuration_has_a_row() {
    let source = include_str!("../src/config/raw.rs");
    let page = include_str!("../../../docs/configuration.md");
    let fields = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub(super) "));
    let keys: BTreeSet<&str> = fields
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name.trim_start_matches('_'))
        .filter(|&key| key != "levelstart" && key != "levelend")
        .collect();
    // What stands between backticks in the first cell of a row.
    let cells = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line[1..].split(" | ").next());
    let mut rows: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    // The sections are headings.
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    rows.extend(headings);
    assert_eq!(keys, rows);
}
