//! A JSON object on each line. Servers use different names for the same things.

use std::borrow::Cow;

use serde_json::Value;

use super::{Logged, quoted, request_line};

/// The places of the method, as JSON pointers.
const METHOD: &[&str] = &[
    "/request/method",
    "/req/method",
    "/RequestMethod",
    "/request_method",
    "/httpRequest/requestMethod",
    "/httpRequest/httpMethod",
    "/http/request/method",
    "/http.request.method",
    "/ClientRequestMethod",
    "/cs-method",
    "/properties/httpMethod",
    "/CsMethod",
    "/properties/CsMethod",
    "/httpMethod",
    "/http_method",
    "/method",
];
/// The places of path and query together, or of a URL.
const URL: &[&str] = &[
    "/request/uri",
    "/req/url",
    "/request/url",
    "/RequestPath",
    "/request_uri",
    "/httpRequest/requestUrl",
    "/httpRequest/uri",
    "/url/original",
    "/url.original",
    "/url/path",
    "/url.path",
    "/url/full",
    "/url.full",
    "/ClientRequestURI",
    "/ClientRequestPath",
    "/CsUriStem",
    "/properties/CsUriStem",
    "/cs-uri-stem",
    "/properties/requestUri",
    "/http_url",
    "/path",
    "/url",
    "/uri",
    "/request_path",
];
const HOST: &[&str] = &[
    "/request/host",
    "/req/headers/host",
    "/RequestHost",
    "/http_host",
    "/ClientRequestHost",
    "/url/domain",
    "/url.domain",
    "/x-host-header",
    "/cs(Host)",
    "/properties/host",
    "/CsHost",
    "/properties/CsHost",
    "/domainName",
    "/host",
    "/authority",
    "/vhost",
    "/server_name",
];
/// The places of a query that is separate from the path, like nginx's `$uri` and `$args`.
const QUERY: &[&str] = &[
    "/args",
    "/query_string",
    "/query",
    "/url/query",
    "/url.query",
    "/httpRequest/args",
    "/cs-uri-query",
    "/ClientRequestQuery",
    "/CsUriQuery",
    "/properties/CsUriQuery",
    "/properties/requestQuery",
];
/// Keys that a log has besides a request, and that a list of requests doesn't have.
const OUTCOME: &[&str] = &[
    "/status",
    "/res/statusCode",
    "/status_code",
    "/response_code",
    "/DownstreamStatus",
    "/OriginStatus",
    "/httpRequest/status",
    "/http/response/status_code",
    "/http.response.status_code",
    "/response/status",
    "/EdgeResponseStatus",
    "/sc-status",
    "/ScStatus",
    "/properties/ScStatus",
    "/properties/httpStatus",
    "/properties/httpStatusCode",
    // Logs of requests that may have no status yet.
    "/ClientRequestMethod",
    "/RequestMethod",
    "/httpRequest/httpMethod",
];

/// The content of the line; `None` if it isn't an object, because servers log other
/// things between requests.
pub(super) fn logged(line: &[u8]) -> Option<Logged<'static>> {
    let value: Value = serde_json::from_slice(line).ok()?;
    if !value.is_object() {
        return None;
    }
    // Docker keeps the line of a container as a text.
    if let (Some(Value::String(log)), Some(_)) = (value.get("log"), value.get("stream")) {
        let line = log.trim_ascii().as_bytes();
        let inside = match line.starts_with(b"{") {
            true => logged(line),
            false => quoted::logged(line).map(Logged::into_owned),
        };
        return Some(inside.unwrap_or(Logged::NoRequest));
    }
    if !OUTCOME.iter().any(|name| value.pointer(name).is_some()) {
        return Some(Logged::NoRequest);
    }
    let text = |names: &[&str]| find(&value, names);
    let owned = |text: &str| Cow::Owned(text.as_bytes().to_vec());
    let host = owned(
        text(HOST)
            .or_else(|| listed_host(&value))
            .unwrap_or_default(),
    );
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
    let (Some(method), Some(url)) = (text(METHOD), text(URL)) else {
        return Some(Logged::NoRequest);
    };
    let is_query = |query: &&str| !["", "-"].contains(query) && !url.contains('?');
    let query = text(QUERY).filter(is_query);
    Some(Logged::Request {
        method: owned(method),
        url: match query {
            Some(query) => owned(&format!("{url}?{}", query.trim_start_matches('?'))),
            None => owned(url),
        },
        host,
    })
}

/// The first text at one of these places.
fn find<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    let mut found = pointers.iter().filter_map(|pointer| value.pointer(pointer));
    found.find_map(Value::as_str)
}

/// The Host in the list of headers of AWS's firewall.
fn listed_host(value: &Value) -> Option<&str> {
    let headers = value.pointer("/httpRequest/headers")?.as_array()?;
    let is_host = |header: &&Value| {
        let name = header["name"].as_str().unwrap_or_default();
        name.eq_ignore_ascii_case("host")
    };
    headers.iter().find(is_host)?["value"].as_str()
}
