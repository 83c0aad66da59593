//! `encarno export`: what a receiver gets, as OpenTelemetry's own types read it, is what
//! `stats` says; what can't be delivered is tried again, and told.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, number_data_point,
};
use prost::Message as _;
use serde_json::Value;

/// What a receiver got: the head and the body of each request.
type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers each request with the next of these statuses and bodies, and then by the last.
fn receiver(listener: TcpListener, answers: Vec<(u16, Vec<u8>)>) -> Got {
    let got = Got::default();
    let known = Arc::clone(&got);
    thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some((head, body)) = request(&mut stream) {
                let (status, answer) = &answers[number.min(answers.len() - 1)];
                number += 1;
                if *status == 200 {
                    known.lock().unwrap().push((head, body));
                }
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                let all = [head.as_bytes(), answer].concat();
                stream.get_mut().write_all(&all).unwrap();
            }
        }
    });
    got
}

fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let length = length.lines().next()?.trim().parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn free() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A run of some seconds, with two labels and with errors.
fn run(folder: &Path) -> Value {
    std::fs::write(
        folder.join("records"),
        "[Host: t]\n/a one\n/b two\n/c one\n",
    )
    .unwrap();
    let arguments = [
        "hit",
        "dummy:",
        "-i",
        "records",
        "--format",
        "uri",
        "--rate",
        "400",
        "--for",
        "3s",
        "--delay",
        "exponential:5ms",
        "--error-rate",
        "0.1",
        "-q",
        "-o",
        "run.enc",
    ];
    assert!(program::run(folder, &arguments).status.success());
    let stats = program::run(folder, &["stats", "--json", "run.enc"]);
    serde_json::from_slice(&stats.stdout).expect("JSON")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The last points of a histogram, by their attributes: each has all since the start.
fn last_points(got: &Got, name: &str) -> Vec<ExponentialHistogramDataPoint> {
    let mut last = HashMap::new();
    for (_, body) in got.lock().unwrap().iter() {
        let request = ExportMetricsServiceRequest::decode(&body[..]).expect("OTLP");
        let metrics = request.resource_metrics.into_iter();
        let metrics = metrics.flat_map(|one| one.scope_metrics);
        for metric in metrics.flat_map(|one| one.metrics) {
            let Some(Data::ExponentialHistogram(histogram)) = metric.data else {
                continue;
            };
            let cumulative = AggregationTemporality::Cumulative as i32;
            assert_eq!(histogram.aggregation_temporality, cumulative);
            if metric.name == name {
                for point in histogram.data_points {
                    last.insert(format!("{:?}", point.attributes), point);
                }
            }
        }
    }
    last.into_values().collect()
}

/// A quantile of points together, in seconds: the middle of its bucket.
fn quantile(points: &[ExponentialHistogramDataPoint], share: f64) -> f64 {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for point in points {
        let growth = (-f64::from(point.scale)).exp2();
        let positive = point.positive.as_ref().expect("buckets");
        for (place, &count) in positive.bucket_counts.iter().enumerate() {
            let index = f64::from(positive.offset) + place as f64;
            buckets.push((((index + 0.5) * growth).exp2(), count));
        }
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let rank = (share * all as f64).ceil() as u64;
    let mut before = 0;
    let found = buckets.iter().find(|(_, count)| {
        before += count;
        before >= rank
    });
    found.expect("a bucket").0
}

#[test]
fn a_receiver_that_is_not_there_at_first_gets_all_that_stats_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stats = run(folder);
    let (listener, url) = free();
    let got = receiver(
        listener,
        vec![
            (503, b"not yet".to_vec()),
            (429, Vec::new()),
            (200, Vec::new()),
        ],
    );
    let arguments = [
        "export",
        "run.enc",
        "--otlp",
        &url,
        "--period",
        "1s",
        "-H",
        "X-Token: hunter2",
    ];
    let output = program::run(folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("points were delivered to"),
        "{}",
        said(&output)
    );
    {
        let got = got.lock().unwrap();
        assert!(got.len() >= 3, "one a second: {}", got.len());
        assert!(got[0].0.starts_with("post /v1/metrics "), "{}", got[0].0);
        assert!(got[0].0.contains("x-token: hunter2"));
        assert!(got[0].0.contains("content-type: application/x-protobuf"));
    }
    for (name, times) in [
        ("encarno.response.duration", "response_ns"),
        ("http.client.request.duration", "service_ns"),
    ] {
        let points = last_points(&got, name);
        let expected = &stats["total"][times];
        let count: u64 = points.iter().map(|point| point.count).sum();
        assert_eq!(count, stats["total"]["hits"].as_u64().unwrap());
        let sum: f64 = points.iter().filter_map(|point| point.sum).sum();
        let mean = expected["mean"].as_f64().unwrap() * 1e-9;
        assert!((sum / count as f64 / mean - 1.0).abs() < 1e-9, "{name}");
        for (quantile_name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let expected = expected[quantile_name].as_f64().unwrap() * 1e-9;
            let found = quantile(&points, share);
            let off = (found / expected - 1.0).abs();
            assert!(
                off < 0.005,
                "{name} {quantile_name}: {found} and {expected}"
            );
        }
    }
    let bytes = got.lock().unwrap();
    let (_, body) = bytes.last().expect("a message");
    let request = ExportMetricsServiceRequest::decode(&body[..]).expect("OTLP");
    let resource = &request.resource_metrics[0].resource;
    let resource = format!("{resource:?}");
    assert!(resource.contains("test.run.id") && resource.contains("service.instance.id"));
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let sent = metrics.iter().find(|metric| metric.name == "encarno.sent");
    let Some(Data::Sum(sum)) = &sent.expect("it").data else {
        panic!("a sum")
    };
    assert!(sum.is_monotonic);
    let value = sum.data_points[0].value.as_ref().expect("a value");
    assert!(matches!(value, number_data_point::Value::AsInt(_)));
}

#[test]
fn a_run_sends_its_points_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (listener, url) = free();
    let got = receiver(listener, vec![(503, Vec::new()), (200, Vec::new())]);
    let arguments = [
        "hit",
        "dummy:",
        "-n",
        "200",
        "-q",
        "-o",
        "run.enc",
        "--otlp",
        &url,
        "--otlp-header",
        "X-Token: hunter2",
    ];
    let output = program::run(folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("points were delivered to"),
        "{}",
        said(&output)
    );
    let points = last_points(&got, "encarno.response.duration");
    assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 200);
    let file = std::fs::read(folder.join("run.enc")).expect("a file");
    assert!(!String::from_utf8_lossy(&file).contains("hunter2"));
}

