//! The one request of a run without an input file, from URL, headers and body.

use encarno_record::template::{LENGTH, has_number};
use encarno_secret::Secret;

use crate::cli::Failure;
use crate::url_text::{Target, is_token};

/// The request as it is sent.
pub(super) fn bytes(
    target: &Target,
    method: Option<&str>,
    headers: &[(String, Secret)],
    body: Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let method = method.unwrap_or(default_method(body.is_some()));
    check_method(method)?;
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    // URLs are parsed before numbers are filled in, and a parsed path has no braces.
    let path = target.path.replace("$%7Bn%7D", "${n}");
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {}\r\n", value.expose()));
    }
    if !has("host") {
        request.push_str(&format!("Host: {}\r\n", target.host));
    }
    if let Some(authorization) = target
        .authorization
        .as_ref()
        .filter(|_| !has("authorization"))
    {
        request.push_str(&format!("Authorization: {}\r\n", authorization.expose()));
    }
    if !has("user-agent") {
        let version = env!("CARGO_PKG_VERSION");
        request.push_str(&format!("User-Agent: encarno/{version}\r\n"));
    }
    if let (Some(body), false) = (&body, has("content-length")) {
        let length = match has_number(body) {
            true => LENGTH.to_owned(),
            false => body.len().to_string(),
        };
        request.push_str(&format!("Content-Length: {length}\r\n"));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend(body.unwrap_or_default());
    Ok(request)
}

/// The default method of a request.
pub(super) fn default_method(has_body: bool) -> &'static str {
    if has_body { "POST" } else { "GET" }
}

pub(super) fn check_method(method: &str) -> Result<(), Failure> {
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Failure::usage(format!("'{method}' can't be a method")));
    }
    Ok(())
}
