//! Files as other tools and servers write them: logs of all kinds, ammo and
//! targets in every form, with byte order marks or without.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::num::NonZeroU64;

use encarno_input::{BadLimit, BadRecord, Input, InputFormat, InputSettings};
use encarno_record::{Payload, Strings};

struct Read {
    format: InputFormat,
    /// Label, address and bytes of each.
    records: Vec<(String, String, String)>,
    bad: Vec<BadRecord>,
    left_out: String,
}

fn read_as(bytes: &[u8], change: impl FnOnce(&mut InputSettings)) -> Read {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    let mut settings = InputSettings {
        passes: NonZeroU64::new(1),
        host: "target".into(),
        bad_limit: BadLimit::Share(1.0),
        ..InputSettings::of_file(file.path())
    };
    change(&mut settings);
    let strings = Strings::default();
    let mut input: Input = encarno_input::open(&settings, &strings).expect("it opens");
    let text = |id| strings.get(id).expect("a text").to_string();
    let (mut records, mut bad) = (Vec::new(), Vec::new());
    for record in input.by_ref() {
        match record {
            Ok(record) => {
                let Payload::Memory(bytes) = record.payload else {
                    panic!("small")
                };
                let bytes = String::from_utf8_lossy(&bytes).into_owned();
                records.push((text(record.label), text(record.address), bytes));
            }
            Err(error) => bad.push(error),
        }
    }
    Read {
        format: input.format(),
        records,
        bad,
        left_out: input.left_out().to_string(),
    }
}

fn read(bytes: &[u8]) -> Read {
    read_as(bytes, |_| {})
}

/// The requests that a log gives, and what it leaves out.
fn assert_log(log: &str, expected: &[(&str, &str)], left_out: &str) {
    let found = read(log.as_bytes());
    assert_eq!(found.format, InputFormat::Access, "{log}");
    assert_eq!(found.bad, [], "{log}");
    let requests: Vec<_> = found.records.into_iter().map(|record| record.2).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(target, host)| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .collect();
    assert_eq!(requests, expected, "{log}");
    assert_eq!(found.left_out, left_out, "{log}");
}

#[test]
fn logs_of_nginx_and_apache() {
    assert_log(
        concat!(
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"-\" 408 0 \"-\" \"-\"\n",
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"GET /a?b=\\x22c\\x22 HTTP/1.1\" 200 12 \"-\" \"agent\"\n",
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"\\x16\\x03\\x01\\x00\\xEE\" 400 157 \"-\" \"-\"\n",
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"\" 400 0 \"-\" \"-\"\n",
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"POST /form HTTP/1.1\" 200 12 \"-\" \"agent\"\n",
            "::1 - - [10/Oct/2025:13:55:36 +0000] \"GET /with blank HTTP/1.1\" 400 0 \"-\" \"agent\"\n",
            "::1 - \"odd\\\" user\" [10/Oct/2025:13:55:36 +0000] \"GET /b\\\\c HTTP/2.0\" 200 12 \"http://x/\\\"\" \"agent\"\n",
            "\"203.0.113.9\" - - [10/Oct/2025:13:55:36 +0000] \"GET /quoted-first HTTP/1.0\" 200 1\n",
            "www.example.com:443 ::1 - - [10/Oct/2025:13:55:36 +0000] \"GET http://other:9009/x HTTP/1.1\" 200 1\n",
        ),
        &[
            ("/a?b=\"c\"", "target"),
            ("/b\\c", "target"),
            ("/quoted-first", "target"),
            ("/x", "other:9009"),
        ],
        "3 lines without a request, 1 POST, 1 GET with an URI that isn't one",
    );
}

