//! What was told is done, and no more: load goes to its target, outputs to
//! their files, and secrets to nobody.

#![allow(clippy::expect_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;

#[path = "rig/site.rs"]
#[allow(dead_code, clippy::unwrap_used)] // others use more of it
mod site;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use encarno_target::{Target, TargetSettings};
use program::{command, run};
use rustix::process::{Pid, Signal, kill_process};
use site::Site;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_ends(output: &Output, code: i32, says: &str) {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains(says), "{said}");
    assert_eq!(output.status.code(), Some(code), "{said}");
}

#[test]
fn load_goes_where_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let other = Target::start(TargetSettings::default()).expect("another");
    let (url, elsewhere) = (
        format!("http://{}/", target.address()),
        format!("http://{}/x?y", other.address()),
    );
    let inputs = [
        (
            "access",
            format!("::1 \"GET {elsewhere} HTTP/1.1\" 200 1\n"),
        ),
        ("uri", format!("{elsewhere} tag\n")),
        ("uripost", format!("2 {elsewhere}\nhi\n")),
        ("jsonline", format!("{{\"uri\": \"{elsewhere}\"}}\n")),
        ("urls", format!("{elsewhere}\n")),
        ("vegeta", format!("PUT {elsewhere}\n")),
    ];
    let hit = |format: &str, more: &[&str]| {
        let flags = [
            "hit", &url, "-i", format, "--format", format, "--loop", "3", "-c", "1",
        ];
        run(folder, &[&flags[..], more].concat())
    };
    for (format, content) in &inputs {
        fs::write(folder.join(format), content).expect("written");
        let output = hit(format, &[]);
        assert_ends(&output, 0, "done 3");
        assert!(
            !text(&output.stdout).contains("hits to http"),
            "one address needs no list"
        );
        let config = format!(
            "{{input: {{payloadfile: {format}, format: {format}, iterationlimit: 1}}, \
             workers: {{mode: closed, maxworkers: 1}}, \
             protocol: {{driver: http, address: '{url}'}}, run: {{quiet: true}}}}"
        );
        fs::write(folder.join("run.yml"), config).expect("written");
        assert_ends(&run(folder, &["run", "run.yml"]), 0, "done 1");
    }
    // The address of a payload record is the Go tool's own word.
    let payload = format!(
        "{{\"plen\": 28, \"address\": \"http://{}\"}}\n",
        other.address()
    );
    let request =
        "GET /p HTTP/1.1\r\nHost: h\r\n\r\n{\"plen\": 28}\nGET /p HTTP/1.1\r\nHost: h\r\n\r\n";
    fs::write(folder.join("payload"), payload + request).expect("written");
    let own = hit("payload", &[]);
    assert_ends(&own, 0, &format!("3 hits to http://{}\n", other.address()));
    assert_ends(&own, 0, &format!("3 hits to http://{}\n", target.address()));
    // And with the switch, hosts of URLs count, too.
    assert_ends(&hit("urls", &["--record-hosts"]), 0, "done 3");
    let [target, other] = [target, other].map(|target| target.stop().expect("it served"));
    assert_eq!(target.requests, 6 * (3 + 1) + 3);
    assert_eq!(other.requests, 3 + 3);
}

#[test]
fn urls_are_sent_with_method_and_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let site = Site::start("127.0.0.1:0");
    let url = site.url().replace("http://", "http://user:pass@");
    fs::write(folder.join("uris"), "/echo\n").expect("written");
    fs::write(folder.join("raw"), "2\nhi\n").expect("written");
    fs::write(folder.join("body"), "from a file").expect("written");
    for flags in [
        &["-i", "uris", "-X", "PUT", "-d", "x"][..],
        &["-i", "uris", "-d", "@body"],
        // The site knows no such page, which is what is expected here.
        &["-d", "x", "--expect", "404"],
    ] {
        let arguments = [&["hit", &url, "-n", "1", "-q"][..], flags].concat();
        assert_ends(&run(folder, &arguments), 0, "done 1");
    }
    let asked: Vec<_> = site
        .asked()
        .into_iter()
        .map(|asked| {
            assert_eq!(asked.headers["authorization"], "Basic dXNlcjpwYXNz");
            assert!(!asked.headers["host"].contains('@'), "{asked:?}");
            (asked.method, asked.target, text(&asked.body))
        })
        .collect();
    let expected = [
        ("PUT", "/echo", "x"),
        ("POST", "/echo", "from a file"),
        ("POST", "/", "x"),
    ];
    assert_eq!(
        asked,
        expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
    );
    let refused = run(folder, &["hit", &url, "-i", "raw", "-d", "x", "-n", "1"]);
    assert_ends(&refused, 2, "have their own");
}

