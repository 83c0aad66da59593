//! `handleSummary()` of a script, called once with the metrics of all agents.
//!
//! The coordinator runs one more k6, with a script that imports the user's. It makes no load,
//! and its own `handleSummary()` calls the user's with the data of the merged file. So k6
//! itself writes the files and prints the text that the function returns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use encarno_fleet::coordinator::Outcome;
use encarno_record::notes::{Check, Threshold};
use encarno_record::results::whole::{self, FileStatistics};
use encarno_record::series::{MetricKind, Points, Series};
use encarno_record::thresholds;
use serde_json::{Map, Value, json};

use crate::capacity::k6 as program;
use crate::cli::{Failure, complain};

/// How long the function may take, in addition to what k6 itself allows.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The statistics of a trend, unless the options name others.
const TREND_STATS: [&str; 6] = ["avg", "min", "med", "max", "p(90)", "p(95)"];
/// Between the names of groups.
const SEPARATOR: &str = "::";

/// The script of the further k6. SCRIPT, DATA and DONE are JSON texts.
const WRAPPER: &str = r#"
import * as script from SCRIPT;
import crypto from "k6/crypto";
const data = JSON.parse(open(DATA));
function identify(group) {
  group.id = crypto.md5(group.path, "hex");
  group.checks.forEach((check) => (check.id = crypto.md5(check.path, "hex")));
  group.groups.forEach(identify);
}
export const options = { vus: 1, iterations: 1 };
export default function () {}
export function handleSummary(own) {
  if (typeof script.handleSummary !== "function") return {};
  identify(data.root_group);
  data.options.noColor = own.options.noColor;
  Object.assign(data.state, { isStdOutTTY: own.state.isStdOutTTY, isStdErrTTY: own.state.isStdErrTTY });
  try {
    const made = script.handleSummary(data);
    // Without a result, k6 prints its summary.
    return made ? Object.assign({}, made, { [DONE]: "done" }) : {};
  } catch (error) {
    console.error(`handleSummary() failed: ${error}`);
    return {};
  }
}
"#;

/// A script that may have the function.
pub(super) struct Script<'a> {
    pub(super) k6: &'a Path,
    pub(super) script: &'a Path,
    /// The arguments of `k6 run`.
    pub(super) arguments: &'a [String],
    /// The options of the script, as `k6 inspect` prints them.
    pub(super) options: &'a Value,
}

impl Script<'_> {
    /// Calls the function with what is in the merged file, if there is such a function. True if
    /// it has made the summary.
    pub(super) fn summarise(&self, merged: &Path, outcome: &Outcome) -> Result<bool, Failure> {
        const NAME: &[u8] = b"handleSummary";
        let text = std::fs::read(self.script).map_err(Failure::setup)?;
        if memchr::memmem::find(&text, NAME).is_none() {
            return Ok(false);
        }
        if self.script.extension().is_some_and(|end| end == "tar") {
            complain("handleSummary() of an archive isn't called: name the script itself");
            return Ok(false);
        }
        let folder = tempfile::tempdir().map_err(Failure::output)?;
        let place = |name: &str| folder.path().join(name);
        let (wrapper, data, done) = (place("summary.js"), place("data.json"), place("done"));
        let script = self.script.canonicalize().map_err(Failure::setup)?;
        let text = |path: &PathBuf| Value::from(path.to_string_lossy()).to_string();
        let source = WRAPPER
            .replacen("SCRIPT", &text(&script), 1)
            .replacen("DATA", &text(&data), 1)
            .replacen("DONE", &text(&done), 1);
        std::fs::write(&wrapper, source).map_err(Failure::output)?;
        let file = whole::read(merged).map_err(Failure::setup)?;
        let of_all = data_of(&file, outcome, self.options);
        std::fs::write(&data, of_all.to_string()).map_err(Failure::output)?;
        let status = program::run(self.k6, PATIENCE, |command| {
            command
                .args(["run", "--quiet", "--no-usage-report"])
                .args(environment(self.arguments))
                .arg(&wrapper)
        });
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => complain(&format!("k6 can't call handleSummary(): {status}")),
            Err(error) => complain(&format!("k6 can't call handleSummary(): {error}")),
        }
        Ok(done.exists())
    }
}

/// Those arguments that set variables of the script's environment.
fn environment(arguments: &[String]) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if matches!(&**argument, "-e" | "--env") {
            kept.push(&**argument);
            kept.extend(arguments.next().map(|value| &**value));
        } else if argument.starts_with("--env=")
            || argument.starts_with("-e") && !argument.starts_with("--")
        {
            kept.push(argument);
        }
    }
    kept
}

