//! Advice about failed hits: docs/errors.md in a sentence each.

use encarno_engine::meter::own_failure;
use encarno_record::code;

/// The advice if every hit got status 400.
pub(crate) const ALL_BAD_REQUESTS: &str = "is the request what the server expects? a server that speaks TLS on this port answers so to http://: use https://";

/// The advice for hits that failed with this net code and text; `None` if there is none,
/// or if the text contains it.
pub(crate) fn advice(net_code: u16, text: &str) -> Option<&'static str> {
    if let Some(own) = own_failure(net_code) {
        return Some(own);
    }
    Some(match net_code {
        1 | 13 => "a firewall of this machine, or the permissions of the socket's file, forbid it",
        2 => "there is no socket at that path: is the target running?",
        32 | 104 => "the target closes connections: is it overloaded, or does it restart?",
        90 => "a datagram holds 65,507 bytes at most",
        101 | 113 => "is the host's address right, and does this machine have a route to it?",
        110 => "is the host up? a firewall may drop packets to that port",
        111 => "nothing listens there: is the target running, at that host and port?",
        code::TIMEOUT if text.contains("connect") => {
            "is the host up, and does the port use TLS, if the URL does? --timeout waits longer"
        }
        code::TIMEOUT => "the target is too slow for this load; --timeout waits longer",
        // The text itself has the way out.
        code::PROTOCOL if text.contains("-O ") => return None,
        code::PROTOCOL if text.contains("TLS") => "use https://",
        code::PROTOCOL if text.contains("handshake with status") => {
            "is the URL's path right, and does the server want a header (-H) or a user (-u)?"
        }
        code::PROTOCOL => "is it the right port, and does the target use this protocol?",
        code::TLS if text.contains("no TLS") => {
            "use a URL without TLS (http:// or tcp://), or the port that speaks TLS"
        }
        code::DNS => "is the name right? --resolve NAME=IP works without the name server",
        code::CLOSED_EARLY if text.contains("WebSocket") => return None,
        code::CLOSED_EARLY => {
            "the target's log may say why it closed; if this port uses TLS, use https://"
        }
        code::STALE => {
            "the target keeps idle connections for a shorter time than this load leaves them idle"
        }
        code::CANCELLED => "a longer --grace gives running hits more time at the end",
        code::ADDRESS => "give the record an address, or the run a default one",
        1101..=1117 => return of_wrpc(net_code - code::WRPC),
        _ => return None,
    })
}

/// The same for a failure of wRPC's own list, by its number.
fn of_wrpc(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "is NATS, or the receiver, running at that host and port?",
        2 => "is the name right?",
        4 => "-u USER:PASSWORD, or -O token=, nkey= or credentials=, says who you are",
        5 => "the log of NATS or of the receiver may say why",
        6 => "is a receiver running that serves this function, and under the URL's prefix?",
        7 | 13 => "look at the receiver's log",
        8 => "start more receivers, or raise the receiver's limit that the message names",
        12 => "do --wit and the component have the same types?",
        _ => return None,
    })
}
