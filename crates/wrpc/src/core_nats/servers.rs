//! The known servers, and the order in which they are tried.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::options::ServerAddr;

/// The most servers.
const SERVERS_MAX: usize = 1024;

/// The first pause between attempts to connect; it doubles with each attempt.
const DELAY_MIN: Duration = Duration::from_millis(10);

/// Servers, the next one first.
pub(super) struct Servers {
    queue: VecDeque<Known>,
}

#[derive(Clone)]
struct Known {
    address: ServerAddr,
    /// Whether another server announced it and may withdraw it.
    is_told: bool,
}

impl Servers {
    /// The servers in random order, so that a cluster's clients are spread over its
    /// servers.
    pub(super) fn new(given: &[ServerAddr], told: &[ServerAddr]) -> Self {
        let is_new = |other: &&ServerAddr| !given.iter().any(|known| known.is_same_place(other));
        let told = told.iter().filter(is_new).map(|address| (address, true));
        let mut servers: Vec<_> = (given.iter().map(|address| (address, false)))
            .chain(told)
            .collect();
        let state = RandomState::new();
        for at in (1..servers.len()).rev() {
            let other = state.hash_one(at) % (at as u64 + 1);
            servers.swap(at, other as usize);
        }
        let known = |(address, is_told): (&ServerAddr, bool)| Known {
            address: address.clone(),
            is_told,
        };
        Self {
            queue: servers.into_iter().map(known).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The servers that other servers have announced.
    pub(super) fn told(&self) -> Vec<ServerAddr> {
        let told = self.queue.iter().filter(|known| known.is_told);
        told.map(|known| known.address.clone()).collect()
    }

    /// The next server, which becomes the last.
    pub(super) fn next(&mut self) -> Option<ServerAddr> {
        let next = self.queue.pop_front()?;
        self.queue.push_back(next.clone());
        Some(next.address)
    }

    /// Replaces the servers that this server announced by the ones that it announces now.
    pub(super) fn told_by(&mut self, server: &ServerAddr, others: &[String]) {
        let mut told = Vec::new();
        told.extend(others.iter().filter_map(|other| server.told_by(other)));
        if told.is_empty() {
            return;
        }
        self.queue.retain(|known| {
            let is_same = |other: &ServerAddr| other.is_same_place(&known.address);
            !known.is_told || is_same(server) || told.iter().any(is_same)
        });
        for address in told {
            let is_same = |known: &Known| known.address.is_same_place(&address);
            if !self.queue.iter().any(is_same) && self.queue.len() < SERVERS_MAX {
                // The last server in the queue is the one that announces.
                let at = self.queue.len().saturating_sub(1);
                let is_told = true;
                self.queue.insert(at, Known { address, is_told });
            }
        }
    }
}

/// The pause before an attempt: 0, 10, 20, 40 … ms. So a restarted server is found at
/// once, and a missing one isn't flooded. Up to half of a pause is left out at random, so
/// that clients of the same lost server don't come back at the same instant.
pub(super) fn delay(attempt: usize, longest: Duration) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(31);
    let delay = DELAY_MIN.saturating_mul(1 << doublings).min(longest);
    let chance = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    delay.mul_f64(1.0 - chance / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SERVERS_MAX, Servers, delay};
    use crate::core_nats::options::ServerAddr;
    use crate::location::Location;

    fn server(url: &str) -> ServerAddr {
        ServerAddr::new(&Location::parse(url, &["nats", "tls"]).expect(url))
    }

    #[test]
    fn each_in_turn_and_none_twice() {
        let given: Vec<_> = (1..=5).map(|port| server(&format!("a:{port}"))).collect();
        let mut servers = Servers::new(&given, &[]);
        let mut seen: Vec<_> = (0..5).filter_map(|_| servers.next()).collect();
        assert_eq!(servers.next(), seen.first().cloned());
        seen.sort_by_key(|server| server.port);
        assert_eq!(seen, given);

        servers.told_by(&given[0], &["a:3".into(), "nonsense".into(), "b:1".into()]);
        assert_eq!(servers.len(), 6);
        let hosts: Vec<_> = (0..6)
            .filter_map(|_| servers.next())
            .map(|next| next.host)
            .collect();
        assert_eq!(hosts.iter().filter(|host| *host == "b").count(), 1);
        servers.told_by(&given[0], &["c:1".into()]);
        let hosts: Vec<_> = (0..6)
            .filter_map(|_| servers.next())
            .map(|next| next.host)
            .collect();
        assert!(
            hosts.contains(&"c".into()) && !hosts.contains(&"b".into()),
            "{hosts:?}"
        );
        let many: Vec<String> = (0..2 * SERVERS_MAX).map(|at| format!("c{at}:1")).collect();
        servers.told_by(&given[0], &many);
        assert_eq!(servers.len(), SERVERS_MAX);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let longest = Duration::from_millis(300);
        assert_eq!(delay(1, longest), Duration::ZERO);
        for (attempt, ms) in [
            (2, 10),
            (3, 20),
            (6, 160),
            (7, 300),
            (40, 300),
            (usize::MAX, 300),
        ] {
            for _ in 0..100 {
                let delay = delay(attempt, longest);
                let full = Duration::from_millis(ms);
                assert!(full / 2 <= delay && delay <= full, "{attempt}: {delay:?}");
            }
        }
    }
}