#[test]
fn logs_in_json() {
    // Caddy, Traefik, nginx with a request line, nginx with its variables, Google Cloud.
    assert_log(
        concat!(
            "{\"level\":\"info\",\"ts\":1.5,\"logger\":\"http.log.access\",\"request\":{\"remote_ip\":\"::1\",\"proto\":\"HTTP/2.0\",\"method\":\"GET\",\"host\":\"a.example\",\"uri\":\"/c?d=e\",\"headers\":{\"Accept\":[\"*/*\"]}},\"status\":200}\n",
            "{\"level\":\"info\",\"request\":{\"method\":\"PUT\",\"host\":\"a.example\",\"uri\":\"/c\"},\"status\":200}\n",
            "{\"DownstreamStatus\":200,\"RequestMethod\":\"GET\",\"RequestPath\":\"/t?1\",\"RequestHost\":\"t.example\",\"RequestProtocol\":\"HTTP/1.1\"}\n",
            "{\"time_local\":\"x\",\"request\":\"GET /n HTTP/1.1\",\"status\":\"200\"}\n",
            "{\"status\":\"400\",\"request\":\"\"}\n",
            "{\"request_method\":\"GET\",\"uri\":\"/v\",\"args\":\"a=1\",\"status\":200,\"http_host\":\"v.example\"}\n",
            "{\"httpRequest\":{\"requestMethod\":\"GET\",\"requestUrl\":\"https://g.example/p?q\",\"status\":200}}\n",
        ),
        &[
            ("/c?d=e", "a.example"),
            ("/t?1", "t.example"),
            ("/n", "target"),
            ("/v?a=1", "v.example"),
            ("/p?q", "g.example"),
        ],
        "1 PUT, 1 lines without a request",
    );
}

#[test]
fn logs_in_json_of_networks_firewalls_and_elastic() {
    // CloudFront v2, Cloudflare, AWS's firewall, API Gateway, Azure, Elastic's schema
    // as objects and flat, pino.
    assert_log(
        concat!(
            "{\"cs-method\":\"GET\",\"cs-uri-stem\":\"/f\",\"cs-uri-query\":\"-\",\"sc-status\":\"200\",\"x-host-header\":\"f.example\",\"cs(Host)\":\"d1.cloudfront.net\"}\n",
            "{\"ClientRequestMethod\":\"GET\",\"ClientRequestURI\":\"/c?d\",\"ClientRequestHost\":\"c.example\",\"EdgeResponseStatus\":200}\n",
            "{\"action\":\"ALLOW\",\"httpRequest\":{\"uri\":\"/w\",\"args\":\"a=1\",\"httpMethod\":\"GET\",\"headers\":[{\"name\":\"Host\",\"value\":\"w.example\"}]}}\n",
            "{\"httpMethod\":\"GET\",\"path\":\"/g\",\"status\":\"200\",\"domainName\":\"g.example\"}\n",
            "{\"properties\":{\"httpMethod\":\"GET\",\"requestUri\":\"/z\",\"requestQuery\":\"q=1\",\"httpStatus\":200,\"host\":\"z.example\"}}\n",
            "{\"http\":{\"request\":{\"method\":\"GET\"},\"response\":{\"status_code\":200}},\"url\":{\"path\":\"/e\",\"query\":\"x\",\"domain\":\"e.example\"}}\n",
            "{\"http.request.method\":\"get\",\"http.response.status_code\":200,\"url.original\":\"/o?p\",\"url.domain\":\"o.example\"}\n",
            "{\"level\":30,\"req\":{\"method\":\"GET\",\"url\":\"/p\",\"headers\":{\"host\":\"p.example\"}},\"res\":{\"statusCode\":200}}\n",
        ),
        &[
            ("/f", "f.example"),
            ("/c?d", "c.example"),
            ("/w?a=1", "w.example"),
            ("/g", "g.example"),
            ("/z?q=1", "z.example"),
            ("/e?x", "e.example"),
            ("/o?p", "o.example"),
            ("/p", "p.example"),
        ],
        "",
    );
}

