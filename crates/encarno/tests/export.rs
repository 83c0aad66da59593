//! `encarno export`: what a receiver gets, as OpenTelemetry's own types read it, is what
//! `stats` says; what can't be delivered is tried again, and told.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use encarno_record::Texts;
use encarno_record::results::SumsReader;
use encarno_target::{Target, TargetSettings};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, exemplar, number_data_point,
};
use process::Process;
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

fn said_of(output: &Output) -> String {
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
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
    assert!(
        said_of(&output).contains(" delivered to"),
        "{}",
        said_of(&output)
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
        assert_as_stats(&last_points(&got, name), &stats, times);
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

/// A program of `bin/`, if it was built.
fn tool(name: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/");
    let program = program.join(name);
    if !program.is_file() {
        eprintln!("NOT TESTED: a real {name}, for bin/{name} does not exist");
        return None;
    }
    Some(program)
}

/// That points together say what `stats` says of these times.
fn assert_as_stats(points: &[ExponentialHistogramDataPoint], stats: &Value, times: &str) {
    let expected = &stats["total"][times];
    let count: u64 = points.iter().map(|point| point.count).sum();
    assert_eq!(count, stats["total"]["hits"].as_u64().unwrap());
    let sum: f64 = points.iter().filter_map(|point| point.sum).sum();
    let mean = expected["mean"].as_f64().unwrap() * 1e-9;
    assert!((sum / count as f64 / mean - 1.0).abs() < 1e-9, "{times}");
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let expected = expected[name].as_f64().unwrap() * 1e-9;
        let found = quantile(points, share);
        let off = (found / expected - 1.0).abs();
        assert!(off < 0.005, "{times} {name}: {found} and {expected}");
    }
}

#[test]
fn what_a_real_collector_sends_on_is_what_stats_says() {
    let Some(program) = tool("otelcol") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stats = run(folder);
    let (listener, behind) = free();
    let got = receiver(listener, vec![(200, Vec::new())]);
    let (listener, url) = free();
    drop(listener);
    let address = url.trim_start_matches("http://");
    let config = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}}}\n\
         exporters: {{otlp_http: {{endpoint: '{behind}', compression: none, \
         sending_queue: {{enabled: false}}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [otlp_http]}}}}}}\n"
    );
    std::fs::write(folder.join("otelcol.yaml"), config).expect("written");
    let said = std::fs::File::create(folder.join("otelcol.log")).expect("a file");
    let collector = Command::new(program)
        .current_dir(folder)
        .args(["--config", "otelcol.yaml"])
        .stderr(said)
        .spawn();
    let mut collector = Process(collector.expect("a collector"));
    // It isn't there yet: what is sent waits for it.
    let arguments = ["export", "run.enc", "--otlp", &url, "--period", "1s"];
    let output = program::run(folder, &arguments);
    let log = std::fs::read_to_string(folder.join("otelcol.log")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{}{log}", said_of(&output));
    for (name, times) in [
        ("encarno.response.duration", "response_ns"),
        ("http.client.request.duration", "service_ns"),
        ("encarno.lag.duration", "lag_ns"),
    ] {
        let points = last_points(&got, name);
        if times != "lag_ns" {
            assert_as_stats(&points, &stats, times);
        }
        assert_eq!(
            points.iter().map(|point| point.count).sum::<u64>(),
            stats["total"]["hits"].as_u64().unwrap()
        );
    }
    assert!(
        collector.0.try_wait().expect("its state").is_none(),
        "{log}"
    );
}

/// Trace and span of each hit of a file that began one.
fn traces(file: &Path) -> Vec<(String, String)> {
    let mut reader = SumsReader::new(std::fs::File::open(file).unwrap()).expect("results");
    let mut texts = Texts::default();
    while reader.next_sums(&mut texts).expect("sums").is_some() {}
    let all = reader.take_exemplars().into_iter().map(|one| one.trace);
    all.map(|trace| {
        let (trace_id, span_id) = (trace.trace_id, trace.span_id);
        (format!("{trace_id:032x}"), format!("{span_id:016x}"))
    })
    .collect()
}

