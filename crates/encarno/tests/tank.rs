//! `encarno run` with configurations of Yandex.Tank and pandora.

#![allow(clippy::expect_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;

use std::fs;
use std::path::Path;

use encarno_target::{Target, TargetSettings, TargetSummary};
use program::run;
use serde_json::Value;

/// What a run with that configuration did.
struct Done {
    status: Option<i32>,
    /// All that was printed.
    said: String,
    summary: Value,
    target: TargetSummary,
}

impl Done {
    fn labels(&self) -> Vec<String> {
        let labels = self.summary["labels"].as_array().expect("a list");
        let labels = labels.iter().filter_map(|label| label["label"].as_str());
        let mut labels: Vec<_> = labels.map(str::to_owned).collect();
        labels.sort();
        labels
    }
}

/// Runs a configuration in which TARGET stands for the target's address.
fn done(folder: &Path, name: &str, text: &str) -> Done {
    let target = Target::start(TargetSettings::default()).expect("a target");
    let address = target.address().to_string();
    let port = target.address().port().to_string();
    let text = text.replace("TARGET", &address).replace("PORT", &port);
    fs::write(folder.join(name), text).expect("written");
    let arguments = ["run", name, "-q", "--set", "run.summaryfile=s.json"];
    let output = run(folder, &arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let summary = fs::read(folder.join("s.json")).expect(&said);
    Done {
        status: output.status.code(),
        summary: serde_json::from_slice(&summary).expect("JSON"),
        target: target.stop().expect("it stops"),
        said,
    }
}

/// What a configuration that can't be used is answered with.
fn refused(folder: &Path, name: &str, text: &str) -> String {
    fs::write(folder.join(name), text).expect("written");
    let output = run(folder, &["run", name, "-q"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(name), "{said}");
    said
}

#[test]
fn a_load_yaml_of_tank() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let yaml = "\
phantom:
  address: TARGET
  ssl: false
  uris: ['/', '/items buy', /items/7?a=b]
  headers: ['[Host: shop.test]', '[User-Agent: tank]']
  header_http: '1.1'
  load_profile: {load_type: rps, schedule: 'line(10, 50, 500ms) const(60,500ms)'}
  instances: 20
  ammo_limit: 40
  autocases: 1
  timeout: 5s
  method_prefix: method_stream
  phantom_http_field: 8K
console: {enabled: false}
telegraf: {enabled: true, config: monitoring.xml}
uploader: {enabled: false}
autostop:
  autostop: ['http(5xx,10%,5s)', 'net(xx,1,30)', 'time(1s,10s)']
";
    let ended = done(folder, "load.yaml", yaml);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!(ended.target.requests, 40);
    assert!(ended.target.connections <= 20);
    assert_eq!(ended.labels(), ["_", "_items", "buy"], "{}", ended.said);
    for named in ["telegraf: ", "phantom.phantom_http_field: "] {
        assert!(ended.said.contains(named), "{named}: {}", ended.said);
    }
    for silent in ["uploader", "console", "method_prefix", "header_http"] {
        assert!(!ended.said.contains(silent), "{silent}: {}", ended.said);
    }
    // HTTP/1.0 is what Tank speaks unless told otherwise.
    let old = yaml.replace("  header_http: '1.1'\n", "  enum_ammo: true\n");
    let old = old.replace("ammo_limit: 40", "loop: 2");
    let ended = done(folder, "old.yaml", &old);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!((ended.target.requests, ended.target.connections), (6, 6));
    let labels = ["_#0", "_#2", "_items#1", "_items#3", "buy"];
    assert_eq!(ended.labels(), labels, "{}", ended.said);
    assert!(ended.said.contains("header_http"), "{}", ended.said);
    // A condition ends the run.
    let stopped = yaml.replace("'time(1s,10s)'", "'time(1us,1s)'");
    let stopped = stopped.replace("ammo_limit: 40", "loop: -1");
    let stopped = stopped.replace("const(60,500ms)", "const(60,10m)");
    let ended = done(folder, "stopped.yaml", &stopped);
    assert_eq!(ended.status, Some(99), "{}", ended.said);
    assert!(ended.said.contains("time(1us,1s)"), "{}", ended.said);
}

/// `encarno load.yaml` and, as `yandex-tank` has it, `encarno -c load.yaml`.
#[test]
fn a_configuration_needs_no_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let text = "{input: {payloadfile: uris, iterationlimit: 9}, workers: {mode: closed}, protocol: {driver: dummy}}";
    fs::write(folder.join("load.yaml"), text).expect("written");
    fs::write(folder.join("uris"), "/\n").expect("written");
    for arguments in [
        &["load.yaml", "-q"][..],
        &["-c", "load.yaml", "-q"],
        &["load.yaml", "-q", "-o", "a.enc"],
    ] {
        let output = run(folder, arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("= done 9 "), "{arguments:?}: {said}");
    }
}

