//! Whatever is written is read back, and no bytes make the reader panic.

use encarno_wrpc::blaster::Packet;
use encarno_wrpc::value::{Reader, Write as _};
use proptest::prelude::*;

proptest! {
    #[test]
    fn integers(unsigned: u64, signed: i64) {
        let mut written = Vec::new();
        written.unsigned(unsigned);
        written.signed(signed);
        let mut reader = Reader::new(&written);
        prop_assert_eq!(reader.unsigned(64, "u64"), Ok(unsigned));
        prop_assert_eq!(reader.signed(64, "s64"), Ok(signed));
        prop_assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn narrow_integers_fit_exactly_their_range(value: i64, bits in prop::sample::select(vec![8u32, 16, 32])) {
        let mut written = Vec::new();
        written.signed(value);
        let fits = (value << (64 - bits)) >> (64 - bits) == value;
        prop_assert_eq!(Reader::new(&written).signed(bits, "signed").is_ok(), fits);
        let mut written = Vec::new();
        written.unsigned(value as u64);
        let fits = value as u64 >> bits == 0;
        prop_assert_eq!(Reader::new(&written).unsigned(bits, "unsigned").is_ok(), fits);
    }

    #[test]
    fn packets(id: String, payload: Vec<u8>, mem_burn_mb: u64, cpu_burn_ms: u64, wait_ms: u64) {
        let packet = Packet { id: &id, payload: &payload, mem_burn_mb, cpu_burn_ms, wait_ms };
        let encoded = packet.encode();
        prop_assert_eq!(Packet::decode(&encoded), Ok(packet));
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_value(bytes: Vec<u8>) {
        let _ = Packet::decode(&bytes);
        let mut reader = Reader::new(&bytes);
        let _ = reader.char();
        let _ = reader.string().map(str::len);
        let _ = reader.signed(16, "s16");
        let _ = reader.bit("bool");
        prop_assert!(reader.position() <= bytes.len());
    }
}
