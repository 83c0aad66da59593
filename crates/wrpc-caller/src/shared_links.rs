//! Links that clients of equal options share.

use std::sync::{Arc, Weak};

use encarno_wrpc::Counters;

use crate::link::{Link, Transport};

/// The links that clients with equal options share. A link lives as long as one of its
/// clients.
#[derive(Default)]
pub(crate) struct SharedLinks {
    groups: Vec<Group>,
}

struct Group {
    transport: Transport,
    links: Vec<Weak<Link>>,
    next: usize,
}

impl SharedLinks {
    /// Takes one of `count` links with these options in turn, with its number. Links with
    /// the same number are always used on the same IO thread.
    pub(crate) fn take(
        &mut self,
        transport: &Transport,
        count: usize,
        counters: impl FnOnce(usize) -> Arc<Counters>,
    ) -> (Arc<Link>, usize) {
        self.groups
            .retain(|group| group.links.iter().any(|link| link.strong_count() > 0));
        let found = self
            .groups
            .iter()
            .position(|group| group.transport == *transport && group.links.len() == count);
        let at = found.unwrap_or_else(|| {
            self.groups.push(Group {
                transport: transport.clone(),
                links: (0..count).map(|_| Weak::new()).collect(),
                next: 0,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        let number = group.next;
        group.next = (number + 1) % count;
        let link = group.links[number].upgrade().unwrap_or_else(|| {
            let link = Arc::new(Link::new(transport.clone(), counters(number)));
            group.links[number] = Arc::downgrade(&link);
            link
        });
        (link, number)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SharedLinks;
    use crate::link::Transport;
    use crate::options::Options;

    #[test]
    fn equal_options_share_links() {
        let transport = |url: &str| {
            let json = format!(r#"{{"nats": {{"url": "{url}"}}}}"#);
            Options::parse(json.as_bytes()).expect("options").transport
        };
        let (here, there) = (transport("nats://here"), transport("nats://there"));
        let mut links = SharedLinks::default();
        let take = |links: &mut SharedLinks, transport: &Transport, count| {
            links.take(transport, count, |_| Arc::default())
        };
        let (first, number) = take(&mut links, &here, 2);
        let (second, other) = take(&mut links, &here, 2);
        assert!(!Arc::ptr_eq(&first, &second) && number != other);
        let (again, same) = take(&mut links, &here, 2);
        assert!(Arc::ptr_eq(&first, &again) && number == same);
        assert!(!Arc::ptr_eq(&first, &take(&mut links, &there, 2).0));
        assert!(!Arc::ptr_eq(&second, &take(&mut links, &here, 1).0));
        drop((first, second, again));
        take(&mut links, &there, 1);
        assert!(links.groups.len() <= 2, "closed links leave nothing behind");
    }
}
