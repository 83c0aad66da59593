//! A network from which a peer can vanish: its packets get lost, and nothing sends a FIN
//! or a RST for it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace with a link to this one. It is deleted when dropped.
pub struct Namespace {
    name: String,
    link: String,
    subnet: u8,
}

impl Namespace {
    /// Makes a namespace. If that isn't possible, stderr says that the test is skipped
    /// and why. It needs `ip` of iproute2, and root's rights.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id();
        for _ in 0..20 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let new = Self {
                name: format!("encarno-{id}-{number}"),
                // At most 15 bytes.
                link: format!("enc{:x}-{:x}", id & 0x00ff_ffff, number & 0xff),
                subnet: (id.wrapping_mul(31).wrapping_add(number) % 250) as u8,
            };
            match new.set_up() {
                Ok(()) => return Some(new),
                // A test of another process uses this subnet.
                Err(reason) if reason.contains("in use") => {}
                Err(reason) => {
                    skipped(&format!("no network namespace can be made: {reason}"));
                    return None;
                }
            }
        }
        skipped("no subnet of 198.18.0.0/16 is free for a network namespace");
        None
    }

    fn set_up(&self) -> Result<(), String> {
        let (name, link) = (&self.name, &self.link);
        let subnet = format!("198.18.{}.", self.subnet);
        let routes = ip(&["-4", "route", "show"])?;
        if routes.contains(&subnet) {
            return Err(format!("{subnet}0/24 is in use"));
        }
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", link, "type", "veth", "peer", "name", "peer", "netns", name,
        ])?;
        ip(&["addr", "add", &format!("{subnet}1/24"), "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        ip(&[
            "-n",
            name,
            "addr",
            "add",
            &format!("{subnet}2/24"),
            "dev",
            "peer",
        ])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        self.mend();
        Ok(())
    }

    /// The address of programs in it.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.subnet, 2)
    }

    /// The same program with the same arguments and environment, to run in it.
    pub fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("ip");
        within
            .args(["netns", "exec", &self.name])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        within
    }

    /// Drops all packets in both directions.
    pub fn cut(&self) {
        self.turn("down");
    }

    /// Lets packets pass again.
    pub fn mend(&self) {
        self.turn("up");
    }

    // Turns the link at its far end, so that this side isn't notified.
    fn turn(&self, state: &str) {
        ip(&["-n", &self.name, "link", "set", "peer", state]).expect("the link");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link is deleted with the namespace. After a failed set-up, there is less to
        // delete.
        let _ = ip(&["netns", "del", &self.name]);
        let _ = ip(&["link", "del", &self.link]);
    }
}

/// Don't use `eprintln`, which is shown only for failed tests.
fn skipped(reason: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "{test} is skipped: {reason}");
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| format!("ip, of the package iproute2: {error}"))?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(format!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&stderr).trim()
        )),
    }
}
