//! The packet of `xk6:wrpc/blaster`, as `wit/blaster.wit` declares it.

use crate::value::{DecodeError, Reader, Write as _};

/// The instance that exports [`FUNCTION`].
pub const INSTANCE: &str = "xk6:wrpc/blaster@0.0.1";
/// `blast: func(packet: packet)`.
pub const FUNCTION: &str = "blast";

/// One piece of work for a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The name of the packet in logs.
    pub id: &'a str,
    /// Bytes that the component reads.
    pub payload: &'a [u8],
    /// MiB to allocate, touch and hold.
    pub mem_burn_mb: u64,
    /// Milliseconds of CPU to burn.
    pub cpu_burn_ms: u64,
    /// Milliseconds to sleep.
    pub wait_ms: u64,
}

impl<'a> Packet<'a> {
    /// The parameters of `blast` with this packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.id.len() + self.payload.len() + 40);
        encoded.bytes(self.id.as_bytes());
        encoded.bytes(self.payload);
        encoded.unsigned(self.mem_burn_mb);
        encoded.unsigned(self.cpu_burn_ms);
        encoded.unsigned(self.wait_ms);
        encoded
    }

    /// The packet in these parameters.
    pub fn decode(params: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(params);
        let packet = Self {
            id: reader.string()?,
            payload: reader.bytes()?,
            mem_burn_mb: reader.unsigned(64, "mem-burn-mb")?,
            cpu_burn_ms: reader.unsigned(64, "cpu-burn-ms")?,
            wait_ms: reader.unsigned(64, "wait-ms")?,
        };
        reader.finish()?;
        Ok(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::Packet;

    #[test]
    fn the_captured_packet() {
        let packet = Packet {
            id: "id-1",
            payload: &[0xab; 8],
            ..Packet::default()
        };
        let captured = [
            0x04, 0x69, 0x64, 0x2d, 0x31, 0x08, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0,
            0, 0,
        ];
        assert_eq!(packet.encode(), captured);
        assert_eq!(Packet::decode(&captured), Ok(packet));
    }

    #[test]
    fn every_prefix_of_a_packet_is_truncated() {
        let encoded = Packet {
            id: "x",
            payload: &[1; 300],
            mem_burn_mb: 1000,
            cpu_burn_ms: u64::MAX,
            wait_ms: 7,
        }
        .encode();
        for end in 0..encoded.len() {
            assert!(Packet::decode(&encoded[..end]).is_err(), "{end} bytes");
        }
    }
}
