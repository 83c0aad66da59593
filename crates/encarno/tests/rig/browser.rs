//! Chromium, as a user has it open: it is told by DevTools' protocol over two pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The browser that is installed, if there is one.
pub(super) fn installed() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// A page that is open.
pub(super) struct Page {
    browser: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    next: u64,
    /// What was said on the console, and what failed.
    pub(super) said: Vec<String>,
}

impl Page {
    pub(super) fn open(browser: &Path, profile: &Path, url: &str) -> Self {
        // The browser reads commands from descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1"])
            .arg(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let mut page = Self {
            to: child.stdin.take().expect("a pipe"),
            from: BufReader::new(child.stdout.take().expect("a pipe")),
            browser: child,
            session: String::new(),
            next: 0,
            said: Vec::new(),
        };
        let target = page.tell("Target.createTarget", json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.tell("Target.attachToTarget", attached);
        page.session = attached["sessionId"].as_str().expect("it").to_owned();
        page.tell("Runtime.enable", json!({}));
        page.tell("Log.enable", json!({}));
        page.tell("Page.enable", json!({}));
        page.tell("Page.navigate", json!({"url": url}));
        page
    }

    /// What an expression is there, as JSON.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.tell("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true there.
    pub(super) fn wait(&mut self, expression: &str) {
        let begun = Instant::now();
        // A page that isn't there yet has nothing.
        let asked =
            format!("(() => {{ try {{ return !!({expression}); }} catch {{ return false; }} }})()");
        while self.value(&asked) != true {
            assert!(
                begun.elapsed() < Duration::from_secs(90),
                "{expression}: {:?}",
                self.said
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The colours that its user prefers: light or dark.
    #[allow(dead_code, reason = "the test of the live page has no use for it")]
    pub(super) fn prefer(&mut self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.tell("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    fn tell(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        write!(self.to, "{message}\0").expect("told");
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).expect("an answer");
            answer.pop();
            let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.next {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            let heard = [
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Log.entryAdded",
            ];
            if heard.iter().any(|&heard| answer["method"] == heard) {
                self.said.push(answer["params"].to_string());
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
