use super::{Part, ResponseReader};
use crate::{Expected, ResponseError};

const HEAD_BYTES_MAX: usize = 64 << 10;

const GET: Expected = Expected {
    head_only: false,
    tunnel: false,
    last: false,
};
const HEAD: Expected = Expected {
    head_only: true,
    ..GET
};

#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    complete: bool,
    status: u16,
    keep_alive: bool,
    body: Vec<u8>,
}

fn feed_in(text: &[u8], expected: Expected, size: usize) -> (u16, Result<Found, ResponseError>) {
    let mut reader = ResponseReader::new(HEAD_BYTES_MAX);
    reader.expect(expected);
    let mut body = Vec::new();
    for piece in text.chunks(size) {
        let fed = reader.feed(piece, |part| {
            if let Part::Body(bytes) = part {
                body.extend_from_slice(bytes);
            }
        });
        if let Err(error) = fed {
            return (reader.status(), Err(error));
        }
    }
    let found = Found {
        complete: reader.is_complete(),
        status: reader.status(),
        keep_alive: reader.keep_alive(),
        body,
    };
    (found.status, Ok(found))
}

/// Feeds the text as a whole and in pieces of each size; all results must be equal.
fn feed(text: &[u8], expected: Expected) -> (u16, Result<Found, ResponseError>) {
    let whole = feed_in(text, expected, text.len());
    for size in [1, 2, 3, 7, 16] {
        let shown = String::from_utf8_lossy(&text[..text.len().min(200)]);
        assert_eq!(
            feed_in(text, expected, size),
            whole,
            "in pieces of {size}: {shown}"
        );
    }
    whole
}

#[track_caller]
fn is(
    text: &str,
    expected: Expected,
    (complete, status, keep_alive): (bool, u16, bool),
    body: &str,
) {
    let found = Found {
        complete,
        status,
        keep_alive,
        body: body.as_bytes().to_vec(),
    };
    assert_eq!(
        feed(text.as_bytes(), expected),
        (status, Ok(found)),
        "{text}"
    );
}

#[test]
fn where_responses_end() {
    let ok = "HTTP/1.1 200 OK\r\n";
    is(
        &format!("{ok}Content-Length: 3\r\n\r\nabc"),
        GET,
        (true, 200, true),
        "abc",
    );
    is(
        &format!("{ok}Content-Length: 4\r\n\r\nabc"),
        GET,
        (false, 200, true),
        "abc",
    );
    // Bytes after the end don't belong to the response.
    is(
        &format!("{ok}Content-Length: 3\r\n\r\nabcGARBAGE"),
        GET,
        (true, 200, false),
        "abc",
    );
    is(
        &format!("{ok}Content-Length: 3\r\n\r\n"),
        HEAD,
        (true, 200, true),
        "",
    );
    is(
        &format!("{ok}Content-Length: 3, 3\r\n\r\nabc"),
        GET,
        (true, 200, true),
        "abc",
    );
    is(
        &format!("{ok}Content-Length: 0\r\nConnection: foo, Close\r\n\r\n"),
        GET,
        (true, 200, false),
        "",
    );
    is(
        &format!("{ok}Content-Length: 0\r\n\r\n"),
        Expected { last: true, ..GET },
        (true, 200, false),
        "",
    );
    is(
        &format!("{ok}\r\nuntil it closes"),
        GET,
        (false, 200, false),
        "until it closes",
    );
    is(
        "HTTP/1.1 200 OK\nContent-Length: 1\n\na",
        GET,
        (true, 200, true),
        "a",
    );
    // Without a body no length matters.
    let two = "Content-Length: 1\r\nContent-Length: x\r\n\r\n";
    is(&format!("{ok}{two}"), HEAD, (true, 200, true), "");
    is("HTTP/1.1 204 No\r\n\r\n", GET, (true, 204, true), "");
    is(
        "HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n",
        GET,
        (true, 304, true),
        "",
    );
    is(
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        GET,
        (true, 101, false),
        "",
    );
    is(
        "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na",
        GET,
        (true, 200, true),
        "a",
    );
    is(
        "HTTP/1.1  200   Two  Blanks\r\nContent-Length: 0\r\n\r\n",
        GET,
        (true, 200, true),
        "",
    );
}