#[test]
fn what_a_server_says_of_itself_between_its_requests() {
    let own = "{\"level\":\"info\",\"logger\":\"tls\",\"msg\":\"storage cleaning\"}\n";
    let request =
        "{\"request\":{\"method\":\"GET\",\"host\":\"h\",\"uri\":\"/a\"},\"status\":200}\n";
    assert_log(
        &[own, own, request, own, request, own].concat(),
        &[("/a", "h"), ("/a", "h")],
        "4 lines without a request",
    );
    // An object that was cut off is broken, and told.
    let cut = read([request, &request[..40], "\n"].concat().as_bytes());
    assert_eq!((cut.records.len(), cut.bad.len()), (1, 1));
}

#[test]
fn logs_of_containers() {
    let request = "::1 - - [10/Oct/2025:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"agent\"";
    let escaped = request.replace('"', "\\\"");
    let log = format!(
        "2025/10/10 13:55:35 [notice] 1#1: using the \"epoll\" event method\n\
         2025/10/10 13:55:36 [error] 29#29: *1 open() \"/a\" failed (2: No such file), client: ::1, request: \"GET /a HTTP/1.1\", host: \"h\"\n\
         {request}\n\
         2025-10-10T13:55:36.1Z stdout F {request}\n\
         2025-10-10T13:55:36.1Z stdout F {{\"request_method\":\"GET\",\"uri\":\"/j\",\"status\":200}}\n\
         {{\"log\":\"{escaped}\\n\",\"stream\":\"stdout\",\"time\":\"2025-10-10T13:55:36Z\"}}\n\
         {{\"log\":\"starting\\n\",\"stream\":\"stderr\",\"time\":\"2025-10-10T13:55:36Z\"}}\n"
    );
    let requests = ["/a", "/a", "/j", "/a"].map(|path| (path, "target"));
    assert_log(&log, &requests, "3 lines without a request");
    // What is said before the first line of the log is broken, and no URI.
    let begun = format!("/docker-entrypoint.sh: Configuration complete; ready for start up\n{log}");
    let found = read(begun.as_bytes());
    assert_eq!((found.format, found.bad.len()), (InputFormat::Access, 1));
    assert_eq!(found.records.len(), 4);
}

#[test]
fn a_sentence_that_begins_with_a_path_is_no_list_of_uris() {
    let sentence = b"/docker-entrypoint.sh: Looking for shell scripts in /docker-entrypoint.d/\n";
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), sentence).expect("written");
    let settings = InputSettings::of_file(file.path());
    assert!(encarno_input::open(&settings, &Strings::default()).is_err());
    // What Tank sends may say what it expects.
    let ammo = b"{\"uri\": \"/a\", \"method\": \"POST\", \"body\": \"x\", \"status\": 200}\n";
    assert_eq!(read(ammo).format, InputFormat::JsonLine);
}

#[test]
fn logs_of_load_balancers_and_networks() {
    // AWS's ALB, S3, Envoy.
    assert_log(
        concat!(
            "https 2018-07-02T22:23:00.186641Z app/lb/50dc 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 \"GET https://www.example.com:443/p?q=1 HTTP/1.1\" \"curl/7.46.0\" ECDHE TLSv1.2 arn \"Root=1-58\" \"www.example.com\"\n",
            "79a5 bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57 REST.GET.OBJECT key \"GET /bucket/key HTTP/1.1\" 200 - 113 - 7 - \"-\" \"S3Console/0.4\" -\n",
            "[2016-04-15T20:17:00.310Z] \"GET /api/v1 HTTP/2\" 204 - 154 0 226 100 \"10.0.35.28\" \"nsq2http\"\n",
        ),
        &[
            ("/p?q=1", "www.example.com"),
            ("/bucket/key", "target"),
            ("/api/v1", "target"),
        ],
        "",
    );
    assert_log(
        concat!(
            "#Version: 1.0\n",
            "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header\n",
            "2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td1.cloudfront.net\t/index.html\t200\t-\tMozilla/5.0%20x\t-\t-\tHit\tSOX4==\twww.example.com\n",
            "2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tHEAD\td1.cloudfront.net\t/index.html\t200\t-\tMozilla/5.0%20x\t-\t-\tHit\tSOX4==\twww.example.com\n",
        ),
        &[("/index.html", "www.example.com")],
        "1 HEAD",
    );
    assert_log(
        concat!(
            "#Software: Microsoft Internet Information Services 10.0\r\n",
            "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status\r\n",
            "2025-01-01 00:00:01 ::1 GET /default.htm a=b&c=d 80 - ::1 Mozilla/5.0+(x) 200\r\n",
            "2025-01-01 00:00:02 ::1 GET / - 80 - ::1 Mozilla/5.0+(x) 304\r\n",
        ),
        &[("/default.htm?a=b&c=d", "target"), ("/", "target")],
        "",
    );
    // A shape that isn't known is said to be one.
    let squid = read_as(
        b"1286536309.586 921 192.168.0.68 TCP_MISS/200 507 GET http://h/x - DIRECT/1 text/xml\n",
        |settings| settings.format = Some(InputFormat::Access),
    );
    let reason = &squid.bad[0].reason;
    assert!(reason.contains("no line of an access log"), "{reason}");
}

