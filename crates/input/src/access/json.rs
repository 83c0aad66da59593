//! An object a line. Servers name the same things differently.

use std::borrow::Cow;

use serde_json::Value;

use super::{Logged, request_line};

/// Where the method may stand, as JSON pointers.
const METHOD: [&str; 7] = [
    "/request/method",
    "/RequestMethod",
    "/request_method",
    "/httpRequest/requestMethod",
    "/http/request/method",
    "/http_method",
    "/method",
];
/// Path and query in one, or a URL.
const URL: [&str; 11] = [
    "/request/uri",
    "/request/url",
    "/RequestPath",
    "/request_uri",
    "/httpRequest/requestUrl",
    "/url/original",
    "/http_url",
    "/path",
    "/url",
    "/uri",
    "/request_path",
];
const HOST: [&str; 7] = [
    "/request/host",
    "/RequestHost",
    "/http_host",
    "/host",
    "/authority",
    "/vhost",
    "/server_name",
];
/// A query apart from the path, as nginx's `$uri` and `$args`.
const QUERY: [&str; 3] = ["/args", "/query_string", "/query"];
/// What a log has beside a request, and a list of requests hasn't.
const OUTCOME: [&str; 9] = [
    "/status",
    "/status_code",
    "/response_code",
    "/DownstreamStatus",
    "/OriginStatus",
    "/httpRequest/status",
    "/http/response/status_code",
    "/response/status",
    "/RequestMethod",
];

/// What the line says; none if it isn't an object of a log.
pub(super) fn logged(line: &[u8]) -> Option<Logged<'static>> {
    let value: Value = serde_json::from_slice(line).ok()?;
    find(&value, &OUTCOME)?;
    let text = |names: &[&str]| find(&value, names).and_then(Value::as_str);
    let owned = |text: &str| Cow::Owned(text.as_bytes().to_vec());
    let host = owned(text(&HOST).unwrap_or_default());
    if let Some(line) = text(&["/request", "/requestLine", "/request_line"]) {
        return Some(match request_line(line.as_bytes()) {
            None => Logged::NoRequest,
            Some((method, url)) => Logged::Request {
                method: Cow::Owned(method.to_vec()),
                url: Cow::Owned(url.to_vec()),
                host,
            },
        });
    }
    let (Some(method), Some(url)) = (text(&METHOD), text(&URL)) else {
        return Some(Logged::NoRequest);
    };
    let query = text(&QUERY).filter(|query| !query.is_empty() && !url.contains('?'));
    Some(Logged::Request {
        method: owned(method),
        url: match query {
            Some(query) => owned(&format!("{url}?{}", query.trim_start_matches('?'))),
            None => owned(url),
        },
        host,
    })
}

fn find<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a Value> {
    pointers.iter().find_map(|pointer| value.pointer(pointer))
}
