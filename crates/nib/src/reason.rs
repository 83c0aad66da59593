//! Texts for failed connections, with the failure and the peer. The same failure always
//! has the same text.

use std::io;

use rustix::io::Errno;

use crate::socket::Peer;

/// The text for an error of the operating system, with the peer if it is known.
pub(crate) fn system(errno: Errno, peer: Option<&Peer>) -> String {
    let whom = peer.map_or_else(|| "the target".to_owned(), Peer::to_string);
    match errno {
        Errno::CONNREFUSED => format!("connection refused by {whom}"),
        Errno::CONNRESET => format!("connection reset by {whom}"),
        Errno::PIPE => format!("connection closed by {whom} before all was sent"),
        Errno::TIMEDOUT => format!("no connection to {whom} in time"),
        Errno::HOSTUNREACH => format!("no route to the host of {whom}"),
        Errno::NETUNREACH => format!("no route to the network of {whom}"),
        Errno::ACCESS | Errno::PERM => format!("a connection to {whom} isn't permitted"),
        Errno::NOENT => format!("there is no socket {whom}"),
        Errno::MSGSIZE => format!("the datagram for {whom} is too long"),
        other => format!("{whom}: {}", io::Error::from(other)),
    }
}

/// The text for a failure of TLS, with the peer if it is known.
pub(crate) fn tls(reason: &str, peer: Option<&Peer>) -> String {
    match peer {
        Some(peer) => format!("TLS with {peer}: {reason}"),
        None => format!("TLS: {reason}"),
    }
}
