//! The reader against hyper's client: what hyper reads, it reads the same way;
//! and on what RFC 9112 says, both agree whether there is a response at all.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use encarno_http1::{Expected, Part, ResponseReader};
use http_body_util::{BodyExt, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use proptest::prelude::*;

/// Status and body of a response that is whole.
type Outcome = Option<(u16, Vec<u8>)>;

/// Gives these bytes piece by piece, once a request was written.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    asked: bool,
    waker: Option<Waker>,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let end = (self.at + self.piece.min(buffer.remaining())).min(self.bytes.len());
        buffer.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn by_hyper(bytes: &[u8], piece: usize, method: &str) -> Outcome {
    let wire = Wire {
        bytes: bytes.to_vec(),
        at: 0,
        piece,
        asked: false,
        waker: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(wire)
            .await
            .unwrap();
        let request = hyper::Request::builder()
            .method(method)
            .uri("h.test:80")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = async {
            let response = sender.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?;
            Some((status, body.to_bytes().to_vec()))
        };
        // The response ends first, or the connection brings it to its end.
        let mut connection = std::pin::pin!(connection);
        let mut response = std::pin::pin!(response);
        let mut ended = false;
        std::future::poll_fn(|context| {
            if !ended {
                ended = connection.as_mut().poll(context).is_ready();
            }
            response.as_mut().poll(context)
        })
        .await
    })
}

fn by_us(bytes: &[u8], piece: usize, method: &str) -> Outcome {
    let mut reader = ResponseReader::new(64 << 10);
    reader.expect(Expected {
        head_only: method == "HEAD",
        tunnel: method == "CONNECT",
        last: false,
    });
    let mut body = Vec::new();
    for piece in bytes.chunks(piece) {
        let fed = reader.feed(piece, |part| {
            if let Part::Body(bytes) = part {
                body.extend_from_slice(bytes);
            }
        });
        fed.ok()?;
    }
    let whole = reader.is_complete() || reader.end();
    whole.then(|| (reader.status(), body))
}

/// What RFC 9112 allows, but for its end.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop::sample::select(vec![
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    ]);
    let status = prop::sample::select(vec![200, 200, 200, 201, 204, 206, 304, 404, 500, 599, 999]);
    let other = prop::sample::select(vec![
        "Server: x\r\n",
        "X-Empty:\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Blank : 1\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive, x\r\n",
        "content-type:text/html\r\n",
    ]);
    let others = prop::collection::vec(other, 0..4);
    (interim, status, others, message()).prop_map(|(interim, status, others, (fields, body))| {
        let others = others.concat();
        let head = format!("{interim}HTTP/1.1 {status} Reason\r\n{others}{fields}\r\n");
        [head.into_bytes(), body].concat()
    })
}

/// Fields that say how a body ends, and the body.
fn message() -> impl Strategy<Value = (String, Vec<u8>)> {
    let body = || prop::collection::vec(any::<u8>(), 0..40);
    let sized = (body(), 0..4_usize, -2..3_i64).prop_map(|(body, shape, off)| {
        let length = (body.len() as i64 + off).max(0);
        let fields = match shape {
            0 => format!("Content-Length: {length}\r\n"),
            1 => format!("content-length:\t {length} \r\n"),
            2 => format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
            _ => format!("Content-Length:\r\n {length}\r\n"),
        };
        (fields, body)
    });
    let extension = prop::sample::select(vec!["", "", ";x", " ;x=\"y z\"", ";a=b;c"]);
    let coding = prop::sample::select(vec![
        "chunked",
        "Chunked",
        "gzip, chunked",
        "gzip ,\tchunked",
    ]);
    let trailer = prop::sample::select(vec!["", "", "T: v\r\n"]);
    let after = prop::sample::select(vec!["", "", "more", "HTTP/1.1 200 OK\r\n\r\n"]);
    let chunks = prop::collection::vec((body(), extension), 0..4);
    let chunked = (chunks, coding, trailer, after, any::<bool>()).prop_map(
        |(chunks, coding, trailer, after, both)| {
            let mut body = Vec::new();
            for (data, extension) in chunks.iter().filter(|(data, _)| !data.is_empty()) {
                body.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
                body.extend(data);
                body.extend(b"\r\n");
            }
            body.extend(format!("0\r\n{trailer}\r\n{after}").bytes());
            let length = if both { "Content-Length: 3\r\n" } else { "" };
            (format!("{length}Transfer-Encoding: {coding}\r\n"), body)
        },
    );
    let until_close = body().prop_map(|body| (String::new(), body));
    let other_coding = body().prop_map(|body| ("Transfer-Encoding: gzip\r\n".to_owned(), body));
    prop_oneof![3 => sized, 4 => chunked, 1 => until_close, 1 => other_coding]
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["GET", "GET", "GET", "HEAD", "CONNECT"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_the_rfc_says_both_read_alike(
        whole in response(), cut in 0..2_usize, kept in 0.0..1.0_f64, piece in 1..300_usize, method in method(),
    ) {
        let kept = if cut == 0 { whole.len() } else { (whole.len() as f64 * kept) as usize };
        let bytes = &whole[..kept];
        let (ours, theirs) = (by_us(bytes, piece, method), by_hyper(bytes, piece, method));
        prop_assert_eq!(ours, theirs, "{} {}", method, bytes.escape_ascii());
    }

    #[test]
    fn what_hyper_reads_of_anything_is_read_alike(
        mut bytes in response(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
            // Without 0x80 …: hyper then reads no coding at all, where the last one still counts.
            b"\r\n\t :;,0123aAfF\x00\x7fHTP/.".to_vec()), 0..3_u8), 1..4),
        piece in 1..300_usize, method in method(),
    ) {
        for (index, byte, kind) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
        if let Some(theirs) = by_hyper(&bytes, piece, method) {
            let ours = by_us(&bytes, piece, method);
            prop_assert_eq!(ours, Some(theirs), "{} {}", method, bytes.escape_ascii());
        }
    }
}
