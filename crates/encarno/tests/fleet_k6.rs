//! `encarno k6 run --agents`: each agent runs a segment of the script, and the merged file
//! has what one k6 would have measured. It needs the k6 of this repository: `make k6`.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use encarno_record::results::whole::{self, FileStatistics};
use encarno_test_peers::{NatsServer, root, scratch};
use process::Process;
use program::{command, run};
use serde_json::{Value, json};

/// None if it isn't built.
fn k6() -> Option<PathBuf> {
    let k6 = std::env::var_os("K6").map_or_else(|| root().join("k6"), PathBuf::from);
    let is_there = k6.is_file();
    if !is_there {
        println!("{} isn't built: this test does nothing", k6.display());
    }
    is_there.then(|| k6.canonicalize().unwrap())
}

/// Runs the script with these flags, and gives the exit status, what was said and the file.
fn run_k6(folder: &Path, k6: &Path, script: &str, flags: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join("script.js"), script).unwrap();
    let line = ["k6", "run", "script.js", "-o", "run.enc"];
    let mut command = command(folder, &[&line[..], flags].concat());
    // Agents of this machine have the same one.
    let output = command.env("PATH", k6.parent().unwrap()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), said)
}

fn read(folder: &Path) -> FileStatistics {
    whole::read(&folder.join("run.enc")).unwrap()
}

/// What a metric came to: how many samples, their sum, the greatest.
fn total(file: &FileStatistics, metric: &str) -> (u64, f64, f64) {
    let by_metric = file.metrics.by_metric();
    let found = by_metric.iter().find(|(series, _)| series.metric == metric);
    let (_, points) = found.unwrap_or_else(|| panic!("no metric {metric}"));
    (points.count, points.sum, points.max)
}

const SHARED: &str = r"
import exec from 'k6/execution';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
const calls = new Counter('own_calls');
const setups = new Counter('own_setups');
const teardowns = new Counter('own_teardowns');
const number = new Trend('own_number');
export const options = {
  scenarios: { all: { executor: 'shared-iterations', vus: 6, iterations: 600, maxDuration: '60s' } },
  thresholds: {
    own_calls: ['count==600'],
    'own_calls{half:upper}': ['count==300'],
    own_setups: ['count==1'],
    own_number: ['max==600', 'p(50)>1000'],
    checks: ['rate==1'],
  },
};
export function setup() {
  setups.add(1);
  return { token: 'once' };
}
export default function (data) {
  const iteration = exec.scenario.iterationInTest;
  calls.add(1, { half: iteration < 300 ? 'lower' : 'upper' });
  number.add(iteration + 1);
  check(data, { 'it has what setup returned': (it) => it.token === 'once' });
}
export function teardown(data) {
  if (data.token === 'once') teardowns.add(1);
}
";

#[test]
fn agents_run_a_script_as_one_k6_would() {
    let Some(k6) = k6() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (status, said) = run_k6(folder.path(), &k6, SHARED, &["--agents", "local:3"]);
    // One threshold isn't met.
    assert_eq!(status, Some(99), "{said}");
    assert!(said.contains("CROSSED own_number: p(50)>1000"), "{said}");
    assert!(
        said.contains("met     own_calls: count==600 (600)"),
        "{said}"
    );
    let file = read(folder.path());
    assert_eq!(total(&file, "iterations").1, 600.0);
    assert_eq!(total(&file, "own_number"), (600, 180_300.0, 600.0));
    assert_eq!(total(&file, "own_setups").1, 1.0);
    assert_eq!(total(&file, "own_teardowns").1, 1.0);
    assert_eq!(total(&file, "checks"), (600, 600.0, 1.0));
    let met = file
        .notes
        .thresholds
        .iter()
        .filter(|threshold| threshold.met)
        .count();
    assert_eq!((met, file.notes.thresholds.len()), (5, 6), "{said}");
}

const SUMMARISED: &str = r"
import exec from 'k6/execution';
import { check, group } from 'k6';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { half } from './halves.js';
const calls = new Counter('own_calls');
const level = new Gauge('own_level');
const odd = new Rate('own_odd');
const number = new Trend('own_number', true);
export const options = {
  scenarios: { all: { executor: 'shared-iterations', vus: 6, iterations: 600, maxDuration: '60s' } },
  summaryTrendStats: ['avg', 'max', 'count', 'p(99.5)'],
  thresholds: {
    own_calls: ['count==600', 'count<5'],
    'own_calls{half:upper}': ['count==300'],
  },
};
export function setup() {
  return { token: 'once' };
}
export default function () {
  const iteration = exec.scenario.iterationInTest;
  calls.add(1, { half: half(iteration) });
  level.add(7);
  odd.add(iteration % 2 === 1);
  number.add(iteration + 1);
  group('outer', () => group('inner', () => check(iteration, { small: (it) => it < 500 })));
}
export function handleSummary(data) {
  return {
    stdout: `SUMMARY of ${data.metrics.own_calls.values.count} for ${__ENV.WHO}\n`,
    'summary.json': JSON.stringify(data),
  };
}
";

