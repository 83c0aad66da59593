//! NATS subjects of the protocol.

use crate::core_nats::Subject;
use crate::{Error, ErrorCode};

/// The protocol's part of a function's subject.
const PROTOCOL: &str = "wrpc.0.0.1";

/// The part of a reply subject for the answer to a probe.
pub(super) const PROBE: &str = "probe";

/// The part of a reply subject for an answer in one message.
pub(super) const WHOLE: &str = "whole";

/// The part of a subject at which a window grows.
pub(super) const WINDOW: &str = "window";

/// The part of a subject at which a reader tells that it has gone.
pub(super) const CANCEL: &str = "cancel";

/// The subject of a function: `PREFIX.wrpc.0.0.1.INSTANCE.FUNCTION`. Prefix and instance
/// may be empty.
pub fn function(prefix: &str, instance: &str, function: &str) -> Result<Subject, Error> {
    let parts = [prefix, PROTOCOL, instance, function];
    let subject = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(".");
    let subject = Subject::from(subject);
    let has_wildcard = subject.split('.').any(|token| matches!(token, "*" | ">"));
    if function.is_empty() || has_wildcard || !subject.is_valid() {
        return Err(Error::new(
            ErrorCode::ProtocolViolation,
            format!("{:?} is not a NATS subject", subject.as_str()),
        ));
    }
    Ok(subject)
}

/// The subject for the results of the call with this reply subject.
pub(super) fn results(reply: &str) -> Subject {
    Subject::from([reply, ".results"].concat())
}

/// The subject for an answer in one message.
pub(super) fn whole(reply: &str) -> Subject {
    Subject::from([reply, ".", WHOLE].concat())
}

/// The subject for the answer to a probe.
pub(super) fn probe(reply: &str) -> Subject {
    Subject::from([reply, ".", PROBE].concat())
}

/// The subject for the parameters that didn't fit into the first message.
pub(super) fn params(reply: &str) -> Subject {
    Subject::from([reply, ".params"].concat())
}

#[cfg(test)]
mod tests {
    use super::function;

    #[test]
    fn functions() {
        let name = |prefix, instance, func| {
            function(prefix, instance, func).map(|subject| subject.to_string())
        };
        assert_eq!(
            name("wasmtime", "xk6:wrpc/blaster@0.0.1", "blast").as_deref(),
            Ok("wasmtime.wrpc.0.0.1.xk6:wrpc/blaster@0.0.1.blast")
        );
        assert_eq!(name("", "", "run").as_deref(), Ok("wrpc.0.0.1.run"));
        for (prefix, instance, func) in [
            ("a b", "", "f"),
            (".a", "", "f"),
            ("a..b", "", "f"),
            ("*", "", "f"),
            ("a", ">", "f"),
            ("a", "b", ""),
        ] {
            assert!(function(prefix, instance, func).is_err(), "{prefix} {func}");
        }
    }
}
