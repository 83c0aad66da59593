//! The storms.
//!
//! - guests: components that misbehave, those of the receiver's tests
//! - wire: TCP messages written by hand
//! - receiver: against a receiver
//! - nats: against messages over NATS, and NATS itself
//! - hits: against the hit generator
//! - files: broken files
//! - kills: kills and stops of programs

mod files;
#[path = "../../../receiver/tests/receiver/guests.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the receiver's tests use the rest"
)]
pub(crate) mod guests;
mod hits;
mod kills;
mod nats;
mod receiver;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::failure::Failure;
use crate::row::Row;

type Running = Pin<Box<dyn Future<Output = Result<Row, Failure>>>>;

/// A storm, with its function.
pub(crate) struct Storm {
    pub(crate) name: &'static str,
    /// The attack and its target, as text.
    pub(crate) about: &'static str,
    /// Whether it belongs to the short selection.
    pub(crate) short: bool,
    pub(crate) run: fn(Duration) -> Running,
}

macro_rules! storm {
    ($name:literal, $short:literal, $about:literal, $run:path) => {
        Storm {
            name: $name,
            about: $about,
            short: $short,
            run: |time| Box::pin($run(time)),
        }
    };
}

pub(crate) const STORMS: &[Storm] = &[
    storm!(
        "large-calls",
        false,
        "receiver: 16 callers with 60 MiB each, 512 MiB for all",
        receiver::large_calls
    ),
    storm!(
        "guest-memory",
        false,
        "receiver: 100 callers whose guests take 250 MiB each, 1,024 MiB for all",
        receiver::guest_memory
    ),
    storm!(
        "begun-calls",
        true,
        "receiver: 64 calls of 3 bytes at a time that announce 60 MB each, and don't go on",
        receiver::begun_calls
    ),
    storm!(
        "half-calls",
        false,
        "receiver: calls of which 200 of 600 KB come, 64 MiB for all",
        receiver::half_calls
    ),
    storm!(
        "unread-results",
        false,
        "receiver: results of 32 MiB that nobody reads",
        receiver::unread_results
    ),
    storm!(
        "unread-stderr",
        true,
        "receiver: guests that write without end, traps at debug level, and nobody reads stderr",
        receiver::unread_stderr
    ),
    storm!(
        "bad-guests",
        false,
        "receiver: guests that leak handles, loop, grow, recurse, trap and lie",
        receiver::bad_guests
    ),
    storm!(
        "deep-guests",
        false,
        "receiver: 400 guests at a time that recurse deeply, and sleep there",
        receiver::deep_guests
    ),
    storm!(
        "prefaces",
        false,
        "receiver: 10,000 connections with a preface of nine bytes, 10,000 allowed",
        receiver::prefaces
    ),
    storm!(
        "slow-callers",
        true,
        "receiver: 500 callers that send a byte every 200 ms",
        receiver::slow_callers
    ),
    storm!(
        "random-frames",
        true,
        "receiver: connections with random bytes, and with real frames that were changed",
        receiver::random_frames
    ),
    storm!(
        "hostile-tls",
        true,
        "receiver with TLS: random bytes, half handshakes, and plain HTTP",
        receiver::hostile_tls
    ),
    storm!(
        "nats-nonsense",
        false,
        "receiver over NATS: 100 senseless messages a second: subjects, headers, parameters",
        nats::nonsense
    ),
    storm!(
        "nats-kills",
        false,
        "receiver over NATS: the server is killed and restarted every half second",
        nats::kills
    ),
    storm!(
        "endless-chunks",
        true,
        "encarno: a target that sends chunks of one byte without end",
        hits::endless_chunks
    ),
    storm!(
        "header-floods",
        true,
        "encarno: a target whose heads don't end",
        hits::header_floods
    ),
    storm!(
        "slow-target",
        true,
        "encarno: a target that sends a byte every 50 ms",
        hits::slow_target
    ),
    storm!(
        "hostile-http",
        true,
        "encarno: a target that sends responses which were changed at random",
        hits::hostile_http
    ),
    storm!(
        "hostile-http2",
        true,
        "encarno: a target that floods with frames of HTTP/2, or changes them at random",
        hits::hostile_http2
    ),
    storm!(
        "hostile-target-tls",
        true,
        "encarno: a target that answers TLS with random bytes, or a part of a handshake",
        hits::hostile_tls
    ),
    storm!(
        "udp-flood",
        true,
        "encarno: a target that answers each datagram with 200",
        hits::udp_flood
    ),
    storm!(
        "udp-late",
        true,
        "encarno: a target whose datagrams come when their hit is over",
        hits::udp_late
    ),
    storm!(
        "broken-files",
        true,
        "encarno: result files, inputs and configurations that were changed at random, for each command",
        files::broken
    ),
    storm!(
        "stopped-runs",
        true,
        "encarno: runs that are killed, stopped, and stopped twice",
        kills::runs
    ),
    storm!(
        "killed-callers",
        false,
        "receiver: k6 is killed and started again",
        kills::k6_killed
    ),
    storm!(
        "killed-receivers",
        false,
        "k6: its receiver is killed and started again",
        kills::receivers
    ),
];