#[test]
fn versions_and_connections() {
    is(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        GET,
        (true, 200, false),
        "",
    );
    is(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        GET,
        (true, 200, true),
        "",
    );
    is(
        "HTTP/1.4 200 OK\r\nContent-Length: 0\r\n\r\n",
        GET,
        (true, 200, true),
        "",
    );
    // HTTP/1.0 has no chunks, so the connection isn't reused.
    is(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        GET,
        (true, 200, false),
        "a",
    );
    is(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        GET,
        (true, 200, false),
        "",
    );
    let connect = Expected {
        tunnel: true,
        ..GET
    };
    is(
        "HTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n",
        connect,
        (true, 200, false),
        "",
    );
    is(
        "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\na",
        connect,
        (true, 407, true),
        "a",
    );
}

#[test]
fn what_curl_and_browsers_read() {
    for before in [
        "\r\n",
        "\r\n\n",
        "HTTP/1.1 100 Continue\r\n\r\n\r\n",
        "HTTP/1.1 103 E\r\nLink: x\r\n\r\n",
    ] {
        is(
            &format!("{before}HTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\na"),
            GET,
            (true, 201, true),
            "a",
        );
    }
    for field in [
        "Content-Length:\r\n 1",
        "X-Folded: a\r\n\tContent-Length: 9\r\nContent-Length: 1",
        "Content-Length : 1",
        "X-Foo : 2\r\nContent-Length: 1",
        "My Field@[]\u{e9}: 2\r\nContent-Length: 1",
        ": no name\r\nContent-Length: 1",
    ] {
        is(
            &format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\na"),
            GET,
            (true, 200, true),
            "a",
        );
    }
    let many = "a: b\r\n".repeat(2000);
    is(
        &format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 1\r\n\r\na"),
        GET,
        (true, 200, true),
        "a",
    );
}

#[test]
fn chunks_are_undone() {
    for (coding, body, complete) in [
        (
            "gzip, chunked",
            "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
            true,
        ),
        (
            "chunked\r\nContent-Length: 1",
            "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            true,
        ),
        ("chunked", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n", false),
        // Of two fields, the last one counts, like the final coding in one field.
        (
            "gzip\r\nTransfer-Encoding: chunked",
            "D\r\nabc0123456789\r\n0\r\n\r\n",
            true,
        ),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n{body}");
        is(&text, GET, (complete, 200, true), "abc0123456789");
    }
    is(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        GET,
        (false, 200, false),
        "0\r\n\r\n",
    );
    is(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na",
        GET,
        (true, 200, true),
        "a",
    );
}

#[test]
fn what_is_no_response() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (text, status, error) in [
        ("SSH-2.0-OpenSSH\r\n\r\n", 0, ResponseError::StatusLine),
        ("SSH", 0, ResponseError::StatusLine),
        ("HTTP/2 200 OK\r\n\r\n", 0, ResponseError::StatusLine),
        ("HTTP/1.1 20x\r\n\r\n", 0, ResponseError::StatusLine),
        ("HTTP/1.1 2000\r\n\r\n", 0, ResponseError::StatusLine),
        ("HTTP/1.1 099 Low\r\n\r\n", 99, ResponseError::Status(99)),
        ("HTTP/1.1 000 No\r\n\r\n", 0, ResponseError::Status(0)),
        (
            "HTTP/1.1 503 No\r\nno colon\r\n\r\n",
            503,
            ResponseError::Field,
        ),
        (
            "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            200,
            ResponseError::Field,
        ),
        (
            "HTTP/1.1 404 No\r\nContent-Length: x\r\n\r\n",
            404,
            ResponseError::Length,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            200,
            ResponseError::Length,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            200,
            ResponseError::Length,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            200,
            ResponseError::Length,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            200,
            ResponseError::Length,
        ),
        (&format!("{chunked}x\r\n"), 200, ResponseError::Chunk),
        (
            &format!("{chunked}2 garbage\r\nab\r\n"),
            200,
            ResponseError::Chunk,
        ),
        (
            &format!("{chunked}3\r3\r\nabc\r\n"),
            200,
            ResponseError::Chunk,
        ),
        (
            &format!("{chunked}3\r\nabc\r\r\n"),
            200,
            ResponseError::Chunk,
        ),
    ] {
        assert_eq!(feed(text.as_bytes(), GET), (status, Err(error)), "{text}");
    }
}

