//! A little web site with a memory: logins, tokens, cookies, redirects.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Which connection.
    pub(crate) connection: usize,
}

#[derive(Default)]
struct Memory {
    asked: Vec<Asked>,
    /// User and token of each session.
    sessions: HashMap<String, (String, String)>,
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Site {
    pub(crate) fn start(listen: &str) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let shared = Arc::clone(&memory);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let memory = Arc::clone(&shared);
                thread::spawn(move || serve(stream, number, address, &memory));
            }
        });
        Self { address, memory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests, in the order in which they came.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.memory).asked.clone()
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, connection: usize, own: SocketAddr, memory: &Mutex<Memory>) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(asked) = read(&mut reader, connection) {
        let answer = answer(&asked, own, memory);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Asked> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end_matches("\r\n").split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or("0", String::as_str);
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        target,
        headers,
        body,
        connection,
    })
}

fn answer(asked: &Asked, own: SocketAddr, memory: &Mutex<Memory>) -> Vec<u8> {
    let mut memory = lock(memory);
    memory.asked.push(asked.clone());
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let cookie = |name: &str| {
        let all = asked.headers.get("cookie").map_or("", String::as_str);
        all.split("; ")
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
            .unwrap_or_default()
            .to_owned()
    };
    match path {
        // Who logs in gets a session in a cookie and a token in the body.
        "/login" => {
            let user = String::from_utf8_lossy(&asked.body).into_owned();
            let number = memory.sessions.len();
            let (session, token) = (format!("s{number}"), format!("tök-{user}-{number}"));
            let body = format!(r#"{{"user": {{"token": "{token}"}}, "left": [3, 2, 1]}}"#);
            memory.sessions.insert(session.clone(), (user, token));
            let headers = format!("Set-Cookie: sid={session}; Path=/; HttpOnly\r\n");
            whole("200 OK", &headers, body.as_bytes())
        }
        "/start" => whole("302 Found", "Location: /page\r\n", b"go on"),
        // Both are needed.
        "/page" => match memory.sessions.get(&cookie("sid")) {
            Some((user, token)) if asked.headers.get("x-token") == Some(token) => {
                whole("200 OK", "", format!("welcome {user}").as_bytes())
            }
            _ => whole("403 Forbidden", "", b"who are you?"),
        },
        "/echo" => whole("200 OK", "", &asked.body),
        "/list" => whole("200 OK", "X-Kind: list\r\n", b"id=1; id=2; id=3;"),
        "/to" => {
            let status = asked.headers.get("x-status").map_or("302", String::as_str);
            let query = query.replace("PORT", &own.port().to_string());
            let location = format!("Location: {query}\r\nSet-Cookie: hop=1\r\n");
            whole(&format!("{status} There"), &location, b"")
        }
        "/loop" => whole("301 Moved", "Location: /loop\r\n", b""),
        "/slow" => {
            drop(memory);
            thread::sleep(Duration::from_millis(700));
            whole("200 OK", "", b"at last")
        }
        "/marked" => whole("200 OK", "", "\u{feff}{\"id\": 7}".as_bytes()),
        "/huge" => whole("200 OK", "", &vec![0xff; 3 << 20]),
        "/chunked" => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!("{head}4\r\nid=4\r\n3\r\n2; \r\n0\r\n\r\n").into_bytes()
        }
        _ => whole("404 Not Found", "", b"nothing"),
    }
}

fn whole(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}
