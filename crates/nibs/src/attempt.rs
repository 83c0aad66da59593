//! The addresses of a name, one after the other (RFC 8305 in spirit).

use encarno_nib::Route;
use encarno_nib::socket::Peer;

/// The attempts to connect for one hit.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Where the last one goes to.
    pub(crate) peer: Option<Peer>,
    /// One that was silent, and may only be slow.
    silent: Option<Peer>,
    count: usize,
    addresses: usize,
}

impl Attempt {
    /// Another one.
    pub(crate) fn begin(&mut self, route: &Route) {
        self.count += 1;
        self.addresses = route.addresses;
        self.peer = Some(route.peer.clone());
    }

    /// Whether another address is left, or a silent one to come back to, which
    /// gets all the time there is.
    pub(crate) fn may_pass_over(&self) -> bool {
        self.count < self.addresses || self.count == self.addresses && self.silent.is_some()
    }

    /// The last one had no answer in time.
    pub(crate) fn is_silent(&mut self) {
        if self.silent.is_none() {
            self.silent = self.peer.clone();
        }
    }

    /// The address to come back to, once all others were tried.
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

    use encarno_nib::Route;
    use encarno_nib::socket::Peer;

    use super::Attempt;

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
        attempt.begin(&route(1, 2));
        assert!(attempt.may_pass_over());
        attempt.is_silent();
        assert_eq!(attempt.silent_peer(), None, "the other one is tried first");
        attempt.begin(&route(2, 2));
        assert!(attempt.may_pass_over());
        assert_eq!(attempt.silent_peer(), Some(&route(1, 2).peer));
        attempt.begin(&route(1, 2));
        assert!(!attempt.may_pass_over());
    }

    #[test]
    fn the_last_address_that_refuses_fails_the_hit() {
        let mut attempt = Attempt::default();
        attempt.begin(&route(1, 1));
        assert!(!attempt.may_pass_over());
        let mut attempt = Attempt::default();
        attempt.begin(&route(1, 2));
        attempt.begin(&route(2, 2));
        assert!(!attempt.may_pass_over());
    }
}
