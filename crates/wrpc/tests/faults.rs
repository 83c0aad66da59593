//! What happens to calls when servers die, networks fail and peers misbehave: each
//! ends with a result or an error, no later than its timeout, and exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

#[path = "faults/load.rs"]
mod load;
#[path = "faults/networks.rs"]
mod networks;
#[path = "faults/peers.rs"]
mod peers;
#[path = "faults/raw_server.rs"]
mod raw_server;
#[path = "faults/servers.rs"]
mod servers;