#[test]
fn outputs_are_no_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let there = |name: &str| fs::read_to_string(folder.join(name)).expect("there");
    fs::write(folder.join("uris"), "/a\n/b\n").expect("written");
    fs::hard_link(folder.join("uris"), folder.join("hard")).expect("a link");
    std::os::unix::fs::symlink("uris", folder.join("soft")).expect("a link");
    std::os::unix::fs::symlink("new", folder.join("ahead")).expect("a link");
    let hit = ["hit", "dummy:", "-i", "uris", "--loop", "1", "-q"];
    for outputs in [
        &["-o", "uris"][..],
        &["--ldjson", "./uris"],
        &["--phout", "hard"],
        &["--trace", "soft"],
        &["-o", "new", "--phout", "./new"],
        &["-o", "ahead", "--phout", "new"],
        &["--go-binary", "x.bin", "-o", "x.ostr"],
        &["--ldjson", "-", "--phout", "/dev/stdout"],
    ] {
        let output = run(folder, &[&hit[..], outputs].concat());
        assert_ends(&output, 2, "would be written over");
        assert_eq!(there("uris"), "/a\n/b\n", "{outputs:?}");
    }
    let config = "{input: {payloadfile: uris, iterationlimit: 1}, output: {nativefile: run.yml}, \
                  workers: {mode: closed, maxworkers: 1}, protocol: {driver: dummy}}";
    fs::write(folder.join("run.yml"), config).expect("written");
    let output = run(folder, &["run", "run.yml"]);
    assert_ends(
        &output,
        2,
        "the result file would be written over the configuration",
    );
    assert_eq!(there("run.yml"), config);
    for arguments in [
        &["convert", "uris", "-o", "hard"][..],
        &["step", "uris", "--rate", "const(1,2s)", "-o", "hard"],
    ] {
        assert_ends(&run(folder, arguments), 2, "would be written over");
        assert_eq!(there("uris"), "/a\n/b\n");
    }
    // What the shell appends to is an output, too.
    let append = |name: &str| {
        let file = OpenOptions::new().append(true).open(folder.join(name));
        Stdio::from(file.expect("there"))
    };
    for arguments in [&["show", "uris"][..], &["convert", "uris", "-o", "-"]] {
        let output = command(folder, arguments)
            .stdout(append("uris"))
            .output()
            .expect("it starts");
        assert_ends(&output, 2, "would be written over");
        assert_eq!(there("uris"), "/a\n/b\n");
    }
    fs::write(folder.join("out"), "kept\n").expect("written");
    let both = [&hit[..], &["-o", "out"]].concat();
    let output = command(folder, &both)
        .stdout(append("out"))
        .output()
        .expect("it starts");
    assert_ends(&output, 2, "the standard output");
    assert_eq!(there("out"), "kept\n");
    // So is what people read, which would end in the file.
    let raw = [&hit[..], &["-o", "out"]].concat();
    let ldjson = [&hit[..], &["--ldjson", "-"]].concat();
    for (arguments, name, says) in [
        (&hit[..], "uris", "would be written over the input"),
        (&raw, "out", "would be written over the result file"),
        (&["show", "out"], "out", "would be written over"),
        (
            &["convert", "uris", "-o", "x.enc"],
            "uris",
            "would be written over",
        ),
    ] {
        let before = there(name);
        let output = command(folder, arguments).stderr(append(name)).output();
        let output = output.expect("it starts");
        assert_ends(&output, 2, says);
        assert_eq!(there(name), before, "{arguments:?}");
    }
    // Records and summary in one file: neither could be read.
    let output = command(folder, &ldjson)
        .stdout(append("out"))
        .stderr(append("out"))
        .status();
    assert_eq!(output.expect("it starts").code(), Some(2));
    assert!(there("out").contains("over the LDJSON file"));
    // A log of a run that writes elsewhere is one file, as the user wants it.
    let both = [&hit[..], &["-o", "results"]].concat();
    let both = command(folder, &both)
        .stdout(append("out"))
        .stderr(append("out"))
        .status();
    assert_eq!(both.expect("it starts").code(), Some(0));
}

