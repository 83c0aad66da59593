//! `encarno capacity --k6`: a run of k6 for each level.
//!
//! A program in the place of k6 has the same command line and writes the same summary, of
//! a system whose capacity is known. The k6 of this repository is used, too, if it was built.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

#[path = "rig/program.rs"]
mod program;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use encarno_capacity::usl::Usl;
use serde_json::Value;

/// Peak: 13,564/s at 44 users. Iterations take longer than 20 ms from 85 users on.
const K6: &str = r#"#!/bin/bash
echo "$*" >> calls
if [[ $1 == version ]]; then echo "k6 v9.9.9"; exit; fi
[[ $1 == run ]] || exit 255
[[ $* == *--die* ]] && { echo "ReferenceError: shop is not defined"; exit 107; }
[[ $* == *--hang* ]] && exec sleep 600
while (($#)); do
    case $1 in
    --vus) users=$2 ;;
    --summary-export) summary=$2 ;;
    esac
    shift
done
awk -v n="$users" -v seed="$(wc -l < calls)" 'BEGIN {
    srand(seed)
    x = 1000 * n / (1 + 0.03 * (n - 1) + 0.0005 * n * (n - 1)) * (0.99 + 0.02 * rand())
    ms = 1000 * n / x
    failed = ms > 8 ? "true" : "false"
    printf "{\"metrics\": {\"iterations\": {\"count\": %d, \"rate\": %f},", 15 * x, x
    printf "\"iteration_duration\": {\"avg\": %f, \"thresholds\": {\"avg<8\": %s}}}}", ms, failed
}' > "$summary"
grep -q 'true' "$summary" && exit 99
exit 0
"#;

fn folder_with_k6() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k6"), K6).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path().join("k6"), executable).unwrap();
    std::fs::write(
        folder.path().join("script.js"),
        "// the stub reads nothing\n",
    )
    .unwrap();
    folder
}

/// With no k6 in the PATH but the tools that the stub needs.
fn capacity(folder: &Path, flags: &[&str]) -> Output {
    let arguments = [&["capacity", "--k6", "script.js"], flags].concat();
    let path = "/usr/bin:/bin";
    program::command(folder, &arguments)
        .env("PATH", path)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_script_of_k6_is_measured_and_its_thresholds_are_the_goal() {
    let folder = folder_with_k6();
    let folder = folder.path();
    if Path::new("/usr/bin/k6").exists() || Path::new("/bin/k6").exists() {
        println!("not tested: k6 is in /usr/bin");
        return;
    }
    let flags = [
        "--workers",
        "1..300",
        "--trial",
        "1s..2s",
        "--json",
        "cap.json",
    ];
    let flags = [&flags[..], &["--k6-arg=-eHOST=shop.test"]].concat();
    let output = capacity(folder, &flags);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join("cap.json")).unwrap()).unwrap();
    let usl = Usl {
        lambda: 1000.0,
        sigma: 0.03,
        kappa: 0.0005,
    };
    let peak = usl.peak().unwrap();
    let found = &json["peak"]["throughput"]["value"].as_f64().unwrap();
    assert!((found / peak.throughput - 1.0).abs() < 0.02, "{text}");
    // The largest number of users whose iterations take up to 8 ms.
    let limit = (1..300)
        .rfind(|&n| f64::from(n) / usl.throughput(n.into()) <= 0.008)
        .unwrap();
    let goal = &json["goal"];
    assert_eq!(
        (&goal["unit"], &goal["goal"]),
        (&"users".into(), &"iteration_duration: avg<8".into())
    );
    let bound = |name: &str| goal[name].as_f64().unwrap();
    let near = f64::from(limit);
    assert!(
        bound("holds") <= near * 1.03 && bound("fails") > near * 0.97,
        "{limit}: {text}"
    );
    assert!(
        bound("fails") <= (bound("holds") * 1.05).max(bound("holds") + 1.0),
        "{text}"
    );
    assert!(text.contains("of 1 thresholds met"), "{text}");
    let calls = std::fs::read_to_string(folder.join("calls")).unwrap();
    assert!(calls.contains("--vus 64 --duration 2000ms "), "{calls}");
    assert!(
        calls
            .lines()
            .skip(1)
            .all(|call| call.ends_with("-eHOST=shop.test script.js")),
        "{calls}"
    );
    assert!(!calls.contains("--out"), "it has no output of ours");
}

#[test]
fn what_k6_cant_do_is_told() {
    let folder = folder_with_k6();
    let folder = folder.path();
    let fails = |flags: &[&str], code: i32, word: &str| {
        let output = capacity(folder, flags);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {text}");
        assert!(text.contains(word), "{flags:?}: {text}");
    };
    fails(&["--k6-arg=--die", "-q"], 1, "shop is not defined");
    fails(
        &["--k6-binary", "nowhere/k6"],
        1,
        "nowhere/k6: No such file",
    );
    fails(&["--goal", "p99<50ms"], 2, "cannot be used with");
    fails(&["-o", "cap.enc"], 2, "--output has no effect on k6");
    fails(&["http://h/"], 2, "cannot be used with");
    std::fs::remove_file(folder.join("script.js")).unwrap();
    fails(&[], 1, "there is no file script.js");
    std::fs::write(folder.join("script.js"), "").unwrap();
    std::fs::remove_file(folder.join("k6")).unwrap();
    // Beside this one there may be the k6 of the checkout.
    let program = folder.join("encarno");
    std::fs::copy(env!("CARGO_BIN_EXE_encarno"), &program).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["capacity", "--k6", "script.js"]);
    let output = command
        .current_dir(folder)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    if !Path::new("/usr/bin/k6").exists() {
        assert!(
            said(&output).contains("no k6 in the PATH"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn a_signal_ends_k6_too() {
    let folder = folder_with_k6();
    let folder = folder.path();
    let flags = [
        "capacity",
        "--k6",
        "script.js",
        "--k6-binary",
        "./k6",
        "--k6-arg=--hang",
    ];
    let child = program::command(folder, &flags).spawn().unwrap();
    // The second call is the run.
    let calls = || std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    for _ in 0..3000 {
        if calls().lines().count() >= 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("it was stopped"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_k6_of_this_repository_measures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(k6) = root.join("k6").canonicalize() else {
        println!("not tested: there is no k6 in the repository (make k6)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = r#"
import { sleep } from "k6";
export const options = { thresholds: { iteration_duration: ["avg<10000"] } };
export default function () { sleep(0.02); }
"#;
    std::fs::write(folder.join("script.js"), script).unwrap();
    let flags = [
        "capacity",
        "--k6",
        "script.js",
        "--k6-binary",
        k6.to_str().unwrap(),
    ];
    let more = [
        "--workers",
        "1..2",
        "--trial",
        "500ms..1s",
        "--json",
        "cap.json",
        "-q",
    ];
    let output = program::run(folder, &[&flags[..], &more].concat());
    // Two numbers of users make no curve.
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join("cap.json")).unwrap()).unwrap();
    let first = &json["trials"][0];
    let throughput = first["throughput"].as_f64().unwrap();
    // One user makes at most 50 iterations a second.
    assert!(throughput > 0.0 && throughput <= 51.0, "{first}");
    assert!(first["service_s"].as_f64().unwrap() >= 0.02, "{first}");
    assert_eq!(json["goal"]["holds"], 2.0, "{}", said(&output));
}
