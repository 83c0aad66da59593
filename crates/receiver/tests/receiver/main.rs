//! The receiver as its users meet it: the program, a real nats-server, guests
//! that behave and guests that don't.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guests;
mod http_client;
mod program;

mod blaster;
mod calls;
mod connection;
mod end;
mod faults;
mod http;
mod interoperability;
mod limits;
mod memory;
mod output;
mod refusals;
mod starts;
mod tcp;