#[test]
fn colours_are_for_terminals() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("ammo"), "2 tag\nhi\nno length\n2 tag\nhi\n").expect("written");
    let line = [
        "hit",
        "dummy:",
        "-i",
        "ammo",
        "--loop",
        "1",
        "--max-bad",
        "1",
    ];
    let output = run(folder, &line);
    assert_ends(&output, 0, "record skipped");
    let all = [output.stdout, output.stderr].concat();
    assert!(!text(&all).contains('\u{1b}'), "{}", text(&all));
}

#[test]
fn the_standard_output_is_written_as_it_was_inherited() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("out"), "kept\n").expect("written");
    for name in ["-", "/dev/stdout"] {
        let file = OpenOptions::new()
            .append(true)
            .open(folder.join("out"))
            .expect("there");
        let output = command(folder, &["hit", "dummy:", "-n", "3", "--ldjson", name])
            .stdout(file)
            .output()
            .expect("it starts");
        // What people read goes to the other one.
        assert!(
            text(&output.stderr).contains("done 3"),
            "{}",
            text(&output.stderr)
        );
    }
    let out = fs::read_to_string(folder.join("out")).expect("there");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((lines[0], lines.len()), ("kept", 7));
    assert!(lines[1..].iter().all(|line| line.starts_with('{')), "{out}");
}

#[test]
fn a_closed_pipe_is_quiet_and_a_full_one_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_ends(
        &run(folder, &["hit", "dummy:", "-n", "9", "-o", "run.enc"]),
        0,
        "done 9",
    );
    fs::write(folder.join("uris"), "/a\n").expect("written");
    let endless = [
        "hit", "dummy:", "-c", "2", "--for", "1m", "-q", "--ldjson", "-",
    ];
    for arguments in [
        &endless[..],
        &["convert", "run.enc", "--to", "csv", "-o", "-"],
        &["convert", "uris", "-o", "-"],
        &["step", "uris", "--rate", "const(1000,5s)", "-o", "-"],
        &["stats", "run.enc"],
        &["show", "run.enc"],
        &["tail", "run.enc"],
        &["--help"],
    ] {
        let mut child = command(folder, arguments).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let said = text(&output.stderr);
        let is_quiet =
            said.is_empty() || said == "encarno: 9 hits read\n" || said.contains("records");
        assert!(is_quiet && output.status.success(), "{arguments:?}: {said}");

        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("there");
        let output = command(folder, arguments)
            .stdout(full)
            .output()
            .expect("it starts");
        let said = text(&output.stderr);
        assert!(said.contains("No space left"), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_ne!(output.status.code(), Some(0), "{arguments:?}: {said}");
    }
}

