//! The parent process. When it has ended, nobody would end this process, so this process
//! ends too.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

use super::{Failure, complain};

/// The time that running hits get to end; after it, they are given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes this process end as by SIGTERM when its parent has ended.
pub(super) fn end_with(parent: Option<Pid>) -> Result<(), Failure> {
    let Some(parent) = parent else {
        return Ok(());
    };
    let name = parent.as_raw_nonzero();
    let bad = |reason: &dyn std::fmt::Display| Failure::setup(format!("--parent {name}: {reason}"));
    // Use a handle and not the number, which another process may get.
    let handle = match pidfd_open(parent, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Err(bad(&"there is no such process")),
        Err(errno) => return Err(bad(&errno)),
    };
    let body = move || {
        while !has_ended(&handle, None) {}
        complain(&format!(
            "the process {name} is gone (--parent): this process ends, too"
        ));
        end_this();
    };
    let thread = thread::Builder::new().name("parent".to_owned()).spawn(body);
    thread.map(drop).map_err(|error| bad(&error))
}

/// Sends this process the signal three times: see `connect_signals`.
pub(super) fn end_this() {
    loop {
        let _sent = kill_process(getpid(), Signal::TERM);
        thread::sleep(PATIENCE);
    }
}

/// Whether that process has ended, within that time if one is given; a signal may cut the
/// wait short.
pub(super) fn has_ended(process: &OwnedFd, patience: Option<Duration>) -> bool {
    let mut waited = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
    poll(&mut waited, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}