#[test]
fn what_is_not_delivered_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    run(folder);
    let export = |url: &str| {
        let arguments = [
            "export",
            "run.enc",
            "--otlp",
            url,
            "--period",
            "1s",
            "--patience",
            "1s",
        ];
        let output = program::run(folder, &arguments);
        (output.status.code(), said(&output))
    };
    // Nobody listens.
    let (listener, nobody) = free();
    drop(listener);
    let (status, said) = export(&nobody);
    assert_eq!(status, Some(4), "{said}");
    assert!(
        said.contains("points were NOT delivered") && said.contains("tries in"),
        "{said}"
    );
    // What is refused isn't tried again.
    let (listener, url) = free();
    let _got = receiver(listener, vec![(401, b"no token".to_vec())]);
    let (status, said) = export(&url);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("status 401: no token"), "{said}");
    // A receiver that throws some away says so.
    let (listener, url) = free();
    let partly = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let _got = receiver(
        listener,
        vec![(200, partly.encode_to_vec()), (200, Vec::new())],
    );
    let (status, said) = export(&url);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("too old"), "{said}");
    let (status, said) = export("collector:4318");
    assert_eq!(status, Some(2), "{said}");
}

/// It takes connections, and says nothing.
#[test]
fn a_receiver_that_is_silent_holds_a_run_up_until_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, url) = free();
    let line = ["hit", "dummy:", "-n", "9", "-q", "--otlp", &url];
    let mut child = program::command(folder.path(), &line).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("to take its last points") {
        assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    said.read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("NOT delivered to {url}")), "{text}");
    assert!(text.contains("given up"), "{text}");
    assert!(child.wait().unwrap().code().is_some());
    drop(listener);
}