#[test]
fn secrets_are_shown_to_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let site = Site::start("127.0.0.1:0");
    let url = site.url().replace("http://", "http://user:hunter2@") + "/login?key=hunter2";
    let hit = [
        "hit",
        &url,
        "-n",
        "1",
        "-H",
        "X-Session: hunter2",
        "-H",
        "X-Shown: 7",
        "-d",
        "{\"word\": \"hunter2\"}",
        "-o",
        "run.enc",
        "--trace",
        "trace",
        "--trace-show",
        "x-shown",
    ];
    let output = run(folder, &hit);
    assert_ends(&output, 0, "done 1");
    let config = format!(
        "{{input: {{payloadfile: uris, iterationlimit: 1, headers: {{X-Session: hunter2}}}}, \
         output: {{nativefile: yaml.enc}}, \
         workers: {{mode: closed, maxworkers: 1, values: {{p: hunter2}}}}, \
         protocol: {{driver: http, address: '{url}'}}}}"
    );
    fs::write(folder.join("run.yml"), config).expect("written");
    fs::write(folder.join("uris"), format!("{url}\n")).expect("written");
    let by_config = run(folder, &["run", "run.yml"]);
    assert_ends(&by_config, 0, "done 1");
    let values = [
        "hit",
        "dummy:",
        "-i",
        "uris",
        "--loop",
        "1",
        "--value",
        "p=hunter2",
        "-o",
        "value.enc",
    ];
    assert_ends(&run(folder, &values), 0, "done 1");
    let mut seen = vec![output, by_config];
    // A URL needs no scheme.
    let bare = url.trim_start_matches("http://");
    let bare_hit = run(folder, &["hit", bare, "-n", "1", "-o", "bare.enc"]);
    assert_ends(&bare_hit, 0, "done 1");
    let address = format!("protocol.address={bare}");
    let set = ["run", "run.yml", "--set", &address, "-o", "set.enc"];
    let set = run(folder, &set);
    assert_ends(&set, 0, "done 1");
    seen.extend([bare_hit, set]);
    let page = run(folder, &["report", "bare.enc", "-o", "bare.html"]);
    assert_ends(&page, 0, "");
    let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
    let with_key = format!(
        "{{input: {{payloadfile: uris}}, workers: {{mode: closed, maxworkers: 1}}, \
         protocol: {{driver: http, address: 'https://h', tlsconf: {{certificatefile: c.pem, keyfile: {key:?}}}}}}}"
    );
    fs::write(folder.join("key.yml"), with_key).expect("written");
    for arguments in [
        &["show", "run.enc"][..],
        &["show", "yaml.enc"],
        &["show", "value.enc"],
        &["show", "uris"],
        &["show", "bare.enc"],
        &["run", "key.yml"],
        &["run", "key.yml", "--check"],
        &[
            "hit",
            "https://h/",
            "-n",
            "1",
            "--certificate",
            "c.pem",
            "--key",
            key,
        ],
        &["hit", "https://h/", "-n", "1", "--ca-file", key],
        &["hit", "http://user:hunter2@h:port/", "-n", "1"],
        &["hit", "http://user:hun#hunter2@h/", "-n", "1"],
        &["hit", "http+unix://user:hunter2@/x", "-n", "1"],
        &[
            "hit",
            "http://h/",
            "-n",
            "1",
            "--proxy",
            "http://user:hunter2@h:999999",
        ],
        &[
            "hit",
            "http://h/",
            "-n",
            "1",
            "--proxy",
            "socks5://user:hunter2@h:9",
        ],
        &["hit", "dummy:", "-n", "1", "-H", "Authorization hunter2"],
        &[
            "hit", "dummy:", "-n", "1", "-i", "uris", "--value", "hunter2",
        ],
    ] {
        seen.push(run(folder, arguments));
    }
    for output in seen {
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.is_empty() && !said.contains("hunter2"), "{said}");
        assert!(!said.contains("aHVudGVyMg"), "{said}");
    }
    for name in [
        "run.enc",
        "yaml.enc",
        "value.enc",
        "trace",
        "bare.enc",
        "set.enc",
        "bare.html",
    ] {
        let bytes = fs::read(folder.join(name)).expect("there");
        assert!(!text(&bytes).contains("hunter2"), "{name}");
    }
    let trace = fs::read_to_string(folder.join("trace")).expect("text");
    assert!(
        trace.contains("POST /login?key=******* HTTP/1.1\r\n"),
        "{trace}"
    );
    assert!(
        trace.contains("\r\nX-Shown: 7\r\n") && trace.contains("\r\nX-Session: *******\r\n"),
        "{trace}"
    );
    assert!(trace.contains("{\"word\": \"*******\"}"), "{trace}");
    assert!(
        site.asked()
            .iter()
            .any(|asked| asked.headers["x-session"] == "hunter2")
    );
    let settings = text(&run(folder, &["show", "yaml.enc"]).stdout);
    assert!(
        settings.contains("\"p\": \"***\"") && settings.contains("\"maxworkers\": 1"),
        "{settings}"
    );
}