#[test]
fn hundreds_of_scanners_lines_end_no_run() {
    let line = |request: &str| format!("::1 - - [d] \"{request}\" 400 0\n");
    let log = line("GET /ok HTTP/1.1") + &line("\\x03\\x00\\x00/*\\xE0").repeat(500);
    let found = read(log.as_bytes());
    assert_eq!((found.records.len(), found.bad.len()), (1, 0));
    assert_eq!(found.left_out, "500 lines without a request");
}

#[test]
fn the_bound_of_broken_records_is_a_share() {
    let broken = |good: usize, bad: usize| {
        let urls = "/a\n".repeat(good) + &"nothing\n".repeat(bad);
        read_as(urls.as_bytes(), |settings| {
            settings.format = Some(InputFormat::Urls);
            settings.bad_limit = BadLimit::default();
        })
    };
    assert_eq!(broken(10_000, 150).records.len(), 10_000);
    assert!(broken(10_000, 150).bad.iter().all(|bad| !bad.fatal));
    let too_many = broken(2_000, 1_500);
    let last = too_many.bad.last().expect("broken ones");
    assert!(last.fatal, "{last}");
    assert!(last.reason.contains("more than 10 % broken"), "{last}");
    assert_eq!("150".parse(), Ok(BadLimit::Records(150)));
    assert_eq!("2.5%".parse(), Ok(BadLimit::Share(0.025)));
    assert!("-1".parse::<BadLimit>().is_err() && "101%".parse::<BadLimit>().is_err());
}

#[test]
fn byte_order_marks_are_no_content() {
    let bodies: [(InputFormat, &str); 9] = [
        (InputFormat::Stpd, "2 10 tag\nhi\n"),
        (InputFormat::UriPost, "[Host: h]\n2 /a tag\nhi\n"),
        (
            InputFormat::Vegeta,
            "GET http://h/a\nX: 1\n\nGET http://h/b\n",
        ),
        (InputFormat::Urls, "/a\nlabel http://h/b\n"),
        (InputFormat::Payload, "{\"plen\": 2}\nhi\n"),
        (InputFormat::JsonLine, "{\"uri\": \"/a\"}\n"),
        (InputFormat::Raw, "2 tag\nhi\n"),
        (InputFormat::Uri, "[Host: h]\n/a\n"),
        (InputFormat::Access, "::1 \"GET / HTTP/1.1\" 200\n"),
    ];
    // Every format but the one that isn't text.
    assert_eq!(bodies.len(), InputFormat::NAMES.len() - 1);
    for (format, body) in bodies {
        let plain = read_as(body.as_bytes(), |_| {});
        let twice = |settings: &mut InputSettings| settings.passes = NonZeroU64::new(2);
        let marked = read_as(format!("\u{feff}{body}").as_bytes(), twice);
        assert_eq!(marked.format, format);
        assert_eq!(marked.bad, []);
        assert_eq!(
            marked.records,
            [plain.records.clone(), plain.records].concat(),
            "{format:?}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let strings_file = folder.path().join("ammo.istr");
    std::fs::write(&strings_file, "\u{feff}one\ntwo\n").expect("written");
    let indexed = read_as(b"{\"plen\": 2, \"l\": 1}\nhi\n", |settings| {
        settings.strings_file = Some(strings_file);
    });
    assert_eq!(indexed.records[0].0, "one");
    let wide = "\u{feff}/a\n".encode_utf16().flat_map(u16::to_le_bytes);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), wide.collect::<Vec<_>>()).expect("written");
    let error = encarno_input::open(&InputSettings::of_file(file.path()), &Strings::default());
    let error = error.expect_err("not text").to_string();
    assert!(error.contains("iconv -f UTF-16"), "{error}");
}

