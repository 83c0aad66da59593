//! What users of other tools type first, in a terminal, with what they expect of it:
//! tests/newcomer.txt.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that can't go on says why

#[path = "rig/site.rs"]
#[allow(dead_code)] // others use more of it
mod site;

#[path = "rig/terminal.rs"]
#[allow(dead_code)] // others use more of it
mod terminal;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use site::Site;
use terminal::Terminal;

#[derive(Default)]
struct Case {
    command: String,
    says: Vec<String>,
    status: i32,
    method: String,
    times: (usize, usize),
    body: String,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("newcomer.txt").lines() {
        let Some((sign, rest)) = line.split_once(' ') else {
            assert!(line.is_empty(), "{line}");
            continue;
        };
        if sign == "$" {
            cases.push(Case {
                command: rest.to_owned(),
                ..Case::default()
            });
        }
        let case = cases.last_mut();
        match (sign, case) {
            ("#" | "$", _) => {}
            (_, None) => {} // what the file says of itself
            (">", Some(case)) => case.says.push(rest.to_owned()),
            ("=", Some(case)) => case.status = rest.parse().unwrap(),
            ("@", Some(case)) => {
                let words: Vec<&str> = rest.splitn(4, ' ').collect();
                case.method = words[0].to_owned();
                case.times = (
                    words[1].parse().unwrap(),
                    words[2].parse().unwrap_or(usize::MAX),
                );
                case.body = words.get(3).copied().unwrap_or_default().to_owned();
            }
            _ => panic!("{line}"),
        }
    }
    cases
}

fn check(case: &Case) {
    let site = Site::start("127.0.0.1:0");
    let url = format!("{}/echo", site.url());
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("body.json", r#"{"b": 2}"#);
    write("script.js", "export default function () {}\n");
    write(
        "load.yaml",
        &format!(
            "phantom: {{address: '{}', uris: [/echo], load_profile: {{load_type: rps, schedule: \
             'const(20,1s)'}}}}\nconsole: {{enabled: false}}\ntelegraf: {{enabled: false}}\n",
            site.address
        ),
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").current_dir(folder.path());
    let programs = Path::new(env!("CARGO_BIN_EXE_encarno")).parent().unwrap();
    let path = format!(
        "{}:{}",
        programs.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let command = case.command.replace("URL", &url);
    let terminal = Terminal::of(80, 24, &[("PATH", &path)], shell, &[&command]);
    let (status, screen) = terminal.end_of_all();
    // A terminal breaks lines with \r\n; what is longer than a line goes on in the next one.
    for says in &case.says {
        let says = says.replace("URL", &url);
        assert!(screen.contains(&says), "{command}\n{says}\n{screen}");
    }
    assert_eq!(status.code(), Some(case.status), "{command}\n{screen}");
    let asked = site.asked();
    let (least, most) = case.times;
    assert!(
        (least..=most).contains(&asked.len()),
        "{command}: {} times\n{screen}",
        asked.len()
    );
    for asked in &asked {
        assert_eq!(asked.method, case.method, "{command}");
        assert_eq!(String::from_utf8_lossy(&asked.body), case.body, "{command}");
    }
}

#[test]
fn what_users_of_other_tools_type_first_does_what_they_expect() {
    let cases = cases();
    assert!(cases.len() >= 14, "{}", cases.len());
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(|| check(case));
        }
    });
}
