//! A component that answers HTTP requests in a different way for each path, so that a
//! client can be tested with everything that a server may do.
//!
//! | path | answer |
//! |---|---|
//! | `/echo…` | the request: its body, its headers as `x-echo-NAME`, and `x-method`, `x-path`, `x-scheme`, `x-authority` |
//! | `/json` | the request, as JSON |
//! | `/status/N` | status N, and the number as a text |
//! | `/delay/MS` | an answer after MS milliseconds |
//! | `/bytes/N` | N bytes: 0, 1, … 250, 0, 1, … |
//! | `/count` | the number of bytes of the request's body |
//! | `/cookies` | the cookies of the request, as sorted lines |
//! | `/set-cookie?LINE&LINE` | each line as a `set-cookie` header |
//! | `/redirect/N` | N redirections, with status 302 or `?STATUS` |
//! | `/moved/STATUS?URL&LINE` | a redirection to that URL, with each further line as a `set-cookie` header |
//! | `/packed/ENCODING` | the text `unpacked`, in `gzip`, `deflate`, `br` or `zstd` |
//! | `/html` | a page with links and forms |
//! | `/basic`, `/digest` | 401, until credentials of that kind come, whatever they are; then the part of them that names the user |
//! | `/trailers` | a body with trailers |
//! | `/fetch?AUTHORITY` | the result of a request to AUTHORITY: its status, or the error |
//! | `/burn/MS`, `/memory/MB` | an answer after MS of CPU time, or with MB of memory |
//! | `/error`, `/silence`, `/trap`, `/cut/N`, `/early` | no response, or a part of one |
//! | `/late/N` | N bytes, and then a trap |
//!
//! - [`bodies`]: reading and writing
//! - [`pages`]: answers that are text
//! - [`query`]: parses queries

// `generate!` writes the code for the host's interface, without documentation.
#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "http-guest",
        generate_all,
    });
}

mod bodies;
mod pages;
mod query;

use bindings::exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::outgoing_handler;
use bindings::wasi::http::types::{
    ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, Scheme,
};

const NS_PER_MS: u64 = 1_000_000;
const PAGE_BYTES: usize = 4096;

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let name = parts.next().unwrap_or_default();
        let rest = parts.next().unwrap_or_default();
        let number = rest.parse::<u64>().ok();
        match (name, number) {
            ("echo" | "", _) => echo(&request, &target, out),
            ("json", _) => {
                let json = pages::json(&request, &target);
                whole(
                    out,
                    200,
                    &[("content-type", b"application/json")],
                    json.as_bytes(),
                );
            }
            ("status", Some(status)) => text(out, status as u16, &[], &status.to_string()),
            ("delay", Some(ms)) => {
                monotonic_clock::subscribe_duration(ms.saturating_mul(NS_PER_MS)).block();
                text(out, 200, &[], &ms.to_string());
            }
            ("bytes", Some(count)) => {
                let length = count.to_string();
                let headers: [Header; 2] = [
                    ("content-type", b"application/octet-stream"),
                    ("content-length", length.as_bytes()),
                ];
                let body = respond(out, 200, &headers);
                bodies::pattern(&body, count);
                finish(body, None);
            }
            ("count", _) => {
                let count = bodies::count(&request);
                text(out, 200, &[], &count.to_string());
            }
            ("cookies", _) => text(out, 200, &[], &pages::cookies(&request).join("\n")),
            ("set-cookie", _) => {
                let lines = query::parts(query);
                let headers: Vec<_> = lines
                    .iter()
                    .map(|line| ("set-cookie", line.as_bytes()))
                    .collect();
                text(out, 200, &headers, "");
            }
            ("redirect", Some(0)) => text(out, 200, &[], "arrived"),
            ("redirect", Some(left)) => redirect(out, left - 1, query),
            ("moved", Some(status)) => {
                let lines = query::parts(query);
                let mut names = std::iter::once("location").chain(std::iter::repeat("set-cookie"));
                let headers: Vec<_> = names
                    .by_ref()
                    .zip(lines.iter().map(String::as_bytes))
                    .collect();
                text(out, status as u16, &headers, "");
            }
            ("packed", _) if pages::packed(rest).is_some() => {
                let packed = pages::packed(rest).unwrap_or_default();
                whole(out, 200, &[("content-encoding", rest.as_bytes())], packed);
            }
            ("html", _) => whole(
                out,
                200,
                &[("content-type", b"text/html")],
                pages::HTML.as_bytes(),
            ),
            ("basic", _) => challenge(&request, "Basic ", "Basic realm=\"r\"", out),
            ("digest", _) => {
                let asked = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5";
                challenge(&request, "Digest ", asked, out);
            }
            ("trailers", _) => {
                let body = respond(out, 200, &[]);
                bodies::write(&body, b"body");
                finish(body, Some(fields(&[("x-trailer", b"last")])));
            }
            ("fetch", _) => text(out, 200, &[], &fetch(query)),
            ("burn", Some(ms)) => {
                let end = monotonic_clock::now().saturating_add(ms.saturating_mul(NS_PER_MS));
                while monotonic_clock::now() < end {}
                text(out, 200, &[], &ms.to_string());
            }
            ("memory", Some(mib)) => {
                let mut held = vec![0u8; (mib as usize) << 20];
                held.iter_mut()
                    .step_by(PAGE_BYTES)
                    .for_each(|byte| *byte = 1);
                let held = std::hint::black_box(held);
                text(out, 200, &[], &(held.len() >> 20).to_string());
            }
            ("error", _) => ResponseOutparam::set(
                out,
                Err(ErrorCode::InternalError(Some("as asked".to_owned()))),
            ),
            ("silence", _) => drop(out),
            ("trap", _) => std::process::abort(),
            ("cut", Some(count)) => {
                let body = respond(out, 200, &[]);
                bodies::pattern(&body, count);
                std::process::abort();
            }
            ("early", _) => {
                // Writes a body that is larger than the host keeps, before its head is
                // set.
                let response = OutgoingResponse::new(fields(&[]));
                let body = response.body().ok();
                bodies::pattern(&body, 8 << 20);
                ResponseOutparam::set(out, Ok(response));
                finish(body, None);
            }
            ("late", Some(count)) => {
                let body = respond(out, 200, &[]);
                bodies::pattern(&body, count);
                finish(body, None);
                std::process::abort();
            }
            _ => text(out, 404, &[], "no such path"),
        }
    }
}

