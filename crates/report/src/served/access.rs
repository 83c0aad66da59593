//! Who may see the page. On an address of this machine alone, everyone on this machine
//! may; requests from foreign web pages are refused by their Host. On any other address,
//! the URL must contain a token.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;

use super::request::Request;

const TOKEN_BYTES: usize = 16;

#[derive(Debug)]
pub(crate) struct Access {
    port: u16,
    token: Option<String>,
}

impl Access {
    /// That of an address, and the URL of what stands at that path there.
    pub(super) fn of(address: SocketAddr, path: &str) -> io::Result<(Self, String)> {
        let port = address.port();
        let token = match address.ip().is_loopback() {
            true => None,
            false => Some(token()?),
        };
        let host = match address.ip().is_unspecified() {
            // Other machines know this machine by its name.
            true => hostname(),
            false => match address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            },
        };
        let query = token.as_ref().map(|token| format!("?token={token}"));
        let url = format!("http://{host}:{port}{path}{}", query.unwrap_or_default());
        Ok((Self { port, token }, url))
    }

    pub(super) fn allows(&self, request: &Request) -> bool {
        match &self.token {
            Some(token) => {
                let given = request.query("token").or(request.bearer());
                let given = given.unwrap_or_default();
                // As long whatever is wrong of it.
                let differences = given.bytes().zip(token.bytes()).map(|(a, b)| a ^ b);
                given.len() == token.len() && differences.fold(0, |all, one| all | one) == 0
            }
            None => {
                let port = format!(":{}", self.port);
                let host = request.host.strip_suffix(&*port).unwrap_or(&request.host);
                ["localhost", "127.0.0.1", "[::1]"].contains(&host)
            }
        }
    }
}

fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).concat())
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
