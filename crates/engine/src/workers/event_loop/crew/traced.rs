//! Hits that begin a trace: a share of them has a header `traceparent`, by which whatever
//! serves them records what it does.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use encarno_http1::Request;
use encarno_nib::{Form, Prepare, Shot};
use encarno_record::Payload;
use encarno_record::exemplar::TraceContext;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

const FIELD: &str = "traceparent";

/// Chooses hits, and names their traces.
#[derive(Debug)]
pub(crate) struct Traced {
    /// A hit is chosen if a random number is below.
    below: u64,
    random: Xoshiro256PlusPlus,
    /// How a field is put into what the protocol prepared.
    prepare: Option<Arc<dyn Prepare>>,
}

impl Traced {
    /// This share of hits; none if there are none, or nothing could be put into them.
    /// Other runs have other traces: `seed` is nobody else's.
    pub(crate) fn new(
        share: f64,
        seed: [u8; 32],
        form: Form,
        prepare: Option<Arc<dyn Prepare>>,
    ) -> Option<Self> {
        let is_some = share > 0.0 && has_fields(form);
        is_some.then(|| Self {
            // 1 and more is all of them.
            below: (share * u64::MAX as f64) as u64,
            random: Xoshiro256PlusPlus::from_seed(seed),
            prepare,
        })
    }

    /// The trace of a hit that is about to be sent, if it begins one.
    #[inline]
    pub(super) fn begin(&mut self, shot: &mut Shot) -> Option<TraceContext> {
        (self.random.next_u64() <= self.below)
            .then(|| self.mark(shot))
            .flatten()
    }

    #[inline(never)]
    fn mark(&mut self, shot: &mut Shot) -> Option<TraceContext> {
        let Payload::Memory(bytes) = &shot.payload else {
            return None;
        };
        let mut number = || self.random.next_u64();
        let trace = TraceContext {
            // Neither may be 0.
            trace_id: u128::from(number()) << 64 | u128::from(number() | 1),
            span_id: number() | 1,
        };
        let value = trace.traceparent();
        let marked = match &self.prepare {
            Some(prepare) => prepare.with_field(bytes, FIELD, &value),
            None => with_field(bytes, FIELD, &value),
        };
        shot.payload = Payload::Memory(marked?);
        Some(trace)
    }
}

/// Whether what is sent has fields, as a request of HTTP has.
pub(crate) fn has_fields(form: Form) -> bool {
    matches!(form, Form::Http | Form::Calls)
}

/// A request with one more field; none if it has one of that name, or is no request.
fn with_field(bytes: &Bytes, name: &str, value: &str) -> Option<Bytes> {
    let request = Request::parse(bytes)?;
    if request.field(name).is_some() {
        return None;
    }
    let line_bytes = memchr::memchr(b'\n', bytes)? + 1;
    let (line, rest) = bytes.split_at(line_bytes);
    let mut marked = BytesMut::with_capacity(bytes.len() + name.len() + value.len() + 4);
    marked.put_slice(line);
    for part in [name, ": ", value, "\r\n"] {
        marked.put_slice(part.as_bytes());
    }
    marked.put_slice(rest);
    Some(marked.freeze())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use encarno_nib::{Form, Keep, Shot};
    use encarno_record::{Hit, Payload, StringId};

    use super::Traced;

    fn begun(share: f64, requests: &[&'static str]) -> Vec<(bool, String)> {
        let mut traced = Traced::new(share, [7; 32], Form::Http, None).expect("some");
        let begin = |text: &&'static str| {
            let mut shot = Shot {
                hit: Hit::default(),
                payload: Payload::Memory(Bytes::from_static(text.as_bytes())),
                address: StringId(0),
                keep: Keep::default(),
            };
            let trace = traced.begin(&mut shot);
            let Payload::Memory(bytes) = shot.payload else {
                return (false, String::new());
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some(trace) = trace {
                let line = format!("\r\ntraceparent: {}\r\n", trace.traceparent());
                assert!(text.contains(&line), "{text}");
                assert!(trace.trace_id != 0 && trace.span_id != 0);
            }
            (trace.is_some(), text)
        };
        requests.iter().map(begin).collect()
    }

    #[test]
    fn a_request_gets_the_field_unless_it_has_one() {
        let plain = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
        let own = "GET / HTTP/1.1\r\nTraceParent: 00-1-2-00\r\n\r\n";
        let found = begun(1.0, &[plain, own, "nonsense", plain]);
        assert!(found[0].0 && found[3].0 && found[0].1 != found[3].1);
        let rest = found[0].1.split_once("-01\r\n").expect("the field").1;
        assert_eq!(rest, "Host: h\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(found[1], (false, own.to_owned()));
        assert_eq!(found[2], (false, "nonsense".to_owned()));
    }

    #[test]
    fn the_share_is_kept() {
        let all = vec!["GET / HTTP/1.1\r\n\r\n"; 20_000];
        let count = begun(0.05, &all).iter().filter(|(begun, _)| *begun).count();
        // Six standard deviations.
        assert!((1000 - 185..1000 + 185).contains(&count), "{count}");
        assert!(Traced::new(0.0, [7; 32], Form::Http, None).is_none());
        assert!(Traced::new(0.5, [7; 32], Form::Bytes, None).is_none());
    }
}