/// The data of the function, as k6 makes them.
fn data_of(file: &FileStatistics, outcome: &Outcome, options: &Value) -> Value {
    let stats = options["summaryTrendStats"].as_array();
    let stats: Vec<&str> = match stats {
        Some(stats) => stats.iter().filter_map(Value::as_str).collect(),
        None => TREND_STATS.to_vec(),
    };
    let span_ns = file.span_ns();
    let mut metrics = Map::new();
    let mut add = |name: &str, series: &Series, points: &Points| {
        let about = json!({
            "type": series.kind,
            "contains": if series.contains.is_empty() { "default" } else { &*series.contains },
            "values": values(series.kind, points, &stats, span_ns),
        });
        metrics.insert(name.to_owned(), about);
    };
    for (series, points) in &file.metrics.by_metric() {
        add(&series.metric, series, points);
    }
    for Threshold { metric, .. } in &outcome.thresholds {
        if let Some((series, points)) = thresholds::points(metric, &file.metrics) {
            add(metric, series, &points);
        }
    }
    for threshold in &outcome.thresholds {
        if let Some(metric) = metrics.get_mut(&threshold.metric) {
            metric["thresholds"][&threshold.demand] = json!({"ok": threshold.met});
        }
    }
    let set_up = outcome.data.as_deref();
    let set_up = set_up.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut data = json!({
        "root_group": Group::of(&file.notes.checks).json("", ""),
        "options": {
            "summaryTrendStats": stats,
            "summaryTimeUnit": options["summaryTimeUnit"].as_str().unwrap_or_default(),
            "noColor": false,
        },
        "state": {
            "isStdOutTTY": false,
            "isStdErrTTY": false,
            "testRunDurationMs": span_ns as f64 * 1e-6,
        },
        "metrics": metrics,
    });
    if let Some(set_up) = set_up {
        data["setup_data"] = set_up;
    }
    data
}

/// The values of a metric, by k6's names.
fn values(kind: MetricKind, points: &Points, stats: &[&str], span_ns: u64) -> Map<String, Value> {
    let named: Vec<(&str, f64)> = match kind {
        MetricKind::Counter => vec![
            ("count", points.sum),
            ("rate", points.sum * 1e9 / span_ns.max(1) as f64),
        ],
        MetricKind::Gauge => vec![
            ("value", points.last.1),
            ("min", points.min),
            ("max", points.max),
        ],
        MetricKind::Rate => vec![
            ("rate", points.rate()),
            ("passes", points.nonzero as f64),
            ("fails", points.count.saturating_sub(points.nonzero) as f64),
        ],
        MetricKind::Trend => {
            let stat = |name: &&str| match *name {
                "avg" => points.mean(),
                "min" => points.min,
                "med" => points.values.quantile(0.5),
                "max" => points.max,
                "count" => points.count as f64,
                name => {
                    let percent = name.strip_prefix("p(").and_then(|it| it.strip_suffix(')'));
                    let percent: Option<f64> = percent.and_then(|it| it.trim().parse().ok());
                    points.values.quantile(percent.unwrap_or(0.0) / 100.0)
                }
            };
            stats.iter().map(|name| (*name, stat(name))).collect()
        }
    };
    let values = named.into_iter();
    values
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// A group of a script.
#[derive(Default)]
struct Group<'a> {
    groups: BTreeMap<&'a str, Group<'a>>,
    checks: Vec<&'a Check>,
}

impl<'a> Group<'a> {
    fn of(checks: &'a [Check]) -> Self {
        let mut root = Self::default();
        for check in checks {
            let names = check.group.split(SEPARATOR).filter(|name| !name.is_empty());
            let group = names.fold(&mut root, |group, name| {
                group.groups.entry(name).or_default()
            });
            group.checks.push(check);
        }
        root
    }

    fn json(&self, name: &str, path: &str) -> Value {
        let below = |name: &str| format!("{path}{SEPARATOR}{name}");
        let groups = self.groups.iter();
        let groups: Vec<_> = groups
            .map(|(name, group)| group.json(name, &below(name)))
            .collect();
        let checks = self.checks.iter().map(|check| {
            json!({
                "name": check.name, "path": below(&check.name), "passes": check.passes,
                "fails": check.fails,
            })
        });
        json!({
            "name": name, "path": path, "groups": groups, "checks": checks.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use encarno_record::notes::Check;

    use super::{Group, environment};

    #[test]
    fn variables_of_the_environment_are_kept() {
        let given = "--vus 9 -e A=1 -eB=2 --env C=3 --env=D=4 --duration 5s";
        let given: Vec<String> = given.split(' ').map(str::to_owned).collect();
        assert_eq!(
            environment(&given).join(" "),
            "-e A=1 -eB=2 --env C=3 --env=D=4"
        );
    }

    #[test]
    fn groups_are_nested_as_their_checks_say() {
        let check = |group: &str, name: &str| Check {
            group: group.to_owned(),
            name: name.to_owned(),
            passes: 1,
            fails: 2,
        };
        let checks = [
            check("", "a"),
            check("::one::two", "b"),
            check("::one", "c"),
        ];
        let root = Group::of(&checks).json("", "");
        assert_eq!(root["checks"][0]["path"], "::a");
        assert_eq!(root["groups"][0]["checks"][0]["name"], "c");
        let two = &root["groups"][0]["groups"][0];
        assert_eq!(two["path"], "::one::two");
        assert_eq!(two["checks"][0]["path"], "::one::two::b");
        assert_eq!(two["checks"][0]["fails"], 2);
    }
}
