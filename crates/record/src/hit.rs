//! What became of what was sent.

use crate::Expected;
use crate::strings::StringId;

/// What became of one hit. Instants are ns on the run's monotonic clock, from
/// its start; an instant that wasn't reached is 0 from there on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hit {
    /// When it should have started. In a closed workload: when its worker was free.
    pub scheduled_ns: u64,
    /// When it started.
    pub started_ns: u64,
    /// When the connection was there; equal to the start if it was reused.
    pub connected_ns: u64,
    /// When the last byte was sent.
    pub sent_ns: u64,
    /// When the first byte of the answer came.
    pub first_byte_ns: u64,
    /// When it ended, well or not.
    pub ended_ns: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The name under which results are grouped.
    pub label: StringId,
    /// What went wrong, as text; 0 = nothing.
    pub error: StringId,
    /// How many workers had a hit, this one included, or paused after one, when
    /// it started: the users.
    pub concurrency: u32,
    /// The worker that made it.
    pub worker: u32,
    /// The operating system's error number, or one of ours (see `nib`); 0 = none.
    pub net_code: u16,
    /// The protocol's status (HTTP 200 …); 0 = none.
    pub protocol_code: u16,
    /// DNS took so long, in µs; part of the connect time.
    pub dns_us: u32,
    /// The TLS handshake took so long, in µs; the end of the connect time.
    pub tls_us: u32,
}

impl Hit {
    /// From its start: what the service took.
    pub fn service_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.started_ns)
    }

    /// From the instant it should have started: what a user would have felt.
    pub fn response_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.scheduled_ns)
    }

    /// Its phases: connect, send, wait for the first byte, read. A phase that
    /// wasn't reached is 0, and the one in which it ended has the rest, so
    /// that they add up to the service time.
    pub fn phases_ns(&self) -> [u64; 4] {
        let mut phases = [0; 4];
        let mut since = self.started_ns;
        let ends = [
            self.connected_ns,
            self.sent_ns,
            self.first_byte_ns,
            self.ended_ns,
        ];
        for (phase, end) in ends.into_iter().enumerate() {
            if end == 0 || phase == 3 {
                phases[phase] = self.ended_ns.saturating_sub(since);
                break;
            }
            phases[phase] = end.saturating_sub(since);
            since = since.max(end);
        }
        phases
    }

    /// The status as Go-encarno counts it: 999 is an error below the protocol.
    pub fn go_status(&self) -> u16 {
        go_status(self.net_code, self.protocol_code, self.error.0 != 0)
    }

    /// Whether it failed: no answer, a status that isn't expected, or an
    /// answer that isn't as asserted.
    #[inline]
    pub fn failed(&self, expected: &Expected) -> bool {
        expected.is_failure(self.net_code, self.protocol_code, self.error.0 != 0)
    }

    /// How late it started.
    pub fn lag_ns(&self) -> u64 {
        self.started_ns.saturating_sub(self.scheduled_ns)
    }
}

/// The status as Go-encarno counts it, of what a hit came to.
pub(crate) fn go_status(net_code: u16, protocol_code: u16, has_error: bool) -> u16 {
    if net_code != 0 || protocol_code == 0 && has_error {
        999
    } else {
        protocol_code
    }
}

#[cfg(test)]
mod tests {
    use super::Hit;

    #[test]
    fn phases_add_up_to_the_service_time() {
        let whole = Hit {
            started_ns: 10,
            connected_ns: 13,
            sent_ns: 20,
            first_byte_ns: 50,
            ended_ns: 100,
            ..Hit::default()
        };
        assert_eq!(whole.phases_ns(), [3, 7, 30, 50]);
        let refused = Hit {
            started_ns: 10,
            ended_ns: 100,
            ..Hit::default()
        };
        assert_eq!(refused.phases_ns(), [90, 0, 0, 0]);
        let silent = Hit {
            first_byte_ns: 0,
            ..whole
        };
        assert_eq!(silent.phases_ns(), [3, 7, 80, 0]);
    }
}
