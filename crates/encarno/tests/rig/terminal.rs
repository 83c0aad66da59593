//! The program in a real terminal.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

/// However slow the machine is, it shows something by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a terminal of its own.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    pub(crate) controller: File,
    /// Keeps the terminal open when the program has ended, and tells its modes.
    pub(crate) terminal: File,
    pub(crate) before: Termios,
    output: Receiver<Vec<u8>>,
    pub(crate) parser: vt100::Parser,
    pub(crate) raw: Vec<u8>,
}

impl Terminal {
    /// `encarno`, with these arguments.
    pub(crate) fn start(
        columns: u16,
        rows: u16,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_encarno"));
        Self::of(columns, rows, environment, program, arguments)
    }

    /// Another program, with its folder.
    pub(crate) fn of(
        columns: u16,
        rows: u16,
        environment: &[(&str, &str)],
        program: Command,
        arguments: &[&str],
    ) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let open = || -> File {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            let flags = rustix::fs::OFlags::NOCTTY.bits() as i32;
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
            options.open(name.to_str().unwrap()).unwrap()
        };
        let terminal = open();
        size(&terminal, columns, rows);
        let stdio = || Stdio::from(OwnedFd::from(open()));
        // setsid makes it the terminal of the program, as a login does.
        let mut command = Command::new("setsid");
        command
            .args([OsStr::new("--ctty"), program.get_program()])
            .args(program.get_args())
            .args(arguments)
            .current_dir(program.get_current_dir().unwrap_or_else(|| Path::new(".")))
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio());
        let before = tcgetattr(&terminal).unwrap();
        let child = command.spawn().expect("setsid of util-linux");
        let (sender, output) = channel();
        let controller = File::from(controller);
        let mut from = controller.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            controller,
            terminal,
            before,
            output,
            parser: vt100::Parser::new(cells(rows), cells(columns), 1000),
            raw: Vec::new(),
        }
    }

    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.controller.write_all(keys).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        size(&self.terminal, columns, rows);
        self.parser
            .screen_mut()
            .set_size(cells(rows), cells(columns));
    }

    pub(crate) fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen is so.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => {
                    self.parser.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(error) => panic!("no {what} ({error}):\n{screen}"),
            }
        }
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; the terminal must be as it was. What stands below the dashboard.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        let (status, all) = self.end_of_all();
        let after = all.rsplit("\x1b[?1049l").next().unwrap().to_owned();
        (status, after)
    }

    /// The same, with all that was written.
    pub(crate) fn end_of_all(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it doesn't end:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        };
        // The rest is in the terminal's buffer.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(300)) {
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
        // The summary may be longer than the terminal: it can be scrolled to.
        let all = String::from_utf8_lossy(&self.raw).into_owned();
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen(), "the other screen is left");
        assert!(!screen.hide_cursor(), "the cursor is back");
        let modes = tcgetattr(&self.terminal).unwrap();
        assert_eq!(modes.local_modes, self.before.local_modes);
        assert_eq!(modes.input_modes, self.before.input_modes);
        let usual = LocalModes::ECHO | LocalModes::ICANON;
        assert!(modes.local_modes.contains(usual));
        (status, all)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // If the test failed before its end.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has cells")
}

fn size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