type Header<'a> = (&'a str, &'a [u8]);

fn echo(request: &IncomingRequest, target: &str, out: ResponseOutparam) {
    let method = method(request);
    let scheme = match request.scheme() {
        None => String::new(),
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        Some(Scheme::Other(scheme)) => scheme,
    };
    let authority = authority(request);
    let received = request.headers().entries();
    let echoed: Vec<_> = received
        .iter()
        .map(|(name, value)| (format!("x-echo-{name}"), value))
        .collect();
    let mut headers: Vec<Header> = vec![
        ("x-method", method.as_bytes()),
        ("x-path", target.as_bytes()),
        ("x-scheme", scheme.as_bytes()),
        ("x-authority", authority.as_bytes()),
    ];
    headers.extend(
        echoed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice())),
    );
    for (name, value) in &received {
        if name == "content-type" {
            headers.push(("content-type", value));
        }
    }
    let body = respond(out, 200, &headers);
    bodies::copy(request, &body);
    finish(body, None);
}

fn method(request: &IncomingRequest) -> String {
    let name = match request.method() {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(method) => return method,
    };
    name.to_owned()
}

fn authority(request: &IncomingRequest) -> String {
    request.authority().unwrap_or_default()
}

/// Accepts any credentials of the right kind, and answers with the user that they name.
fn challenge(request: &IncomingRequest, kind: &str, asked: &str, out: ResponseOutparam) {
    let headers = request.headers().entries();
    let shown = headers.iter().find(|(name, _)| name == "authorization");
    let shown = shown.map(|(_, value)| String::from_utf8_lossy(value));
    let Some(shown) = shown.as_deref().and_then(|value| value.strip_prefix(kind)) else {
        return text(out, 401, &[("www-authenticate", asked.as_bytes())], "");
    };
    let mut parts = shown.split(',');
    let user = parts.find(|part| kind == "Basic " || part.contains("username="));
    text(out, 200, &[], user.unwrap_or_default().trim());
}

fn redirect(out: ResponseOutparam, left: u64, query: &str) {
    let status = query.parse().unwrap_or(302);
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    let location = format!("/redirect/{left}{query}");
    text(out, status, &[("location", location.as_bytes())], "");
}

fn fetch(authority: &str) -> String {
    let request = OutgoingRequest::new(Fields::new());
    let said = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some("/")));
    if said.is_err() {
        return "not an authority".to_owned();
    }
    let response = match outgoing_handler::handle(request, None) {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => response.status().to_string(),
        Some(Ok(Err(error))) => format!("{error:?}"),
        _ => "no response".to_owned(),
    }
}

/// Answers with a short text.
fn text(out: ResponseOutparam, status: u16, headers: &[Header], text: &str) {
    let mut headers = headers.to_vec();
    headers.push(("content-type", b"text/plain"));
    whole(out, status, &headers, text.as_bytes());
}

/// Answers with a body whose length is known, unless the status allows none.
fn whole(out: ResponseOutparam, status: u16, headers: &[Header], bytes: &[u8]) {
    if matches!(status, 204 | 304) {
        return finish(respond(out, status, &[]), None);
    }
    let length = bytes.len().to_string();
    let mut headers = headers.to_vec();
    headers.push(("content-length", length.as_bytes()));
    let body = respond(out, status, &headers);
    bodies::write(&body, bytes);
    finish(body, None);
}

/// Answers with this status and these headers; the body follows. Headers that HTTP
/// doesn't allow are left out.
fn respond(out: ResponseOutparam, status: u16, headers: &[Header]) -> Option<OutgoingBody> {
    let response = OutgoingResponse::new(fields(headers));
    let status = response.set_status_code(status);
    let body = response.body().ok();
    let answer = status.map(|()| response);
    ResponseOutparam::set(
        out,
        answer.map_err(|()| ErrorCode::InternalError(Some("no such status".to_owned()))),
    );
    body
}

fn fields(headers: &[Header]) -> Fields {
    let fields = Fields::new();
    for (name, value) in headers {
        // A reserved header, such as host, isn't echoed.
        let _ = fields.append(name, value);
    }
    fields
}

fn finish(body: Option<OutgoingBody>, trailers: Option<Fields>) {
    if let Some(body) = body {
        // The host itself notices a body that doesn't match its announcement.
        let _ = OutgoingBody::finish(body, trailers);
    }
}

bindings::export!(Component with_types_in bindings);