#[test]
fn json_ammo_in_all_its_forms() {
    let one = "{\"tag\": \"t\", \"uri\": \"/a\", \"method\": \"POST\", \"headers\": {\"X\": \"1\", \"N\": 2}, \"host\": \"one\", \"body\": \"b{\\\"\"}";
    let pretty = "{\n  \"uri\": \"/b\",\n  \"headers\": {\n    \"Y\": \"}\"\n  },\n  \"extra\": [1, {\"k\": null}]\n}";
    for text in [
        format!("{one}\n{pretty}\n"),
        format!("[{one},{pretty}]"),
        format!("[\n  {one},\n  {pretty}\n]\n"),
        format!("{pretty}\n{one}"),
    ] {
        let found = read(text.as_bytes());
        assert_eq!(found.format, InputFormat::JsonLine, "{text}");
        assert_eq!(found.bad, [], "{text}");
        let mut records = found.records;
        records.sort();
        let get = "GET /b HTTP/1.1\r\nHost: target\r\nY: }\r\n\r\n";
        let post = "POST /a HTTP/1.1\r\nHost: one\r\nN: 2\r\nX: 1\r\nContent-Length: 3\r\n\r\nb{\"";
        let expected = [("", "", get), ("t", "", post)];
        let expected =
            expected.map(|(label, address, bytes)| (label.into(), address.into(), bytes.into()));
        assert_eq!(records, expected, "{text}");
    }
    // A broken one costs itself, and no other.
    let broken = read(
        b"{\"uri\": \"/a\"}\n{\"uri\": \"/b\n{\"uri\": \"/c\"}\n{\"uri\": {\n{\"uri\": \"/d\"}\n",
    );
    assert_eq!(broken.records.len(), 3, "{:?}", broken.bad);
    let offsets: Vec<_> = broken.bad.iter().map(|bad| bad.offset).collect();
    assert_eq!(offsets, [14, 40], "{:?}", broken.bad);
}

#[test]
fn targets_of_vegeta() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body");
    std::fs::write(&body, "from a file").expect("written");
    let text = format!(
        "# a comment\nGET http://h:1/a?b\nX-A: 1\n\nPOST http://h:1/c\nX-B: 2\n@{}\nDELETE http://h:1/d\n\nPOST http://h:1/e\n@{}\n",
        body.display(),
        folder.path().join("missing").display()
    );
    let found = read(text.as_bytes());
    assert_eq!(found.format, InputFormat::Vegeta);
    let requests: Vec<_> = found.records.iter().map(|record| &*record.2).collect();
    assert_eq!(
        requests,
        [
            "GET /a?b HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\n\r\n",
            "POST /c HTTP/1.1\r\nHost: h:1\r\nX-B: 2\r\nContent-Length: 11\r\n\r\nfrom a file",
            "DELETE /d HTTP/1.1\r\nHost: h:1\r\n\r\n",
        ]
    );
    assert_eq!(found.bad.len(), 1, "{:?}", found.bad);
    assert!(
        found.bad[0].reason.contains("can't read the body"),
        "{:?}",
        found.bad
    );
    let json = read(
        b"{\"method\": \"PUT\", \"url\": \"http://h:1/j\", \"header\": {\"X\": [\"1\", \"2\"]}, \"body\": \"aGk=\"}\n",
    );
    assert_eq!(json.format, InputFormat::Vegeta);
    assert_eq!(
        json.records[0].2,
        "PUT /j HTTP/1.1\r\nHost: h:1\r\nX: 1\r\nX: 2\r\nContent-Length: 2\r\n\r\nhi"
    );
    // As a list of URLs it is refused: DELETE is no label.
    let urls = read_as(b"/a\nDELETE http://h/d\n", |settings| {
        settings.format = Some(InputFormat::Urls);
    });
    assert_eq!(urls.records.len(), 1);
    assert!(
        urls.bad[0].reason.contains("--format vegeta"),
        "{:?}",
        urls.bad
    );
}

