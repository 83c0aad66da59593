//! Users who break the rule that their settings name, or tell what they see.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Mutex;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "behave" });
use exports::encarno::scenario::users::{
    Action, Answer, Field, Guest, GuestUser, Message, Next, Request, Traits,
};

struct Hostile;

static MODE: Mutex<String> = Mutex::new(String::new());

fn mode() -> String {
    MODE.lock()
        .map_or_else(|_| String::new(), |mode| mode.clone())
}

impl Guest for Hostile {
    type User = User;

    fn configure(settings: String) -> Result<Traits, String> {
        let body_bytes = match &*settings {
            "refuse" => return Err("no".into()),
            "trap-in-configure" => panic!("no"),
            "greedy" => 1 << 30,
            _ => 16,
        };
        if let Ok(mut mode) = MODE.lock() {
            *mode = settings;
        }
        let fields = true;
        Ok(Traits { fields, body_bytes })
    }
}

struct User {
    visit: u32,
    hits: RefCell<u32>,
}

fn send(label: &str, message: Message) -> Action {
    let label = label.into();
    let after_ns = 0;
    Action::Next(Next {
        after_ns,
        label,
        message,
    })
}

fn http(label: &str, method: &str, path: &str, value: &str) -> Action {
    let fields = vec![Field {
        name: "X-Visit".into(),
        value: value.into(),
    }];
    let (method, path, body) = (method.into(), path.into(), None);
    let request = Request {
        method,
        path,
        fields,
        body,
    };
    send(label, Message::Http(request))
}

impl GuestUser for User {
    fn new(_place: u32, visit: u32, _seed: u64) -> Self {
        if mode() == "trap-in-constructor" {
            panic!("no");
        }
        let hits = RefCell::new(0);
        Self { visit, hits }
    }

    fn act(&self, last: Option<Answer>) -> Action {
        let mode = mode();
        let hits = self.hits.replace_with(|hits| *hits + 1);
        match &*mode {
            "trap" if hits == 3 => panic!("no"),
            "loop" if hits == 3 => loop {
                black_box(hits);
            },
            "leave" => Action::Leave(0),
            "lines" => http("x", "GET", "/", "a\r\nHost: other"),
            "path" => http("x", "GET", "elsewhere", "1"),
            "method" => http("x", "G T", "/", "1"),
            "memory" => {
                let mut held: Vec<Vec<u8>> = Vec::new();
                loop {
                    held.push(vec![1; 16 << 20]);
                    black_box(&held);
                }
            }
            "bytes" => send("bytes", Message::Payload(b"x".to_vec())),
            // Three visits of two hits each; the second one tells what the first one saw.
            "tell" if self.visit == 3 => Action::Finish,
            "tell" if hits == 2 => Action::Leave(0),
            "tell" => match last {
                None => http("first", "GET", "/", "1"),
                Some(answer) => {
                    let field = |wanted: &str| {
                        let mut fields = answer.fields.iter();
                        let found = fields.find(|it| it.name.eq_ignore_ascii_case(wanted));
                        found.map_or_else(String::new, |field| field.value.clone())
                    };
                    let said = format!(
                        "{} {} {} {} {}",
                        answer.status,
                        answer.failed,
                        field("content-length"),
                        answer.body.len(),
                        answer.error.is_some(),
                    );
                    http(&said, "GET", "/second", "1")
                }
            },
            _ => http("x", "GET", "/", "1"),
        }
    }
}

export!(Hostile);
