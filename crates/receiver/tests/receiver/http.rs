//! HTTP requests, answered by the example component.

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::http::{self, RequestHead};
use rustix::process::Signal;

use crate::http_client::{Client, Site, field, pattern, values};

#[tokio::test]
async fn requests_and_responses_arrive_as_they_were_sent() {
    let site = Site::start(&[]).await;
    let served = "wrpc:http/incoming-handler@0.1.0.handle";
    for receiver in &site.receivers {
        assert!(receiver.ready.contains(served), "{}", receiver.ready);
    }
    for client in site.clients() {
        for method in ["GET", "POST", "PATCH", "BREW"] {
            let mut response = client
                .response(method, "/echo/a?b=c", Bytes::from_static(b"body"))
                .await
                .expect(method);
            assert_eq!(response.head.status, 200);
            assert_eq!(values(&response.head, "x-method"), [method]);
            assert_eq!(values(&response.head, "x-path"), ["/echo/a?b=c"]);
            assert_eq!(values(&response.head, "x-scheme"), ["http"]);
            assert_eq!(values(&response.head, "x-authority"), ["host:8000"]);
            assert_eq!(values(&response.head, "x-echo-x-one"), ["1"]);
            assert_eq!(values(&response.head, "x-echo-x-two"), ["a", "b"]);
            assert_eq!(&response.body.collect(100).await.unwrap()[..], b"body");
        }
        for status in [200, 204, 304, 404, 503, 599] {
            let (head, body) = client.get(&format!("/status/{status}")).await.unwrap();
            assert_eq!(head.status, status);
            let text = match status {
                204 | 304 => String::new(), // these have no body
                status => status.to_string(),
            };
            assert_eq!(&body[..], text.as_bytes());
        }
        let (head, _) = client.get("/set-cookie?a=b%3B%20Path=/&c=d").await.unwrap();
        assert_eq!(values(&head, "set-cookie"), ["a=b; Path=/", "c=d"]);
        let (head, _) = client.get("/redirect/2?307").await.unwrap();
        assert_eq!(head.status, 307);
        assert_eq!(values(&head, "location"), ["/redirect/1?307"]);

        let mut response = client
            .response("GET", "/trailers", Bytes::new())
            .await
            .unwrap();
        assert_eq!(&response.body.collect(100).await.unwrap()[..], b"body");
        let trailers = response.body.trailers().expect("trailers");
        assert_eq!(trailers, [field("x-trailer", "last")]);

        let started = Instant::now();
        assert_eq!(client.text("/delay/50").await, "50");
        assert!(started.elapsed() >= Duration::from_millis(50));
    }
}

#[tokio::test]
async fn bodies_of_every_size_go_both_ways() {
    let site = Site::start(&["--timeout", "60s"]).await;
    for client in site.clients() {
        // Around what travels with the head, what a message holds, and the windows.
        for length in [0, 1, 4096, 256 << 10, (256 << 10) + 1, 1 << 20, 16 << 20] {
            let sent = pattern(length);
            let mut response = client
                .response("POST", "/echo", sent.clone())
                .await
                .expect("echo");
            let echoed = response.body.collect(length).await.expect("its body");
            assert!(echoed == sent, "{length}: {} bytes", echoed.len());

            let (_, body) = client.get(&format!("/bytes/{length}")).await.unwrap();
            assert!(body == sent, "{length}: {} bytes", body.len());

            let mut response = client.response("PUT", "/count", sent).await.expect("count");
            let count = response.body.collect(100).await.unwrap();
            assert_eq!(&count[..], length.to_string().as_bytes());
        }
    }
}