#[test]
fn files_with_requests_are_their_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("uris"), "[Cookie: c]\n/a\n").expect("written");
    for arguments in [
        &[
            "hit", "dummy:", "-n", "1", "--trace", "trace", "-o", "run.enc",
        ][..],
        &["convert", "uris", "-o", "native"],
        &["convert", "uris", "--to", "payload", "-o", "payload"],
        &["step", "uris", "--rate", "const(1,1s)", "-o", "stpd"],
    ] {
        assert_eq!(
            run(folder, arguments).status.code(),
            Some(0),
            "{arguments:?}"
        );
    }
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.join(name)).expect("there");
        metadata.permissions().mode() & 0o777
    };
    for name in ["trace", "native", "payload", "stpd"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_ne!(mode("run.enc") & 0o044, 0, "results are nobody's secret");
}

#[test]
fn what_has_no_end_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let sparse = File::create(folder.join("sparse.yml")).expect("created");
    sparse.set_len(3 << 30).expect("sparse");
    fs::write(folder.join("payload"), "{\"plen\": 1}\na\n").expect("written");
    let started = Instant::now();
    assert_ends(&run(folder, &["run", "/dev/zero"]), 1, "it is a device");
    assert_ends(
        &run(folder, &["run", "sparse.yml"]),
        1,
        "more than 16777216 bytes",
    );
    let body = run(
        folder,
        &["hit", "http://127.0.0.1:1", "-n", "1", "-d", "@/dev/zero"],
    );
    assert_ends(&body, 1, "it is a device");
    let strings = [
        "hit",
        "dummy:",
        "-n",
        "1",
        "-i",
        "payload",
        "--strings",
        "/dev/zero",
    ];
    assert_ends(&run(folder, &strings), 1, "it is a device");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "none of them was read"
    );
    // A pipe is read once, and says so.
    let mut pipe = Command::new("bash");
    let script = format!(
        "{} hit dummy: -i <(printf '/a\\n') --loop 3",
        env!("CARGO_BIN_EXE_encarno")
    );
    let output = pipe.args(["-c", &script]).output().expect("bash");
    assert_ends(&output, 1, "a pipe can be read only once");
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_unless_told_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let hit = [
        "hit",
        "dummy:",
        "--rate",
        "const(10,1h)",
        "-q",
        "-o",
        "run.enc",
    ];
    // Whoever runs the tests may ignore the signal: `nohup make test`.
    let mut child = Command::new("env")
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_encarno")])
        .args(hit)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = Pid::from_child(&child);
    let wait_for = |name: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        // The first hits are written once signals are listened to.
        let length = || fs::metadata(folder.path().join(name)).map_or(0, |file| file.len());
        let mut first = 0;
        while first == 0 || length() == first {
            first = if first == 0 { length() } else { first };
            assert!(Instant::now() < deadline, "{name} isn't written");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for("run.enc");
    kill_process(pid, Signal::HUP).expect("it runs");
    assert!(child.wait().expect("it ends").success());
    let stats = run(folder.path(), &["stats", "run.enc", "--json"]);
    assert!(text(&stats.stdout).contains("\"whole\": true"));

    // As `nohup` starts it.
    let mut shell = Command::new("sh");
    let script = format!(
        "trap '' HUP; exec {} hit dummy: --rate 'const(10,1h)' -q -o second.enc",
        env!("CARGO_BIN_EXE_encarno")
    );
    let mut child = shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh");
    let pid = Pid::from_child(&child);
    wait_for("second.enc");
    kill_process(pid, Signal::HUP).expect("it runs");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        child.try_wait().expect("a child"),
        None,
        "it was told to live on"
    );
    kill_process(pid, Signal::TERM).expect("it runs");
    let mut said = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("text");
    assert!(child.wait().expect("it ends").success(), "{said}");
}

