//! The one request of a run without an input file, from URL, headers and body.

use crate::cli::Failure;

/// The request as it is sent.
pub(super) fn bytes(
    url: &str,
    method: Option<&str>,
    headers: &[String],
    body: Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let default_method = if body.is_some() { "POST" } else { "GET" };
    let method = method.unwrap_or(default_method);
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Failure::usage(format!("'{method}' can't be a method")));
    }
    let target = target_of(url);
    if !is_clean(&target) || target.contains(' ') {
        let text = "the URL has a space or a control character: write it as %20";
        return Err(Failure::usage(text));
    }
    let headers = headers
        .iter()
        .map(|header| split_header(header))
        .collect::<Result<Vec<_>, _>>()?;
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in &headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !has("host") {
        request.push_str(&format!("Host: {}\r\n", host_of(url)));
    }
    if !has("user-agent") {
        let version = env!("CARGO_PKG_VERSION");
        request.push_str(&format!("User-Agent: encarno/{version}\r\n"));
    }
    if let (Some(body), false) = (&body, has("content-length")) {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend(body.unwrap_or_default());
    Ok(request)
}

/// Name and value of `Name: value`.
pub(super) fn split_header(header: &str) -> Result<(String, String), Failure> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| Failure::usage(format!("header '{header}' has no colon")))?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Failure::usage(format!("'{name}' can't be a header's name")));
    }
    if !is_clean(value) {
        let text = format!("header '{name}' has a control character");
        return Err(Failure::usage(text));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A tchar of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_clean(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_control())
}

/// Host and port of a URL, as the Host header has them.
pub(super) fn host_of(url: &str) -> &str {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if scheme.contains("unix") {
        return "localhost";
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// Path and query of a URL.
fn target_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if scheme.contains("unix") {
        return "/".to_owned();
    }
    let rest = rest.split('#').next().unwrap_or_default();
    match rest.find(['/', '?']) {
        Some(start) if rest[start..].starts_with('/') => rest[start..].to_owned(),
        Some(start) => format!("/{}", &rest[start..]),
        None => "/".to_owned(),
    }
}
