//! A NATS server and agents on this machine, for a trial. They end with the process that
//! started them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use encarno_secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{FleetError, Hub};

/// How long the server and the agents may take to start.
const START: Duration = Duration::from_secs(30);
/// How long they may take to end.
const END: Duration = Duration::from_secs(5);

/// A NATS server with agents of this machine.
#[derive(Debug)]
pub struct Local {
    /// Their meeting point.
    pub hub: Hub,
    agents: Vec<Child>,
    server: Child,
    _folder: TempDir,
}

impl Local {
    /// Starts them. `program` is this program, which agents run with `--allow` and the
    /// like.
    pub fn start(program: &Path, agents: usize) -> Result<Self, FleetError> {
        let folder = tempfile::tempdir().map_err(FleetError::of("no temporary folder"))?;
        let (server, url) = start_server(&find_server(program)?, folder.path())?;
        let mut local = Self {
            hub: Hub {
                url: Secret::new(url),
                group: "local".to_owned(),
                ..Hub::default()
            },
            agents: Vec::new(),
            server,
            _folder: folder,
        };
        let own = std::process::id().to_string();
        for number in 1..=agents {
            let mut command = Command::new(program);
            command
                .args([
                    "agent",
                    "--nats",
                    local.hub.url.expose(),
                    "--group",
                    "local",
                    "--allow",
                    "hit,run,k6",
                ])
                .args([
                    "--name",
                    &format!("local-{number}"),
                    "--parent",
                    &own,
                    "--folder",
                ])
                .arg(local._folder.path().join(format!("agent-{number}")));
            if number == 1 {
                // The server doesn't watch a parent process, so an agent ends it.
                command.args(["--server", &local.server.id().to_string()]);
            }
            let child = quiet(&mut command).spawn();
            let child = child.map_err(FleetError::of(program.display().to_string()))?;
            local.agents.push(child);
        }
        Ok(local)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let deadline = Instant::now() + END;
        for child in self.agents.iter_mut().chain([&mut self.server]) {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                // It may have ended already.
                let _sent = kill_process(pid, Signal::TERM);
            }
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _killed = child.kill();
            let _gone = child.wait();
        }
    }
}

/// Looks for the server beside the program, in `bin/` of its checkout, and in PATH.
fn find_server(program: &Path) -> Result<PathBuf, FleetError> {
    const NAME: &str = "nats-server";
    let beside = program.ancestors().skip(1).take(4);
    let beside = beside.flat_map(|folder| [folder.join(NAME), folder.join("bin").join(NAME)]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let found = beside.chain(in_path).find(|file| file.is_file());
    found.ok_or_else(|| {
        FleetError(
            "--agents local:N needs a nats-server, beside encarno or in PATH: `make bin/nats-server` \
             builds one; or name a server with --nats"
                .to_owned(),
        )
    })
}

fn start_server(program: &Path, folder: &Path) -> Result<(Child, String), FleetError> {
    let mut command = Command::new(program);
    // The server chooses a port, and writes it to a file.
    command
        .args([
            "--addr",
            "127.0.0.1",
            "--port",
            "-1",
            "--jetstream",
            "--store_dir",
        ])
        .arg(folder.join("jetstream"))
        .arg("--ports_file_dir")
        .arg(folder);
    let failed = || FleetError::of(program.display().to_string());
    let mut child = quiet(&mut command).spawn().map_err(failed())?;
    let deadline = Instant::now() + START;
    loop {
        if let Some(url) = ports(folder) {
            return Ok((child, url));
        }
        let ended = child.try_wait().map_err(failed())?;
        if ended.is_some() || Instant::now() > deadline {
            let _killed = child.kill();
            let _gone = child.wait();
            return Err(FleetError(format!("{} didn't start", program.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The address in the server's file, once the file is complete.
fn ports(folder: &Path) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut files = entries.map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "ports"))?;
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(json["nats"][0].as_str()?.to_owned())
}

/// Hides the output of a process, and keeps Ctrl-C of the terminal from it.
fn quiet(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
}
