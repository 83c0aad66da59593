//! Components that say what is sent: choosers of records, and virtual users.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use encarno_engine::scenario::{Action, Answer, Behaviour, Choice, Chooser, Users};
use encarno_guest::behave::{self, Behave, Message, Request};
use encarno_guest::choose::{self, Choose};
use encarno_nib::{Form, Keep};

use super::Common;
use crate::url_text::is_token;

/// A chooser, for the engine.
#[derive(Debug)]
pub(super) struct Choosing(pub(super) Choose);

/// A chooser that runs.
#[derive(Debug)]
struct Chosen(choose::Chooser);

/// Users, for the engine.
#[derive(Debug)]
pub(super) struct Behaving {
    pub(super) behave: Behave,
    pub(super) common: Arc<Common>,
}

/// The users of an event loop.
#[derive(Debug)]
struct Crowd {
    users: behave::Users,
    common: Arc<Common>,
    wants_fields: bool,
}

impl Choice for Choosing {
    fn begin(&self, labels: &[String]) -> Result<Box<dyn Chooser>, String> {
        let begun = self.0.begin(labels).map_err(|error| error.to_string())?;
        Ok(Box::new(Chosen(begun)))
    }
}

impl Chooser for Chosen {
    fn next(&mut self, count: u32) -> Result<Vec<u32>, String> {
        self.0.next(count)
    }
}

impl Behaviour for Behaving {
    fn keep(&self) -> Keep {
        let traits = self.behave.traits();
        Keep {
            head: traits.fields,
            body_bytes_max: traits.body_bytes as usize,
            wire_bytes_max: 0,
        }
    }

    fn users(&self, event_loop: usize) -> Result<Box<dyn Users>, String> {
        let users = self.behave.users(event_loop);
        Ok(Box::new(Crowd {
            users: users.map_err(|error| error.to_string())?,
            common: Arc::clone(&self.common),
            wants_fields: self.behave.traits().fields,
        }))
    }
}

impl Users for Crowd {
    fn act(
        &mut self,
        worker: u32,
        place: u32,
        answer: Option<&Answer<'_>>,
    ) -> Result<Action, String> {
        let answer = answer.map(|answer| self.seen(answer));
        Ok(match self.users.act(worker, place, answer)? {
            behave::Action::Finish => Action::End,
            behave::Action::Next {
                after_ns,
                label,
                message,
            } => Action::Send {
                rest_ns: after_ns,
                label,
                payload: self.payload(message)?,
            },
        })
    }
}

impl Crowd {
    fn seen(&self, answer: &Answer<'_>) -> behave::Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = match self.wants_fields {
            true => answer.response.fields(),
            false => encarno_nib::Response::default().fields(),
        };
        behave::Answer {
            status: answer.hit.protocol_code,
            failed: answer.failed,
            error: (!answer.error.is_empty()).then(|| answer.error.to_owned()),
            started_ns: answer.hit.started_ns,
            ended_ns: answer.hit.ended_ns,
            fields: fields
                .map(|field| (text(field.name), text(field.value)))
                .collect(),
            body: answer.response.body().to_vec(),
        }
    }

    fn payload(&self, message: Message) -> Result<Bytes, String> {
        match (message, self.common.form) {
            (Message::Http(request), Form::Http) => http(&request, &self.common).map(Bytes::from),
            (Message::Http(_), _) => {
                Err("a user sends a request over HTTP, and the protocol is another one".to_owned())
            }
            (Message::Payload(bytes), _) => Ok(bytes.into()),
        }
    }
}

/// A request as it is sent. What a guest gives must not become other lines than it says.
fn http(request: &Request, common: &Common) -> Result<Vec<u8>, String> {
    let Request {
        method,
        path,
        fields,
        body,
    } = request;
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(format!("a user's method is {method:?}, which can't be one"));
    }
    if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(format!(
            "a user's path is {path:?}: it begins with / and has no blanks"
        ));
    }
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let has = |wanted: &str| {
        let mut names = fields.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case(wanted))
    };
    for (name, value) in fields {
        let is_text = |byte: u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
        if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(is_text) {
            return Err(format!(
                "a user's header {name:?} can't be one, or its value can't"
            ));
        }
        let _written = write!(head, "{name}: {value}\r\n");
    }
    let own = [("Host", &*common.host)];
    let headers = common.headers.iter();
    let headers = headers.map(|(name, value)| (&**name, value.expose()));
    let is_common = |wanted: &str| {
        let mut names = common.headers.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case(wanted))
    };
    let agent = concat!("encarno/", env!("CARGO_PKG_VERSION"));
    let usual = own.into_iter().chain([("User-Agent", agent)]);
    let usual = usual.filter(|(name, _)| !is_common(name));
    for (name, value) in headers.chain(usual).filter(|(name, _)| !has(name)) {
        let _written = write!(head, "{name}: {value}\r\n");
    }
    if let Some(body) = body
        && !has("content-length")
        && !has("transfer-encoding")
    {
        let _written = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.as_deref().unwrap_or_default());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use encarno_guest::behave::Request;
    use encarno_nib::Form;
    use encarno_secret::Secret;

    use super::{Common, http};

    fn request(method: &str, path: &str, field: (&str, &str)) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: vec![(field.0.to_owned(), field.1.to_owned())],
            body: Some(b"ab".to_vec()),
        }
    }

    #[test]
    fn a_request_has_what_its_user_says_and_no_line_more() {
        let common = Common {
            form: Form::Http,
            host: "shop.test".to_owned(),
            headers: vec![
                ("Accept".to_owned(), Secret::new("*/*")),
                ("X-Run".to_owned(), Secret::new("7")),
            ],
        };
        let made = http(
            &request("POST", "/cart?a=1", ("accept", "text/html")),
            &common,
        );
        let agent = concat!("encarno/", env!("CARGO_PKG_VERSION"));
        let whole = format!(
            "POST /cart?a=1 HTTP/1.1\r\naccept: text/html\r\nX-Run: 7\r\nHost: shop.test\r\n\
             User-Agent: {agent}\r\nContent-Length: 2\r\n\r\nab"
        );
        assert_eq!(made, Ok(whole.into_bytes()));
        for (method, path, field) in [
            ("GE T", "/", ("a", "b")),
            ("", "/", ("a", "b")),
            ("GET", "http://other/", ("a", "b")),
            ("GET", "/a b", ("a", "b")),
            ("GET", "/\r\nHost: other", ("a", "b")),
            ("GET", "/", ("a:", "b")),
            ("GET", "/", ("a", "b\r\nHost: other")),
        ] {
            let refused = http(&request(method, path, field), &common);
            assert!(refused.is_err(), "{method:?} {path:?} {field:?}");
        }
    }
}