#[test]
fn hosts_are_taken_from_urls_only_when_asked() {
    for (format, text) in [
        (
            InputFormat::Access,
            "::1 \"GET http://u:p@other:9/x HTTP/1.1\" 200\n",
        ),
        (InputFormat::Uri, "HTTP://u:p@other:9/x\n"),
        (InputFormat::Urls, "http://u:p@other:9/x\n"),
        (InputFormat::UriPost, "0 http://u:p@other:9/x\n\n"),
        (
            InputFormat::JsonLine,
            "{\"uri\": \"http://u:p@other:9/x\"}\n",
        ),
        (InputFormat::Vegeta, "GET http://u:p@other:9/x\n"),
    ] {
        let address = |record_hosts| {
            let found = read_as(text.as_bytes(), |settings| {
                (settings.format, settings.record_hosts) = (Some(format), record_hosts);
                settings.log_hosts = record_hosts;
            });
            let (_, address, bytes) = found.records[0].clone();
            assert!(
                bytes.contains(" /x HTTP/1.1\r\nHost: other:9\r\n"),
                "{bytes}"
            );
            assert!(
                bytes.contains("\r\nAuthorization: Basic dTpw\r\n"),
                "{bytes}"
            );
            address
        };
        let addresses = (&*address(false), &*address(true));
        assert_eq!(addresses, ("", "http://other:9"), "{format:?}");
    }
    // The address of a payload record is its own, but not its password.
    let payload = read(b"{\"plen\": 2, \"address\": \"http://u:p@other:9\"}\nhi\n");
    assert_eq!(payload.records[0].1, "http://other:9");
}

#[test]
fn given_headers_replace_made_ones() {
    let found = read_as(b"http://u:p@other/x\n", |settings| {
        let header =
            |name: &str, value: &str| (name.to_owned(), encarno_secret::Secret::new(value));
        settings.headers = vec![header("hOST", "mine"), header("AUTHORIZATION", "Bearer t")];
    });
    assert_eq!(
        found.records[0].2,
        "GET /x HTTP/1.1\r\nhOST: mine\r\nAUTHORIZATION: Bearer t\r\n\r\n"
    );
    let post = read_as(b"/x#part\nhttp://h?y\n", |settings| {
        (settings.method, settings.body) = (Some("POST".to_owned()), Some("x".into()));
    });
    let requests: Vec<_> = post.records.iter().map(|record| &*record.2).collect();
    assert_eq!(
        requests,
        [
            "POST /x HTTP/1.1\r\nHost: target\r\nContent-Length: 1\r\n\r\nx",
            "POST /?y HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        ]
    );
}

#[test]
fn errors_show_no_secrets() {
    let found = read_as(b"key=hunter2 hunter2\n/x\n", |settings| {
        settings.format = Some(InputFormat::Raw);
    });
    assert!(found.bad[0].reason.contains("key=…"), "{:?}", found.bad);
    let url = read_as(b"http://user:hunter2@h:port/\n", |settings| {
        settings.format = Some(InputFormat::Urls);
    });
    assert!(
        !format!("{:?}", url.bad).contains("hunter2"),
        "{:?}",
        url.bad
    );
}
