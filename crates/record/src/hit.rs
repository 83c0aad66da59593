//! The result of one hit.

use crate::Expected;
use crate::strings::StringId;

/// The result of one hit. Instants are ns on the run's monotonic clock, from its start.
/// All instants from the first that wasn't reached on are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hit {
    /// When it should have started. In a closed workload, when its worker was free.
    pub scheduled_ns: u64,
    /// When it started.
    pub started_ns: u64,
    /// When the connection was open; equal to the start if it was reused.
    pub connected_ns: u64,
    /// When the last byte was sent.
    pub sent_ns: u64,
    /// When the first byte of the answer arrived.
    pub first_byte_ns: u64,
    /// When it ended, with success or failure.
    pub ended_ns: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The label under which results are grouped.
    pub label: StringId,
    /// The error text; 0 means no error.
    pub error: StringId,
    /// The number of workers that had a hit, including this one, or paused after one,
    /// when it started: the users.
    pub concurrency: u32,
    /// The worker that made it.
    pub worker: u32,
    /// The operating system's error number, or one of [`crate::code`]; 0 means none.
    pub net_code: u16,
    /// The protocol's status (HTTP 200 …); 0 means none.
    pub protocol_code: u16,
    /// The time for DNS, in µs; part of the connect time.
    pub dns_us: u32,
    /// The time for the TLS handshake, in µs; the last part of the connect time.
    pub tls_us: u32,
}

impl Hit {
    /// The service time: from its start to its end.
    pub fn service_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.started_ns)
    }

    /// The response time: from its scheduled instant to its end, as a user would have
    /// felt it.
    pub fn response_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.scheduled_ns)
    }

    /// Its phases: connect, send, wait for the first byte, read. A phase that wasn't
    /// reached is 0, and the phase in which the hit ended has the rest, so the sum is the
    /// service time.
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

    /// The status as Go-encarno counts it; 999 means an error below the protocol.
    pub fn go_status(&self) -> u16 {
        go_status(self.net_code, self.protocol_code, self.error.0 != 0)
    }

    /// Whether it failed: without an answer, with an unexpected status, or with an answer
    /// that breaks an assert.
    #[inline]
    pub fn failed(&self, expected: &Expected) -> bool {
        expected.is_failure(self.net_code, self.protocol_code, self.error.0 != 0)
    }

    /// The lag: from its scheduled instant to its start.
    pub fn lag_ns(&self) -> u64 {
        self.started_ns.saturating_sub(self.scheduled_ns)
    }
}

/// The status of an outcome as Go-encarno counts it.
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