#[test]
fn the_function_that_summarises_sees_the_metrics_of_all_agents_once() {
    let Some(k6) = k6() else { return };
    let folder = tempfile::tempdir().unwrap();
    let halves = "export const half = (n) => (n < 300 ? 'lower' : 'upper');\n";
    std::fs::write(folder.path().join("halves.js"), halves).unwrap();
    let flags = ["--agents", "local:3", "--", "-e", "WHO=you"];
    let (status, said) = run_k6(folder.path(), &k6, SUMMARISED, &flags);
    assert_eq!(status, Some(99), "{said}");
    assert_eq!(said.matches("SUMMARY of 600 for you").count(), 1, "{said}");
    // Nobody prints another summary.
    assert!(!said.contains("own_odd"), "{said}");
    let data = std::fs::read(folder.path().join("summary.json")).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    let metric = |name: &str| &data["metrics"][name];
    assert_eq!(metric("iterations")["values"]["count"], 600);
    let calls = metric("own_calls");
    assert_eq!(
        (&calls["type"], &calls["contains"]),
        (&json!("counter"), &json!("default"))
    );
    assert_eq!(
        calls["thresholds"],
        json!({"count==600": {"ok": true}, "count<5": {"ok": false}})
    );
    let rate = calls["values"]["rate"].as_f64().unwrap();
    let seconds = data["state"]["testRunDurationMs"].as_f64().unwrap() / 1000.0;
    assert!(
        (rate * seconds - 600.0).abs() < 1e-6,
        "{rate} in {seconds} s"
    );
    let upper = metric("own_calls{half:upper}");
    assert_eq!(upper["values"]["count"], 300);
    assert_eq!(upper["thresholds"], json!({"count==300": {"ok": true}}));
    assert_eq!(
        metric("own_level")["values"],
        json!({"value": 7, "min": 7, "max": 7})
    );
    assert_eq!(
        metric("own_odd")["values"],
        json!({"rate": 0.5, "passes": 300, "fails": 300})
    );
    let number = metric("own_number");
    assert_eq!(number["contains"], "time");
    let values = &number["values"];
    assert_eq!(values.as_object().unwrap().len(), 4, "{values}");
    assert_eq!(
        (&values["max"], &values["count"]),
        (&json!(600), &json!(600))
    );
    assert_eq!(values["avg"], 300.5);
    let quantile = values["p(99.5)"].as_f64().unwrap();
    assert!((quantile / 597.0 - 1.0).abs() < 0.001, "{quantile}");
    assert_eq!(data["setup_data"], json!({"token": "once"}));
    let inner = &data["root_group"]["groups"][0]["groups"][0];
    assert_eq!(inner["path"], "::outer::inner");
    let check = &inner["checks"][0];
    assert_eq!(
        (&check["passes"], &check["fails"]),
        (&json!(500), &json!(100))
    );
    // k6's identifiers are MD5 sums of 32 digits.
    assert_eq!(check["id"].as_str().unwrap().len(), 32, "{check}");
}

const ENDLESS: &str = r"
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
const calls = new Counter('own_calls');
export const options = {
  vus: 4,
  duration: '10m',
  thresholds: { own_calls: [{ threshold: 'count<50', abortOnFail: true }] },
};
export default function () {
  calls.add(1);
  sleep(0.05);
}
";