#[test]
fn one_worker_reads_in_order_without_being_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let site = Site::start("127.0.0.1:0");
    let login = "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\njo";
    let echo =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ${:content-length:}\r\n\r\n${token}";
    let records = format!(
        "{{\"plen\": {}, \"extracts\": {{\"token\": {{\"jsonpath\": \"$.user.token\"}}}}}}\n{login}\n\
         {{\"plen\": {}, \"replaces\": [\"token\"]}}\n{echo}\n",
        login.len(),
        echo.len()
    );
    fs::write(folder.join("payload"), records).expect("written");
    let config = format!(
        "{{input: {{payloadfile: payload, iterationlimit: 1}}, \
         workers: {{mode: closed, maxworkers: 1}}, \
         protocol: {{driver: http, address: '{}'}}, run: {{quiet: true}}}}",
        site.url()
    );
    fs::write(folder.join("run.yml"), &config).expect("written");
    assert_ends(&run(folder, &["run", "run.yml"]), 0, "done 2");
    let url = site.url();
    let hit = ["hit", &url, "-i", "payload", "--loop", "1", "-c", "1", "-q"];
    assert_ends(&run(folder, &hit), 0, "done 2");
    let bodies: Vec<_> = site.asked().iter().map(|asked| text(&asked.body)).collect();
    assert_eq!(bodies, ["jo", "tök-jo-0", "jo", "tök-jo-1"]);
    let two = config.replace("maxworkers: 1", "maxworkers: 2");
    fs::write(folder.join("run.yml"), two).expect("written");
    assert_ends(&run(folder, &["run", "run.yml"]), 3, "sharing: per-worker");
}

#[test]
fn commands_by_habit() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let url = format!("http://{}/", target.address());
    assert_ends(
        &run(folder, &[&url, "-n", "3", "-o", "run.enc"]),
        0,
        "done 3",
    );
    let rate = run(
        folder,
        &[
            &url, "-r", "50/s", "-z", "200ms", "-m", "HEAD", "-o", "run.enc",
        ],
    );
    assert_ends(&rate, 0, "done 10");
    // What was there isn't replaced without a word.
    assert_ends(&rate, 0, "run.enc: this replaces the existing file");
    assert_ends(
        &run(folder, &["hit", &url, "--rate", "1k"]),
        2,
        "for how long?",
    );
    assert_ends(
        &run(folder, &["hti", &url]),
        2,
        "did you mean `encarno hit`?",
    );
    assert_ends(&run(folder, &["stat"]), 2, "did you mean `encarno stats`?");
    assert_ends(&run(folder, &["hit", &url, "--outptu", "x"]), 2, "--output");
    for listen in ["0", ":0", "localhost:0", "127.0.0.1:0"] {
        let output = run(folder, &["target", listen, "--for", "10ms"]);
        assert_ends(&output, 0, "listening on http://127.0.0.1:");
    }
    assert_eq!(target.stop().expect("it served").requests, 13);
}

#[test]
fn a_tail_of_a_file_that_was_cut_ends_with_its_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_ends(
        &run(folder, &["hit", "dummy:", "-n", "9", "-o", "run.enc"]),
        0,
        "done 9",
    );
    let whole = fs::read(folder.join("run.enc")).expect("there");
    for length in [whole.len() - 10, whole.len() / 2, 4, 0] {
        // All but its end, which says that the run is over.
        fs::write(folder.join("cut.enc"), &whole[..whole.len() - 10]).expect("written");
        let mut writer = Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = writer.id().to_string();
        let mut tail = command(folder, &["tail", "cut.enc", "--pid", &pid])
            .spawn()
            .expect("it starts");
        let mut line = [0; 1];
        let mut out = tail.stdout.take().expect("a pipe");
        out.read_exact(&mut line).expect("it has begun");
        let file = OpenOptions::new().write(true).open(folder.join("cut.enc"));
        file.and_then(|file| file.set_len(length as u64))
            .expect("cut");
        writer.kill().expect("it runs");
        writer.wait().expect("it ends");
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).expect("it ends");
        let output = tail.wait_with_output().expect("it ends");
        assert_ends(&output, 0, "the writing process has ended");
    }
    // The same for one that was cut before it was opened.
    fs::write(folder.join("cut.enc"), &whole[..4]).expect("written");
    let gone = run(folder, &["tail", "cut.enc", "--pid", "4194304"]);
    assert_ends(&gone, 1, "isn't a native result file");
}
