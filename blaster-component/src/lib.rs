//! The component that a blast calls. It reads the payload, holds memory, burns CPU and
//! sleeps, in this order, as `wit/blaster.wit` says.
//!
//! - [`burn`]: CPU time, measured by a guest that has only a wall clock
//! - [`memory`]: memory that the kernel has really provided

// `generate!` writes the code for the host's interface, without documentation.
#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "guest",
        generate_all,
    });
}

mod burn;
mod memory;

use std::hint::black_box;

use bindings::exports::xk6::wrpc::blaster::{Guest, Packet};
use bindings::wasi::clocks::monotonic_clock;

const NS_PER_MS: u64 = 1_000_000;

struct Component;

impl Guest for Component {
    fn blast(packet: Packet) {
        read(&packet.payload);
        let held = memory::hold(packet.mem_burn_mb);
        // Saturated, the longest times are 584 years, which no deadline exceeds.
        burn::cpu(
            packet.cpu_burn_ms.saturating_mul(NS_PER_MS),
            monotonic_clock::now,
        );
        sleep(packet.wait_ms.saturating_mul(NS_PER_MS));
        drop(held);
    }
}

/// Reads each byte once. `black_box` hides from the compiler that the sum isn't used.
fn read(payload: &[u8]) {
    let sum = payload
        .iter()
        .fold(0u64, |sum, &byte| sum + u64::from(byte));
    black_box(sum);
}

/// Sleeps in the host, which suspends this guest and holds no thread for it.
fn sleep(duration_ns: u64) {
    if duration_ns > 0 {
        monotonic_clock::subscribe_duration(duration_ns).block();
    }
}

bindings::export!(Component with_types_in bindings);