#[test]
fn a_threshold_ends_the_run_on_all_agents() {
    let Some(k6) = k6() else { return };
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (status, said) = run_k6(folder.path(), &k6, ENDLESS, &["--agents", "local:2"]);
    assert_eq!(status, Some(99), "{said}");
    assert!(said.contains("abortOnFail"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(300), "{said}");
    assert!(total(&read(folder.path()), "own_calls").1 >= 50.0);
}

const MEETING: &str = r"
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import wrpc from 'k6/x/wrpc';
const made = new Counter('own_made');
const value = new Trend('own_value');
const early = new Counter('own_early');
export const options = {
  scenarios: { all: { executor: 'per-vu-iterations', vus: 6, iterations: 1, maxDuration: '120s' } },
  thresholds: { own_made: ['count==1'] },
};
export default function () {
  // VU 1 of the test comes last to the barrier.
  if (exec.vu.idInTest === 1) sleep(1);
  const before = Date.now();
  wrpc.barrier('all', 6);
  const { now } = wrpc.once('now', () => {
    made.add(1);
    return { now: before };
  });
  value.add(now);
  try {
    wrpc.once('fails', () => {
      throw new Error('no luck');
    });
    early.add(1);
  } catch (error) {
    if (!String(error).includes('no luck')) early.add(1);
  }
  wrpc.barrier('end', 6);
  if (exec.vu.idInTest === 2) exec.test.abort('it is enough');
  sleep(100);
}
";

#[test]
fn vus_of_all_agents_meet_and_one_may_end_them_all() {
    let Some(k6) = k6() else { return };
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (status, said) = run_k6(folder.path(), &k6, MEETING, &["--agents", "local:3"]);
    assert_eq!(status, Some(108), "{said}");
    assert!(
        said.contains("the script has ended the test, on "),
        "{said}"
    );
    assert!(said.contains("it is enough"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(100), "{said}");
    let file = read(folder.path());
    assert_eq!(total(&file, "own_made").1, 1.0, "{said}");
    // All have the same value, so it is the greatest, too.
    let (count, sum, most) = total(&file, "own_value");
    assert_eq!((count, sum), (6, 6.0 * most), "{said}");
    let by_metric = file.metrics.by_metric();
    assert!(
        by_metric
            .iter()
            .all(|(series, _)| series.metric != "own_early")
    );
}

#[test]
fn a_script_that_is_wrong_is_told_before_any_agent_starts() {
    let Some(k6) = k6() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (status, said) = run_k6(folder.path(), &k6, "nonsense(", &["--agents", "local:1"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("script.js"), "{said}");
    let bounded = run(
        folder.path(),
        &[
            "agent",
            "--nats",
            "nats://127.0.0.1:1",
            "--allow",
            "k6",
            "--max-rate",
            "5",
        ],
    );
    assert_eq!(bounded.status.code(), Some(2));
    let alone = run(folder.path(), &["k6", "run", "script.js"]);
    let said = String::from_utf8(alone.stderr).unwrap();
    assert!(said.contains("--out encarno=run.enc"), "{said}");
}

/// Processes whose command line has that word.
fn processes(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

#[test]
fn no_k6_goes_on_without_its_agent() {
    let Some(k6) = k6() else { return };
    let store = scratch("jetstream");
    let nats = NatsServer::start_with(&["--jetstream", "--store_dir", store.to_str().unwrap()]);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("nats://127.0.0.1:{}", nats.port());
    // Of this test alone, so that its processes are known by it.
    let mark = format!("MARK={}", std::process::id());
    let mut agents: Vec<Process> = ["one", "two"]
        .iter()
        .map(|name| {
            let place = folder.path().join(name);
            let line = [
                "agent",
                "--nats",
                &url,
                "--name",
                name,
                "--allow",
                "k6",
                "--folder",
                place.to_str().unwrap(),
            ];
            let mut agent = command(folder.path(), &line);
            agent.env("PATH", k6.parent().unwrap());
            agent.stdout(Stdio::null()).stderr(Stdio::null());
            Process(agent.spawn().unwrap())
        })
        .collect();
    std::fs::write(
        folder.path().join("script.js"),
        ENDLESS.replace("count<50", "count<500000"),
    )
    .unwrap();
    let line = [
        "k6",
        "run",
        "script.js",
        "--k6-binary",
        k6.to_str().unwrap(),
        "-o",
        "run.enc",
        "--nats",
        &url,
        "--agents",
        "2",
        "--silence",
        "3s",
        "--",
        "-e",
        &mark,
    ];
    let coordinator = command(folder.path(), &line)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut coordinator = Process(coordinator.unwrap());
    let wait = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Two k6 and the coordinator.
    wait("both run", &mut || {
        processes(&mark) == 3
            && folder
                .path()
                .join("run.enc.parts/one.enc")
                .metadata()
                .is_ok_and(|file| file.len() > 1000)
    });
    agents[0].0.kill().unwrap();
    wait("its k6 ends", &mut || processes(&mark) == 2);
    let pid = rustix::process::Pid::from_raw(coordinator.0.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = coordinator.0.wait().unwrap();
    assert_eq!(status.code(), Some(8), "an agent was lost");
    wait("the other k6 ends", &mut || processes(&mark) == 0);
}