/// Those that a receiver gets, and a real Prometheus stores, are those of the file.
#[test]
fn exemplars_lead_to_traces() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let site = format!("http://{}/", target.address());
    let line = [
        "hit",
        &site,
        "--rate",
        "50",
        "--for",
        "4s",
        "-q",
        "-o",
        "run.enc",
        "--traceparent",
        "100%",
    ];
    let output = program::run(folder, &line);
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
    let traces = traces(&folder.join("run.enc"));
    assert_eq!(traces.len(), 200);
    let (listener, url) = free();
    let got = receiver(listener, vec![(200, Vec::new())]);
    let output = program::run(folder, &["export", "run.enc", "--otlp", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
    let points = last_points(&got, "http.client.request.duration");
    let exemplars: Vec<_> = points.iter().flat_map(|point| &point.exemplars).collect();
    assert!(!exemplars.is_empty());
    for exemplar in exemplars {
        let Some(exemplar::Value::AsDouble(seconds)) = exemplar.value else {
            panic!("a time")
        };
        assert!(points[0].min() <= seconds && seconds <= points[0].max());
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let (trace, span) = (hex(&exemplar.trace_id), hex(&exemplar.span_id));
        assert!(traces.contains(&(trace, span)), "{exemplar:?}");
    }

    let Some(program) = tool("prometheus") else {
        return;
    };
    let (child, _said, offered) =
        offered(folder, &["export", "run.enc", "--metrics", "127.0.0.1:0"]);
    let _ended = Process(child);
    let address = offered.trim_start_matches("http://");
    let address = address.trim_end_matches("/metrics");
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: it, \
         static_configs: [{{targets: ['{address}']}}]}}]\n"
    );
    let prometheus = Prometheus::start(&program, folder, &config);
    // It takes none of a series that it doesn't know yet: those of later periods.
    prometheus.is_sent(folder);
    let begun = Instant::now();
    for job in ["encarno", "it"] {
        loop {
            let query = format!("encarno_service_duration_seconds{{job=\"{job}\"}}");
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let path = format!("/api/v1/query_exemplars?start=0&end=99999999999&query={query}");
            let answer = prometheus.get(&path).expect("an answer");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
            let is_there =
                |(trace, span): &(String, String)| body.contains(trace) && body.contains(span);
            if traces.iter().any(is_there) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{job}: {body}");
            thread::sleep(Duration::from_millis(200));
        }
    }
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
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
    assert!(
        said_of(&output).contains(" delivered to"),
        "{}",
        said_of(&output)
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
        (output.status.code(), said_of(&output))
    };
    // Nobody listens.
    let (listener, nobody) = free();
    drop(listener);
    let (status, said) = export(&nobody);
    assert_eq!(status, Some(4), "{said}");
    assert!(
        said.contains(" NOT delivered") && said.contains("tries in"),
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

/// In a tenth of the time: 60 s of absence in a run that sends its points every ten
/// seconds. The receiver comes back when all hits have ended, so that none can have
/// waited for it.
#[test]
fn a_receiver_that_is_away_delays_no_hit_and_gets_all_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (listener, url) = free();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let line = [
        "hit",
        "dummy:",
        "--rate",
        "100",
        "--for",
        "6s",
        "-q",
        "-o",
        "run.enc",
        "--otlp",
        &url,
        "--export-period",
        "1s",
        "--export-patience",
        "10m",
    ];
    let mut child = program::command(folder, &line).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("to take its last points") {
        assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let stats = program::run(folder, &["stats", "--json", "run.enc"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    assert_eq!(stats["total"]["hits"], 600);
    let got = receiver(
        TcpListener::bind(address).expect("its address"),
        vec![(503, Vec::new()), (200, Vec::new())],
    );
    said.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    assert!(text.contains(" delivered to"), "{text}");
    let points = last_points(&got, "encarno.response.duration");
    assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 600);
}

#[test]
fn points_that_are_lost_are_in_the_verdict_also_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (listener, url) = free();
    drop(listener);
    let line = [
        "hit",
        "dummy:",
        "-n",
        "50",
        "-q",
        "--json",
        "-o",
        "run.enc",
        "--report",
        "run.html",
        "--otlp",
        &url,
        "--export-patience",
        "1s",
    ];
    let output = program::run(folder, &line);
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let reasons = summary["verdict"]["reasons"].to_string();
    let lost = format!(" NOT delivered to {url}");
    assert!(reasons.contains(&lost), "{reasons}");
    let page = std::fs::read_to_string(folder.join("run.html")).expect("a page");
    assert!(page.contains(&lost));
    // Whoever reads the file later is told, too, and the file is whole.
    let again = program::run(folder, &["report", "run.enc", "-o", "again.html"]);
    assert_eq!(said_of(&again), "");
    let page = std::fs::read_to_string(folder.join("again.html")).expect("a page");
    assert!(page.contains(&lost));
    let period = [
        "hit",
        "dummy:",
        "-n",
        "1",
        "--otlp",
        &url,
        "--export-period",
        "1500ms",
    ];
    let output = program::run(folder, &period);
    assert_eq!(output.status.code(), Some(2));
    assert!(said_of(&output).contains("--export-period takes whole seconds"));
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
    _server: Process,
    address: SocketAddr,
}

impl Prometheus {
    fn start(program: &Path, folder: &Path, config: &str) -> Self {
        let (listener, _) = free();
        let address = listener.local_addr().unwrap();
        drop(listener);
        std::fs::write(folder.join("prometheus.yml"), config).expect("written");
        let server = Command::new(program)
            .current_dir(folder)
            .arg(format!("--web.listen-address={address}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.enable-remote-write-receiver", "--log.level=error"])
            .arg("--enable-feature=native-histograms,exemplar-storage")
            .spawn()
            .expect("Prometheus");
        let prometheus = Self {
            _server: Process(server),
            address,
        };
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

    /// Sends it the run.
    fn is_sent(&self, folder: &Path) {
        let url = format!("http://{}", self.address);
        let line = [
            "export",
            "run.enc",
            "--remote-write",
            &url,
            "--period",
            "1s",
        ];
        let output = program::run(folder, &line);
        assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
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
        let found = self.query(expression);
        let value = found["data"]["result"][0]["value"][1].as_str();
        value
            .unwrap_or_else(|| panic!("{expression}: {found}"))
            .parse()
            .expect("a number")
    }

    fn query(&self, expression: &str) -> Value {
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
        serde_json::from_str(body).expect("JSON")
    }

    /// That it says what `stats` says.
    fn assert_as_stats(&self, stats: &Value, of: &str) {
        let total = &stats["total"];
        let number = |name: &str| total[name].as_f64().expect("a number");
        let hits = self.number(&format!("sum(encarno_hits_total{{{of}}})"));
        assert_eq!(hits, number("hits"));
        let failed = format!("sum(encarno_hits_total{{outcome=\"failed\",{of}}})");
        assert_eq!(self.number(&failed), number("failed"));
        for (metric, times) in [("response", "response_ns"), ("service", "service_ns")] {
            let all = format!("sum(encarno_{metric}_duration_seconds{{{of}}})");
            let count = self.number(&format!("histogram_count({all})"));
            assert_eq!(count, number("hits"));
            for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
                let found = self.number(&format!("histogram_quantile({share}, {all})"));
                let expected = total[times][name].as_f64().expect("a time") * 1e-9;
                let off = (found / expected - 1.0).abs();
                assert!(off < 0.005, "{metric} {name}: {found} and {expected}");
            }
        }
    }
}

#[test]
fn prometheus_says_what_stats_says() {
    let Some(program) = tool("prometheus") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let prometheus = Prometheus::start(&program, folder, "");
    let stats = run(folder);
    prometheus.is_sent(folder);

    prometheus.assert_as_stats(&stats, "job=\"encarno\"");
    // A label of the run is one there.
    assert!(prometheus.number("count(count by (label) (encarno_hits_total))") >= 2.0);
}

/// A run whose metrics are fetched: what it says, and where.
fn offered(folder: &Path, line: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut child = program::command(folder, line).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.ends_with('\n') || !text.contains("metrics can be fetched at ") {
        assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let (_, url) = text.split_once("metrics can be fetched at ").unwrap();
    let url = url.trim().to_owned();
    (child, said, url)
}

/// The status, the head and the body of what is answered.
fn fetched(url: &str, headers: &str) -> (u16, String, String) {
    let url = url::Url::parse(url).expect("a URL");
    let port = url.port().expect("a port");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let query = url.query().map(|query| format!("?{query}"));
    let (path, query) = (url.path(), query.unwrap_or_default());
    write!(
        stream,
        "GET {path}{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().unwrap(), head.to_owned(), body.to_owned())
}

#[test]
fn prometheus_fetches_what_stats_says() {
    let Some(program) = tool("prometheus") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stats = run(folder);
    let (child, _said, url) = offered(folder, &["export", "run.enc", "--metrics", "127.0.0.1:0"]);
    let _ended = Process(child);
    let address = url.trim_start_matches("http://");
    let address = address.trim_end_matches("/metrics");
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: it, \
         static_configs: [{{targets: ['{address}']}}]}}]\n"
    );
    let prometheus = Prometheus::start(&program, folder, &config);
    let begun = Instant::now();
    let empty = serde_json::json!([]);
    while prometheus.query("encarno_hits_total")["data"]["result"] == empty {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing came");
        thread::sleep(Duration::from_millis(100));
    }
    prometheus.assert_as_stats(&stats, "job=\"it\"");
}

