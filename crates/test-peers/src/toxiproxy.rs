//! toxiproxy: a proxy whose connections fail as networks do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program;

/// A toxiproxy for one test, with one proxy. It is killed when dropped.
pub struct Toxiproxy {
    child: Child,
    api: String,
    address: String,
}

impl Toxiproxy {
    /// Starts a toxiproxy with a proxy to `upstream`, a `host:port`.
    pub fn start(upstream: &str) -> Self {
        let program = program("toxiproxy", "TOXIPROXY");
        // The port of its API must be given.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let child = Command::new(&program)
            .args(["-host", "127.0.0.1", "-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let mut started = Self {
            child,
            api: format!("127.0.0.1:{port}"),
            address: String::new(),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&started.api).is_err() {
            let ended = started.child.try_wait().expect("toxiproxy");
            assert!(ended.is_none(), "toxiproxy ended at once: {ended:?}");
            assert!(Instant::now() < deadline, "toxiproxy is not ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        let proxy = json!({"name": "it", "listen": "127.0.0.1:0", "upstream": upstream});
        let made = started.ask("POST", "/proxies", &proxy);
        let address = made["listen"].as_str().expect("where it listens");
        started.address = address.to_owned();
        started
    }

    /// The `host:port` at which it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a toxic to both directions.
    pub fn add(&self, toxic: &str, attributes: &Value) {
        for stream in ["upstream", "downstream"] {
            let body = json!({
                "name": stream, "type": toxic, "stream": stream, "attributes": attributes,
            });
            self.ask("POST", "/proxies/it/toxics", &body);
        }
    }

    /// Removes the toxic.
    pub fn clear(&self) {
        for stream in ["upstream", "downstream"] {
            let path = format!("/proxies/it/toxics/{stream}");
            self.ask("DELETE", &path, &Value::Null);
        }
    }

    /// Calls its API.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        // An unread body would make it reset the connection.
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let mut stream = TcpStream::connect(&self.api).expect("toxiproxy's API");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("toxiproxy's API");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
        let is_good = head
            .split(' ')
            .nth(1)
            .is_some_and(|code| code.starts_with('2'));
        assert!(is_good, "{method} {path}: {answer}");
        serde_json::from_str(content).unwrap_or_default()
    }
}

impl Drop for Toxiproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
