//! Hits that stand for others: those that took part in a trace, whose identifiers lead
//! from a figure to what happened in the system.

use crate::sums::Outcome;
use crate::{Hit, StringId, varint};

/// Which trace a hit began, as its header `traceparent` says
/// (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; no other has it.
    pub trace_id: u128,
    /// The hit in it; 0 if that isn't known.
    pub span_id: u64,
}

impl TraceContext {
    /// The value of the header: this trace is to be recorded.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

/// The most exemplars that are kept of a buffer of hits, or between two writes: nobody looks
/// at more of them.
pub const KEPT_MAX: usize = 64;

/// A hit that took part in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exemplar {
    /// The trace.
    pub trace: TraceContext,
    /// What it has in common with others.
    pub outcome: Outcome,
    /// When it ended, ns from the run's start.
    pub ended_ns: u64,
    /// From the instant it was scheduled for to its end, ns.
    pub response_ns: u64,
    /// From its start to its end, ns.
    pub service_ns: u64,
}

impl Exemplar {
    /// That of a hit.
    pub fn of(hit: &Hit, trace: TraceContext) -> Self {
        Self {
            trace,
            outcome: Outcome::of(hit),
            ended_ns: hit.ended_ns,
            response_ns: hit.response_ns(),
            service_ns: hit.service_ns(),
        }
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.trace.trace_id.to_be_bytes());
        out.extend_from_slice(&self.trace.span_id.to_be_bytes());
        let outcome = &self.outcome;
        for number in [
            u64::from(outcome.label.0),
            u64::from(outcome.error.0),
            u64::from(outcome.net_code),
            u64::from(outcome.protocol_code),
            self.ended_ns,
            self.response_ns,
            self.service_ns,
        ] {
            varint::append(out, number);
        }
    }

    /// Takes what [`Exemplar::append_to`] wrote; none if it isn't that.
    pub(crate) fn take_from(bytes: &mut &[u8]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, rest) = rest.split_first_chunk()?;
        *bytes = rest;
        let trace = TraceContext {
            trace_id: u128::from_be_bytes(*trace_id),
            span_id: u64::from_be_bytes(*span_id),
        };
        let mut number = || varint::take(bytes);
        Some(Self {
            trace,
            outcome: Outcome {
                label: StringId(number()?.try_into().ok()?),
                error: StringId(number()?.try_into().ok()?),
                net_code: number()?.try_into().ok()?,
                protocol_code: number()?.try_into().ok()?,
            },
            ended_ns: number()?,
            response_ns: number()?,
            service_ns: number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Exemplar, TraceContext};
    use crate::{Hit, StringId};

    #[test]
    fn it_is_read_as_it_was_written_and_cut_ones_are_none() {
        let trace = TraceContext {
            trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span_id: 0x00f0_67aa_0ba9_02b7,
        };
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
        assert_eq!(trace.traceparent(), traceparent);
        let hit = Hit {
            label: StringId(3),
            scheduled_ns: 5,
            started_ns: 7,
            ended_ns: 1 << 60,
            protocol_code: 503,
            ..Hit::default()
        };
        let exemplar = Exemplar::of(&hit, trace);
        let mut bytes = Vec::new();
        exemplar.append_to(&mut bytes);
        exemplar.append_to(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!(Exemplar::take_from(&mut rest), Some(exemplar));
        assert_eq!(Exemplar::take_from(&mut rest), Some(exemplar));
        assert!(rest.is_empty());
        for cut in 0..bytes.len() / 2 {
            assert_eq!(Exemplar::take_from(&mut &bytes[..cut]), None);
        }
    }
}