#[test]
fn heads_are_bounded_all_together() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
    let too_long = Err(ResponseError::HeadTooLong);
    assert_eq!(feed(long.as_bytes(), GET), (200, too_long));
    let ended = format!("{long}\r\n\r\n");
    assert_eq!(
        feed(ended.as_bytes(), GET).1,
        Err(ResponseError::HeadTooLong)
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_BYTES_MAX / 25 + 1);
    assert_eq!(
        feed(interim.as_bytes(), GET),
        (0, Err(ResponseError::HeadTooLong))
    );
    let empty = "\r\n".repeat(HEAD_BYTES_MAX / 2 + 1);
    assert_eq!(
        feed(empty.as_bytes(), GET),
        (0, Err(ResponseError::HeadTooLong))
    );
}

#[test]
fn a_status_counts_from_its_line_on() {
    for (text, status) in [
        ("HTTP/1.1 200 O", 0),
        ("HTTP/1.1 200 OK\r", 0),
        ("HTTP/1.1 200 OK\r\n", 200),
        ("HTTP/1.1 503 Busy\r\nContent-Le", 503),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nA: b\r\n",
            404,
        ),
        ("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n", 0),
    ] {
        let (found, result) = feed(text.as_bytes(), GET);
        assert_eq!(found, status, "{text:?}");
        assert!(!result.expect("no error").complete, "{text:?}");
    }
}

#[test]
fn a_body_until_close_ends_with_it() {
    let mut reader = ResponseReader::new(HEAD_BYTES_MAX);
    for (text, whole) in [
        ("HTTP/1.1 200 OK\r\n\r\nabc", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\n", false),
    ] {
        reader.expect(GET);
        reader.feed(text.as_bytes(), |_| ()).unwrap();
        assert_eq!(reader.end(), whole, "{text}");
    }
}

/// A reader compares a head with the one before: what it finds must not depend on that.
#[test]
fn a_head_that_comes_again_is_read_as_the_first_one() {
    let responses: [&[u8]; 10] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nworlds",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ];
    let tunnel = Expected {
        tunnel: true,
        ..GET
    };
    let fed = |reader: &mut ResponseReader, text: &[u8], expected| {
        reader.expect(expected);
        let mut parts = Vec::new();
        let fed = reader.feed(text, |part| match part {
            Part::Head(status, head) => parts.push((status, head.to_vec())),
            Part::Body(body) => parts.push((0, body.to_vec())),
        });
        let state = (reader.is_complete(), reader.status(), reader.keep_alive());
        (fed, parts, state)
    };
    let mut reader = ResponseReader::new(HEAD_BYTES_MAX);
    for before in responses {
        for then in responses {
            for expected in [GET, HEAD, tunnel] {
                for text in [before, then] {
                    let mut new = ResponseReader::new(HEAD_BYTES_MAX);
                    let is = fed(&mut reader, text, expected);
                    assert_eq!(is, fed(&mut new, text, expected));
                }
            }
        }
    }
    // A head that is too long is so when it comes again.
    let mut reader = ResponseReader::new(40);
    assert!(fed(&mut reader, responses[0], GET).0.is_ok());
    let long = [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], responses[0]].concat();
    assert_eq!(
        fed(&mut reader, &long, GET).0,
        Err(ResponseError::HeadTooLong)
    );
}
