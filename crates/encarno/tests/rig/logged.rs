//! What a target of its own says of the hits that came.

use std::collections::HashMap;
use std::path::Path;

use encarno_target::{LogEntry, Target, TargetSettings, read_log};

/// Starts a target for `run`, which is given a folder and the address: what that gives,
/// and the target's log by the numbers of the requests.
pub(super) fn logged<T>(
    settings: TargetSettings,
    run: impl FnOnce(&Path, std::net::SocketAddr) -> T,
) -> (T, HashMap<u64, Vec<LogEntry>>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let target = Target::start(TargetSettings {
        log: Some(log.clone()),
        ..settings
    });
    let target = target.unwrap();
    let outcome = run(folder.path(), target.address());
    target.stop().unwrap();
    let mut by_number: HashMap<u64, Vec<LogEntry>> = HashMap::new();
    for entry in read_log(&log).unwrap() {
        by_number.entry(entry.sequence).or_default().push(entry);
    }
    (outcome, by_number)
}