#[test]
fn a_run_offers_its_metrics_until_the_last_of_them_were_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let line = [
        "hit",
        "dummy:",
        "--rate",
        "50",
        "--for",
        "3s",
        "-q",
        "-o",
        "run.enc",
        "--metrics",
        "127.0.0.1:0",
    ];
    let (mut child, mut said, url) = offered(folder, &line);
    // The run begins after the address was said.
    while !fetched(&url, "").2.contains("encarno_hits_total{") {
        thread::sleep(Duration::from_millis(50));
    }
    let other = url.replace("/metrics", "/");
    assert_eq!(fetched(&other, "").0, 404);
    let mut text = String::new();
    while !text.contains("its last points can be fetched") {
        assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let native = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;q=0.3\r\n";
    let (status, head, _) = fetched(&url, native);
    assert_eq!(status, 200);
    assert!(head.contains("application/vnd.google.protobuf"), "{head}");
    said.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    assert!(!text.contains("NOT delivered"), "{text}");

    let (child, _said, url) = offered(folder, &["export", "run.enc", "--metrics", "0.0.0.0:0"]);
    let _ended = Process(child);
    let (plain, query) = url.split_once("?token=").expect("a token");
    assert_eq!(fetched(plain, "").0, 403);
    let bearer = format!("Authorization: Bearer {query}\r\n");
    assert_eq!(fetched(plain, &bearer).0, 200);
    let local = format!("{plain}?token={query}");
    // What the file says is read a moment after it is offered.
    loop {
        let (status, head, body) = fetched(&local, "");
        assert_eq!(status, 200);
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let count = "encarno_response_duration_seconds_bucket{outcome=\"ok\",run=";
        if body.contains(count) {
            let hits = body
                .lines()
                .find(|line| line.starts_with("encarno_hits_total{"));
            assert!(hits.expect("hits").ends_with(" 150"), "{body}");
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn influx_gets_lines_whose_sums_are_those_of_stats() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stats = run(folder);
    let arguments = ["export", "run.enc", "--influx", "-", "--period", "1s"];
    let output = program::run(folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said_of(&output));
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
