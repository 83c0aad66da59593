//! Calls over TCP, in both ways: each thing that can go wrong is an error of its
//! own, none a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "tcp/calls.rs"]
mod calls;
#[path = "tcp/faults.rs"]
mod faults;
#[path = "tcp/half_close.rs"]
mod half_close;
#[path = "tcp/hostile.rs"]
mod hostile;
#[path = "tcp/http.rs"]
mod http;
#[path = "tcp/rig.rs"]
mod rig;
#[path = "tcp/tls.rs"]
mod tls;
#[path = "tcp/upstream.rs"]
mod upstream;