#[tokio::test]
async fn a_body_of_any_size_takes_little_memory() {
    const LENGTH: usize = 256 << 20;
    let site = Site::start(&["--timeout", "60s"]).await;
    let sent = Bytes::from(vec![0; LENGTH]);
    for (client, receiver) in [&site.nats, &site.shared].into_iter().zip(&site.receivers) {
        assert_eq!(client.text("/status/200").await, "200");
        let before = receiver.peak_rss_kib();
        let response = client.response("PUT", "/count", sent.clone()).await;
        let count = response.expect("count").body.collect(100).await.unwrap();
        assert_eq!(&count[..], LENGTH.to_string().as_bytes());
        let path = format!("/bytes/{LENGTH}");
        let mut response = client.response("GET", &path, Bytes::new()).await.unwrap();
        let mut length = 0;
        while let Some(chunk) = response.body.chunk().await.unwrap() {
            length += chunk.len();
        }
        assert_eq!(length, LENGTH);
        let grown = receiver.peak_rss_kib().saturating_sub(before);
        assert!(grown < 64 << 10, "{grown} KiB");
    }
}

/// What the parameters or results of a call on a connection of its own may take: the
/// head of these takes less than 1 KiB.
const WHOLE_BYTES_MAX: usize = 64 << 20;

#[tokio::test]
async fn bodies_that_travel_whole_have_a_limit() {
    let site = Site::start(&["--timeout", "60s"]).await;
    let length = WHOLE_BYTES_MAX - 1024;
    let sent = pattern(length);
    let count = async |client: &Client, body| {
        let mut response = client.response("PUT", "/count", body).await?;
        response.body.collect(100).await
    };
    let counted = count(&site.single, sent.clone()).await.unwrap();
    assert_eq!(&counted[..], length.to_string().as_bytes());
    let (_, body) = site.single.get(&format!("/bytes/{length}")).await.unwrap();
    assert!(body == sent, "{} bytes", body.len());

    let error = count(&site.single, pattern(WHOLE_BYTES_MAX)).await;
    let error = error.expect_err("too large");
    assert_eq!(error.code, ErrorCode::PayloadTooLarge, "{error}");
    let path = format!("/bytes/{}", WHOLE_BYTES_MAX + 1);
    site.single
        .fails(&path, ErrorCode::GuestLimit, "larger than 64 MiB")
        .await;
    assert_eq!(site.single.text("/status/200").await, "200");
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_sent() {
    let arguments = ["--max-concurrency", "1", "--timeout", "10m"];
    let site = Site::start(&arguments).await;
    for client in [&site.nats, &site.shared] {
        for _ in 0..3 {
            // A terabyte would hold the only slot until the receiver's timeout, and the
            // next request would not be answered within the client's.
            let path = "/bytes/1000000000000";
            let mut response = client.response("GET", path, Bytes::new()).await.unwrap();
            assert!(response.body.chunk().await.unwrap().is_some());
        }
        assert_eq!(client.text("/status/200").await, "200");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_frees_its_slot() {
    let arguments = ["--max-concurrency", "1", "--timeout", "10m"];
    let site = Site::start(&arguments).await;
    for client in site.clients() {
        for path in ["/delay/600000", "/burn/600000"] {
            let head = RequestHead {
                method: "GET".into(),
                path_with_query: Some(path.into()),
                ..RequestHead::default()
            };
            let request = client.request(head, Bytes::new(), Duration::from_millis(300));
            let error = request.await.err().expect("no answer");
            assert_eq!(error.code, ErrorCode::Timeout, "{error}");
        }
        assert_eq!(client.text("/status/200").await, "200");
    }
}

#[tokio::test]
async fn what_goes_wrong_in_a_handler_has_a_code() {
    let arguments = [
        "--timeout",
        "2s",
        "--max-memory-mb",
        "16",
        "--max-cpu-ms",
        "100",
    ];
    let site = Site::start(&arguments).await;
    use ErrorCode::{GuestLimit, GuestTrap, HandlerError, InvalidResponse, ProtocolViolation};
    for client in site.clients() {
        client.fails("/trap", GuestTrap, "trapped").await;
        client.fails("/cut/5", GuestTrap, "trapped").await;
        client.fails("/cut/1000000", GuestTrap, "trapped").await;
        client
            .fails("/silence", InvalidResponse, "without a response")
            .await;
        let about = "internal-error: as asked";
        client.fails("/error", HandlerError, about).await;
        client.fails("/status/100", InvalidResponse, "status").await;
        client.fails("/delay/60000", GuestLimit, "--timeout").await;
        client
            .fails("/burn/60000", GuestLimit, "--max-cpu-ms")
            .await;
        client
            .fails("/memory/64", GuestLimit, "--max-memory-mb")
            .await;
        client.fails("/a b", ProtocolViolation, "address").await;

        let denied = client.text("/fetch?127.0.0.1:9").await;
        assert!(denied.contains("HttpRequestDenied"), "{denied}");
        assert_eq!(client.text("/status/200").await, "200");
    }
    for receiver in &site.receivers {
        assert!(!receiver.stderr().contains("panicked"));
    }
}

#[tokio::test]
async fn a_guest_that_traps_after_its_response_has_given_it() {
    let site = Site::start(&[]).await;
    for client in site.clients() {
        for length in [0, 5, 300_000, 3_000_000] {
            let (head, body) = client.get(&format!("/late/{length}")).await.unwrap();
            assert_eq!((head.status, body.len()), (200, length));
        }
    }
    for receiver in &site.receivers {
        receiver.logged("failed after its response").await;
    }
}

#[tokio::test]
async fn a_body_before_its_head_waits_until_the_timeout_which_says_so() {
    let site = Site::start(&["--timeout", "500ms"]).await;
    for client in site.clients() {
        let about = "the handler had not set its response";
        client.fails("/early", ErrorCode::GuestLimit, about).await;
    }
}

#[tokio::test]
async fn a_length_of_a_request_that_is_none_is_refused() {
    let site = Site::start(&[]).await;
    for client in site.clients() {
        for length in ["abc", "", "+5", "-1", "5 "] {
            let head = RequestHead {
                method: "GET".into(),
                headers: vec![field("content-length", length)],
                ..RequestHead::default()
            };
            let request = client.request(head, Bytes::new(), Duration::from_secs(20));
            let error = request.await.err().expect("no number");
            assert_eq!(error.code, ErrorCode::ProtocolViolation, "{error}");
            assert!(error.message.contains("content-length"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_is_killed_ends_its_responses() {
    let site = Site::start(&["--timeout", "10m"]).await;
    let path = "/bytes/1000000000000";
    let mut responses = Vec::new();
    for client in [&site.nats, &site.shared] {
        let mut response = client.response("GET", path, Bytes::new()).await.unwrap();
        assert!(response.body.chunk().await.unwrap().is_some());
        responses.push(response);
    }
    for receiver in &site.receivers {
        receiver.signal(Signal::KILL);
    }
    for mut response in responses {
        let error = loop {
            match response.body.chunk().await {
                Ok(chunk) => assert!(chunk.is_some(), "it ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, ErrorCode::ReceiverGone, "{error}");
    }
}

#[tokio::test]
async fn guests_send_requests_where_that_is_allowed() {
    let site = Site::start(&["--allow-outgoing"]).await;
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let response = b"HTTP/1.1 418 teapot\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(response).await.unwrap();
    });
    assert_eq!(site.nats.text(&format!("/fetch?{address}")).await, "418");
    serving.await.unwrap();
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let site = Site::start(&[]).await;
    let whole = http::Message {
        head: RequestHead {
            method: "GET".into(),
            ..RequestHead::default()
        },
        body: http::Part::Ready(Bytes::new()),
        trailers: http::Part::Ready(None),
    }
    .encode();
    let mut with_more = whole.clone();
    with_more.push(0);
    for client in site.clients() {
        for params in [with_more.clone(), vec![7], vec![]] {
            let error = client.call(params).await.expect_err("no request");
            assert_eq!(error.code, ErrorCode::ProtocolViolation, "{error}");
        }
        assert_eq!(client.text("/status/200").await, "200");
    }
    let bomb = vec![1, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let error = site.nats.call(bomb).await.expect_err("no request");
    assert_eq!(error.code, ErrorCode::PayloadTooLarge, "{error}");
}
