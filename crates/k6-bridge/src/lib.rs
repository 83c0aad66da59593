//! The C ABI through which k6 makes wRPC calls.
