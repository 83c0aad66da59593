//! The entry points of the fuzz targets.

use std::path::Path;

use bytes::BytesMut;
use encarno_http1::Request;
use url::Url;

use super::condition::Condition;
use super::cookies::{Jar, is_private};
use super::data::DataSource;
use super::extract::parse_template;
use super::inspection::node_text;
use super::jsonpath;
use super::names::Names;
use super::pattern::{Matchers, Pattern};
use super::redirect::Redirect;
use super::request::{url_of, with_cookies};
use crate::settings::{DataOrder, DataSettings};

/// Parses a JSONPath, and applies it to a text.
pub fn jsonpath(path: &str, text: &[u8]) {
    if let (Ok(path), Ok(json)) = (jsonpath::Path::parse(path), serde_json::from_slice(text)) {
        for node in path.find(&json) {
            let _ = node_text(&node);
        }
    }
}

/// Compiles an expression in Go's syntax, searches a text with it, and parses a template
/// for its groups.
pub fn pattern(text: &str, searched: &[u8]) {
    let _ = parse_template(text, 3);
    if let Ok(pattern) = Pattern::compile(text, 0) {
        let mut matchers = Matchers::default();
        let matcher = matchers.get(&pattern);
        let found = matcher.regex.captures_read(&mut matcher.groups, searched);
        assert_eq!(found.is_some(), matcher.regex.is_match(searched));
    }
}

/// Parses and evaluates a condition, with a value for each variable.
pub fn condition(text: &str) {
    if let Ok(condition) = Condition::parse(text) {
        let once = condition.holds(&mut |name| name.as_bytes().to_vec());
        let again = condition.holds(&mut |name| name.as_bytes().to_vec());
        assert_eq!(once, again);
    }
}

/// Adds cookies, which must not split a header field into two.
pub fn cookies<'a>(url: &str, headers: impl Iterator<Item = &'a [u8]>) {
    let Ok(url) = Url::parse(url) else {
        return;
    };
    let mut jar = Jar::default();
    for header in headers {
        jar.take(header, &url);
    }
    let mut out = String::new();
    if jar.write(&url, is_private(&url, url.as_str()), &mut out) {
        assert!(!out.contains(['\r', '\n', '\0']), "{out:?}");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        if let Some(request) = Request::parse(request) {
            let mut written = BytesMut::new();
            with_cookies(&request, &out, &mut written);
            assert_eq!(
                Request::parse(&written).map(|request| request.fields().count()),
                Some(2)
            );
        }
    }
    jar.clear();
    assert!(!jar.write(&url, true, &mut out));
}

/// Follows a redirect, which must give one request without additional fields.
pub fn redirect(bytes: &[u8], location: &[u8]) {
    let Some(request) = Request::parse(bytes) else {
        return;
    };
    let _ = Redirect::to_whole_url(request.target);
    let Some(url) = url_of(&request, "http://127.0.0.1") else {
        return;
    };
    for status in [301, 303, 307] {
        let Some(redirect) = Redirect::new(status, &url, location) else {
            continue;
        };
        let mut out = BytesMut::new();
        redirect.write(&request, &mut out);
        let address = redirect.address();
        assert!(!address.contains(['\r', '\n', ' ']), "{address:?}");
        let next = Request::parse(&out);
        assert!(next.is_some(), "{}", out.escape_ascii());
        if let Some(next) = next {
            // A user in the Location adds one more field.
            assert!(next.fields().count() <= request.fields().count() + 1);
        }
    }
}

/// Reads a file of rows, whose first row has the names.
pub fn data(file: &Path) {
    for quoted in [true, false] {
        let settings = DataSettings {
            file: file.to_owned(),
            delimiter: b',',
            quoted,
            names: Vec::new(),
            order: DataOrder::Loop,
        };
        let _ = DataSource::read(&settings, &mut Names::default());
    }
}
