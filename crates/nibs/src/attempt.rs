//! Tries the addresses of a name one after the other, similar to RFC 8305.

use std::time::Duration;

use encarno_nib::Route;
use encarno_nib::socket::Peer;

/// An address that is silent for longer than this is passed over, if there is another
/// one.
const SILENCE_NS_MAX: u64 = 300_000_000;

/// The attempts to connect for one hit.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The peer of the last attempt.
    pub(crate) peer: Option<Peer>,
    /// A peer that was silent, and may only be slow.
    silent: Option<Peer>,
    count: usize,
    addresses: usize,
    /// The instant at which the last attempt counts as silent.
    silent_at_ns: u64,
}

impl Attempt {
    /// Begins another attempt. If a hit has little time, each address gets a share of it,
    /// because a silent address must not use all of it.
    pub(crate) fn begin(&mut self, route: &Route, now_ns: u64, timeout: Duration) {
        let timeout_ns = timeout.as_nanos().min(u128::from(u64::MAX / 2)) as u64;
        let share_ns = timeout_ns / (route.addresses as u64 + 1);
        self.silent_at_ns = now_ns + share_ns.min(SILENCE_NS_MAX);
        self.count += 1;
        self.addresses = route.addresses;
        self.peer = Some(route.peer.clone());
    }

    /// Whether another address is left, or a silent one to return to, which gets all the
    /// remaining time.
    pub(crate) fn may_pass_over(&self) -> bool {
        self.count < self.addresses || self.count == self.addresses && self.silent.is_some()
    }

    /// The instant at which the last attempt counts as silent.
    pub(crate) fn silent_at_ns(&self) -> u64 {
        self.silent_at_ns
    }

    /// Notes that the last attempt had no answer in time.
    pub(crate) fn is_silent(&mut self) {
        if self.silent.is_none() {
            self.silent = self.peer.clone();
        }
    }

    /// The silent address to return to, once all others were tried.
    pub(crate) fn silent_peer(&self) -> Option<&Peer> {
        self.silent
            .as_ref()
            .filter(|_| self.count == self.addresses)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use std::net::SocketAddr;
    use std::time::Duration;

    use encarno_nib::Route;
    use encarno_nib::socket::Peer;

    use super::Attempt;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_address_is_silent_after_its_share_of_the_time() {
        for (addresses, timeout_ms, silent_ms) in
            [(2, 10_000, 300), (2, 240, 80), (3, 100, 25), (1, 100, 50)]
        {
            let mut attempt = Attempt::default();
            let timeout = Duration::from_millis(timeout_ms);
            attempt.begin(&route(1, addresses), 7, timeout);
            assert_eq!(attempt.silent_at_ns(), 7 + silent_ms * 1_000_000);
        }
    }

    fn route(last: u8, addresses: usize) -> Route {
        Route {
            peer: Peer::Internet(SocketAddr::from(([127, 0, 0, last], 80))),
            source: None,
            tls: false,
            name: "name".into(),
            authority: "name:80".into(),
            addresses,
        }
    }

    #[test]
    fn a_silent_address_gets_the_rest_of_the_time_when_all_others_refused() {
        let mut attempt = Attempt::default();
        attempt.begin(&route(1, 2), 0, SECOND);
        assert!(attempt.may_pass_over());
        attempt.is_silent();
        assert_eq!(attempt.silent_peer(), None, "the other one is tried first");
        attempt.begin(&route(2, 2), 0, SECOND);
        assert!(attempt.may_pass_over());
        assert_eq!(attempt.silent_peer(), Some(&route(1, 2).peer));
        attempt.begin(&route(1, 2), 0, SECOND);
        assert!(!attempt.may_pass_over());
    }

    #[test]
    fn the_last_address_that_refuses_fails_the_hit() {
        let mut attempt = Attempt::default();
        attempt.begin(&route(1, 1), 0, SECOND);
        assert!(!attempt.may_pass_over());
        let mut attempt = Attempt::default();
        attempt.begin(&route(1, 2), 0, SECOND);
        attempt.begin(&route(2, 2), 0, SECOND);
        assert!(!attempt.may_pass_over());
    }
}