#[test]
fn instances_go_on_until_the_ammo_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("ammo.uri"), "[Host: a]\n/1 one\n/2 two\n").expect("written");
    let yaml = "\
phantom:
  address: 127.0.0.1
  port: PORT
  ammofile: ammo.uri
  ammo_type: uri
  header_http: '1.1'
  headers: ['[X-Key: 7]']
  load_profile: {load_type: instances, schedule: 'line(1,3,100ms)'}
  loop: 30
";
    let ended = done(folder, "load.yaml", yaml);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!(ended.target.requests, 60);
    assert!(ended.target.connections <= 3);
    // One loop, if nothing else is said.
    let ended = done(folder, "once.yaml", &yaml.replace("  loop: 30\n", ""));
    assert_eq!((ended.status, ended.target.requests), (Some(0), 2));
    assert_eq!(ended.labels(), ["one", "two"]);
}

#[test]
fn a_load_ini_of_tank() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let ini = "\
; written years ago
[tank]
plugin_phantom=yandextank.plugins.Phantom
[phantom]
address=TARGET
rps_schedule=const(20, 500ms) step(20,40,20,250ms)
uris = /
  /a tag
headers = [Host: shop.test] [Accept: */*]
  [Connection: keep-alive]
instances=10 ; enough
timeout=3000
[autostop]
autostop=time(1s,10s)
  http(5xx,10%,5s)
";
    let ended = done(folder, "load.ini", ini);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!(ended.target.requests, 25);
    assert!(ended.target.connections <= 10);
    // Tank has no sine; whoever moves here may add one.
    let ini = ini.replace("step(20,40,20,250ms)", "sine(40,20,250ms,500ms)");
    assert_eq!(done(folder, "load.ini", &ini).target.requests, 30);
}

#[test]
fn ready_stpd_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let records = [0, 10, 20].map(|ms| format!("{} {ms} t\n{request}\n", request.len()));
    fs::write(folder.join("a.stpd"), records.concat()).expect("written");
    let yaml = "phantom: {address: TARGET, load_profile: {load_type: stpd_file, schedule: a.stpd}}";
    let ended = done(folder, "load.yaml", yaml);
    assert_eq!((ended.status, ended.target.requests), (Some(0), 3));
    assert_eq!(ended.labels(), ["t"]);
}

#[test]
fn pools_of_pandora() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let pools = "\
pools:
  - id: HTTP pool
    gun: {type: http, target: TARGET, auto-tag: {enabled: true, uri-elements: 1, no-tag-only: true}}
    ammo: {type: uri, uris: [/a, /b named], headers: ['[Host: shop.test]'], limit: 30}
    result: {type: phout, destination: phout.log}
    rps: [{type: line, from: 10, to: 50, duration: 500ms}, {type: const, ops: 50, duration: 500ms}]
    startup: {type: once, times: 5}
    discard_overflow: true
log: {level: error}
";
    let ended = done(folder, "pandora.yaml", pools);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!(ended.target.requests, 30);
    assert!(ended.target.connections <= 5);
    assert_eq!(ended.labels(), ["_a", "named"]);
    assert!(ended.said.contains("discard_overflow"), "{}", ended.said);
    let phout = fs::read_to_string(folder.join("phout.log")).expect("written");
    assert_eq!(phout.lines().count(), 30);
    // In Tank's file, and as fast as the instances can.
    let inner = pools.replace('\n', "\n    ");
    let tank = format!("pandora:\n  enabled: true\n  config_content:\n    {inner}");
    let tank = tank.replace(
        "[{type: line, from: 10, to: 50, duration: 500ms}, {type: const, ops: 50, duration: 500ms}]",
        "{type: unlimited, duration: 10m}",
    );
    let tank = format!("{}\nphantom: {{enabled: false}}\n", tank.trim_end());
    let ended = done(folder, "load.yaml", &tank);
    assert_eq!(ended.status, Some(0), "{}", ended.said);
    assert_eq!(ended.target.requests, 30);
}

#[test]
fn what_would_change_the_load_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let phantom = |keys: &str| {
        format!(
            "phantom: {{address: '127.0.0.1:1', uris: [/], \
             load_profile: {{load_type: rps, schedule: 'const(1,1s)'}}, {keys}}}"
        )
    };
    for (text, says) in [
        (phantom("tank_type: none"), "driver: tcp"),
        (phantom("multi: [{address: b}]"), "a run for each target"),
        (phantom("ammofile: a.uri"), "there is an ammofile, too"),
        (phantom("rps_schedule: 'const(1,1s)'"), "more than one schedule"),
        (phantom("timeout: soon"), "such as 11s"),
        (phantom("loop: often"), "a whole number"),
        (
            phantom("instances: 1") + "\nautostop: {autostop: ['total_time(1s,1%,1s)']}",
            "write quantile()",
        ),
        (phantom("instances: 1") + "\nbfg: {gun_type: http}", "several load"),
        ("bfg: {gun_type: http}".into(), "phantom and pandora"),
        (
            "phantom: {uris: [/], load_profile: {load_type: rps, schedule: 'const(1,1s)'}}".into(),
            "phantom.address",
        ),
        (
            "phantom: {address: a, uris: [/], load_profile: {load_type: rps, schedule: 'cnst(1,1s)'}}"
                .into(),
            "workers.schedule",
        ),
        (
            "pools: [{gun: {type: grpc, target: a}, ammo: {type: uri, uris: [/]}}]".into(),
            "pandora's http gun",
        ),
        (
            "pools: [{gun: {type: http, target: a}, ammo: {type: uri, uris: [/]}, \
             rps-per-instance: true}]"
                .into(),
            "all instances together",
        ),
        ("[phantom]\naddress=a\nuris=/\n".into(), "phantom.load_profile"),
        ("[phantom]\nno key\n".into(), "line 2"),
    ] {
        let said = refused(folder, "load.yaml", &text);
        assert!(said.contains(says), "{text}\n{said}");
    }
}

/// Each row of the page about Tank's keys has an example that is honoured.
#[test]
fn keys_of_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("ammo.uri"), "/ one\n/a two\n").expect("written");
    let page = include_str!("../../../docs/from-other-tools.md");
    let table = page.split("| key of `phantom` |").nth(1).expect("a table");
    let rows = table.lines().take_while(|line| !line.trim().is_empty());
    let mut examples = Vec::new();
    for row in rows.filter(|row| row.starts_with("| `")) {
        let cell = row.split(" | ").nth(1).expect(row);
        examples.push(cell.trim_matches('`').to_owned());
    }
    assert!(examples.len() >= 16);
    for example in examples {
        let base = [
            ("address", "address: '127.0.0.1:1'"),
            (
                "load_profile",
                "load_profile: {load_type: rps, schedule: 'const(1,1s)'}",
            ),
            ("ammofile", "ammofile: ammo.uri"),
        ];
        let is_of_uris = example.starts_with("uris");
        let keys = base
            .iter()
            .filter(|(name, _)| !(example.starts_with(name) || is_of_uris && *name == "ammofile"));
        let keys: String = keys.map(|(_, line)| format!("  {line}\n")).collect();
        let text = format!("phantom:\n{keys}  {example}\n");
        fs::write(folder.join("load.yaml"), &text).expect("written");
        let output = run(folder, &["run", "--check", "load.yaml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{said}");
        assert!(!said.contains("honoured"), "{text}{said}");
    }
}
