//! Service stations whose throughput is known exactly: the time of a request depends on
//! the number of others in service.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use encarno_capacity::usl::Usl;

/// Requests share one service, all at the same speed (processor sharing). With n requests
/// in service, X(n) of them end per second, by the Universal Scalability Law. So n
/// workers that wait for their answers reach exactly X(n), for any distribution of the
/// work.
#[derive(Debug)]
pub(super) struct Sharing {
    usl: Usl,
    /// The work that each request in service has received, in units of the mean.
    served: f64,
    /// The instant at which that is true, ns.
    at_ns: f64,
    jobs: BinaryHeap<Job>,
}

/// A request in service.
#[derive(Debug, PartialEq)]
struct Job {
    /// It ends when `served` reaches this value.
    ends: f64,
    number: u64,
}

impl Eq for Job {}

impl Ord for Job {
    /// The request that ends first is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.ends.total_cmp(&self.ends);
        order.then_with(|| other.number.cmp(&self.number))
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Sharing {
    pub(super) fn new(usl: Usl) -> Self {
        Self {
            usl,
            served: 0.0,
            at_ns: 0.0,
            jobs: BinaryHeap::new(),
        }
    }

    /// Adds a request with this work. Take all requests that ended before with
    /// [`Sharing::next_ended`] first.
    pub(super) fn arrive(&mut self, number: u64, work: f64, now_ns: u64) {
        self.go_on(now_ns as f64);
        self.jobs.push(Job {
            ends: self.served + work,
            number,
        });
    }

    /// When the next request ends, if none arrives before.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let job = self.jobs.peek()?;
        let rest_s = (job.ends - self.served) / self.speed();
        Some((self.at_ns + rest_s * 1e9).ceil() as u64)
    }

    /// The next request that has ended by now.
    pub(super) fn next_ended(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_ns().filter(|&due_ns| due_ns <= now_ns)?;
        self.go_on(due_ns as f64);
        // A rest of nanoseconds is rounding.
        let job = self.jobs.pop()?;
        self.served = self.served.max(job.ends);
        Some(job.number)
    }

    /// The work that each request receives in a second.
    fn speed(&self) -> f64 {
        let count = self.jobs.len() as f64;
        self.usl.throughput(count) / count
    }

    fn go_on(&mut self, now_ns: f64) {
        if self.jobs.is_empty() {
            // Reset it, because small numbers keep more digits.
            self.served = 0.0;
        } else {
            self.served += (now_ns - self.at_ns).max(0.0) * 1e-9 * self.speed();
        }
        self.at_ns = self.at_ns.max(now_ns);
    }
}

/// Servers that serve one request each, first come first served.
#[derive(Debug)]
pub(super) struct Servers {
    /// When each server is free, ns.
    free_ns: Vec<u64>,
}

impl Servers {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free_ns: vec![0; count.max(1)],
        }
    }

    /// When a request ends that arrives now and takes this long.
    pub(super) fn arrive(&mut self, now_ns: u64, service_ns: u64) -> u64 {
        let Some(free_ns) = self.free_ns.iter_mut().min() else {
            return now_ns + service_ns;
        };
        *free_ns = (*free_ns).max(now_ns) + service_ns;
        *free_ns
    }
}

#[cfg(test)]
mod tests {
    use super::{Servers, Sharing};
    use encarno_capacity::usl::Usl;

    const USL: Usl = Usl {
        lambda: 1000.0,
        sigma: 0.03,
        kappa: 5e-4,
    };

    /// Workers that send again as soon as they have their answer.
    #[test]
    fn closed_workers_reach_what_the_law_says() {
        for workers in [1, 4, 44, 100] {
            let mut station = Sharing::new(USL);
            // A deterministic mixture of short and long work with a mean of 1.
            let mut works = [0.1, 3.0, 0.4, 0.2, 1.3].into_iter().cycle();
            for number in 0..workers {
                station.arrive(number, works.next().unwrap_or(1.0), 0);
            }
            let (mut ended, mut now_ns) = (0, 0);
            while ended < 20_000 {
                now_ns = station.next_ns().expect("there is always one");
                while let Some(number) = station.next_ended(now_ns) {
                    ended += 1;
                    station.arrive(number, works.next().unwrap_or(1.0), now_ns);
                }
            }
            let throughput = ended as f64 / now_ns as f64 * 1e9;
            let expected = USL.throughput(workers as f64);
            assert!(
                (throughput / expected - 1.0).abs() < 0.01,
                "{workers}: {throughput} {expected}"
            );
        }
    }

    #[test]
    fn requests_alone_take_their_own_time() {
        let mut station = Sharing::new(USL);
        for start_ns in [5_000_000_000, 6_000_000_000] {
            station.arrive(1, 2.0, start_ns);
            assert_eq!(station.next_ended(start_ns + 1_999_000), None);
            let due_ns = station.next_ns().expect("one is in service");
            assert!(due_ns.abs_diff(start_ns + 2_000_000) <= 2, "{due_ns}");
            assert_eq!(station.next_ended(due_ns), Some(1));
            assert_eq!(station.next_ns(), None);
        }
    }

    #[test]
    fn servers_take_one_each() {
        let mut servers = Servers::new(2);
        assert_eq!(servers.arrive(100, 50), 150);
        assert_eq!(servers.arrive(100, 70), 170);
        assert_eq!(servers.arrive(110, 10), 160);
        assert_eq!(servers.arrive(1000, 5), 1005);
    }
}