/// A Prometheus that takes what is written to it.
struct Prometheus {
    server: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(program: &Path, folder: &Path) -> Self {
        let (listener, _) = free();
        let address = listener.local_addr().unwrap();
        drop(listener);
        std::fs::write(folder.join("prometheus.yml"), "").expect("written");
        let server = Command::new(program)
            .current_dir(folder)
            .arg(format!("--web.listen-address={address}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.enable-remote-write-receiver", "--log.level=error"])
            .arg("--enable-feature=native-histograms")
            .spawn()
            .expect("Prometheus");
        let prometheus = Self { server, address };
        let begun = Instant::now();
        while prometheus
            .get("/-/ready")
            .is_none_or(|answer| !answer.starts_with("HTTP/1.0 200"))
        {
            assert!(begun.elapsed() < Duration::from_secs(120), "it isn't ready");
            thread::sleep(Duration::from_millis(50));
        }
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The one number that an expression gives.
    fn number(&self, expression: &str) -> f64 {
        // The last period may end a moment from now.
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 5;
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?time={time}&query={query}"));
        let answer = answer.expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let found: Value = serde_json::from_str(body).expect("JSON");
        let value = found["data"]["result"][0]["value"][1].as_str();
        value
            .unwrap_or_else(|| panic!("{expression}: {found}"))
            .parse()
            .expect("a number")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn prometheus_says_what_stats_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/prometheus");
    if !program.is_file() {
        eprintln!("NOT TESTED: a real Prometheus, for bin/prometheus does not exist");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let prometheus = Prometheus::start(&program, folder);
    let stats = run(folder);
    let url = format!("http://{}", prometheus.address);
    let arguments = [
        "export",
        "run.enc",
        "--remote-write",
        &url,
        "--period",
        "1s",
    ];
    let output = program::run(folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    let total = &stats["total"];
    let number = |name: &str| total[name].as_f64().expect("a number");
    assert_eq!(prometheus.number("sum(encarno_hits_total)"), number("hits"));
    let failed = "sum(encarno_hits_total{outcome=\"failed\"})";
    assert_eq!(prometheus.number(failed), number("failed"));
    for (metric, times) in [("response", "response_ns"), ("service", "service_ns")] {
        let all = format!("sum(encarno_{metric}_duration_seconds)");
        assert_eq!(
            prometheus.number(&format!("histogram_count({all})")),
            number("hits")
        );
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let found = prometheus.number(&format!("histogram_quantile({share}, {all})"));
            let expected = total[times][name].as_f64().expect("a time") * 1e-9;
            let off = (found / expected - 1.0).abs();
            assert!(off < 0.005, "{metric} {name}: {found} and {expected}");
        }
    }
    // A label of the run is one there.
    assert!(prometheus.number("count(count by (label) (encarno_hits_total))") >= 2.0);
}

#[test]
fn influx_gets_lines_whose_sums_are_those_of_stats() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stats = run(folder);
    let arguments = ["export", "run.enc", "--influx", "-", "--period", "1s"];
    let output = program::run(folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = String::from_utf8(output.stdout).expect("text");
    let (listener, url) = free();
    let got = receiver(listener, vec![(200, Vec::new())]);
    let arguments = ["export", "run.enc", "--influx", &url, "--period", "1s"];
    assert_eq!(program::run(folder, &arguments).status.code(), Some(0));
    let sent: Vec<u8> = got
        .lock()
        .unwrap()
        .iter()
        .flat_map(|(_, body)| body.clone())
        .collect();
    assert_eq!(String::from_utf8(sent).expect("text"), lines);
    let field = |name: &str| -> u64 {
        let values = lines.lines().map(|line| {
            let (_, rest) = line.split_once(&format!("{name}=")).expect("a field");
            let (value, _) = rest.split_once('i').expect("a number");
            value.parse::<u64>().expect("a number")
        });
        values.sum()
    };
    assert_eq!(field(" hits"), stats["total"]["hits"].as_u64().unwrap());
    assert_eq!(field(",failed"), stats["total"]["failed"].as_u64().unwrap());
}
