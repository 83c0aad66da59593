//! The options of other tools, each with our option that does the same.

use super::tool::{ALWAYS, CLOSE, HTTP2, NEVER_COMPRESSED, Ours, RESULTS, Takes, Tool, opt, usual};
use super::users::{LOCUST, SIEGE};

/// All tools; messages name earlier ones first.
pub(super) const TOOLS: &[Tool] = &[
    WRK, HEY, OHA, AB, BOMBARDIER, SIEGE, VEGETA, K6, LOCUST, CURL,
];

const WRK: Tool = Tool {
    name: "wrk",
    go: false,
    word: Some("wrk"),
    no_url: false,
    shares: &[],
    options: &[
        opt(
            &["-c", "--connections"],
            Takes::Number,
            Ours::Option("--connections"),
        ),
        opt(
            &["-d", "--duration"],
            Takes::Duration,
            Ours::Option("--for"),
        ),
        opt(
            &["-t", "--threads"],
            Takes::Number,
            Ours::Option("--threads"),
        ),
        opt(&["-R", "--rate"], Takes::Number, Ours::Option("--rate")),
        opt(&["-H", "--header"], Takes::Text, Ours::Option("--header")),
        opt(&["--timeout"], Takes::Duration, Ours::Option("--timeout")),
        opt(&["--latency"], Takes::Nothing, ALWAYS),
        opt(&["-L", "-U", "--u_latency"], Takes::Nothing, ALWAYS),
        opt(
            &["-s", "--script"],
            Takes::Text,
            Ours::Instead("there is no Lua: write records with scripts, see docs/scripting.md"),
        ),
    ],
    usual: &[usual(&["-d", "--hits", "--for"], &["--for", "10s"])],
};

const HEY: Tool = Tool {
    name: "hey",
    go: true,
    word: Some("hey"),
    no_url: false,
    shares: &[],
    options: &[
        opt(&["-n"], Takes::Number, Ours::Option("--hits")),
        opt(&["-c"], Takes::Number, Ours::Option("--connections")),
        opt(&["-q"], Takes::Number, Ours::RateOfWorker),
        opt(&["-z"], Takes::GoDuration, Ours::Option("--for")),
        opt(&["-m"], Takes::Text, Ours::Option("--method")),
        opt(&["-H"], Takes::Text, Ours::Option("--header")),
        opt(&["-t"], Takes::Number, Ours::Option("--timeout")),
        opt(&["-A"], Takes::Media, Ours::Header("Accept")),
        opt(&["-T"], Takes::Media, Ours::Header("Content-Type")),
        opt(&["-d"], Takes::Body, Ours::Option("--data")),
        opt(&["-D"], Takes::File, Ours::BodyFile),
        opt(&["-a"], Takes::Credentials, Ours::Option("--user")),
        opt(&["-x"], Takes::Text, Ours::Option("--proxy")),
        opt(&["-host"], Takes::Text, Ours::Header("Host")),
        opt(&["-cpus"], Takes::Number, Ours::Option("--threads")),
        opt(&["-h2"], Takes::Nothing, HTTP2),
        opt(&["-disable-compression"], Takes::Nothing, NEVER_COMPRESSED),
        opt(&["-disable-keepalive"], Takes::Nothing, CLOSE),
        opt(
            &["-disable-redirects"],
            Takes::Nothing,
            Ours::Nothing("redirects are only followed with -L"),
        ),
        opt(&["-o"], Takes::Text, RESULTS),
    ],
    usual: &[
        usual(&["-n", "-z", "--hits", "--for"], &["--hits", "200"]),
        usual(&["-c", "--connections"], &["--connections", "50"]),
        usual(&["-disable-redirects", "--location"], &["--location"]),
    ],
};

const OHA: Tool = Tool {
    name: "oha",
    go: false,
    word: Some("oha"),
    no_url: false,
    shares: &[],
    options: &[
        opt(&["-n"], Takes::Number, Ours::Option("--hits")),
        opt(&["-c"], Takes::Number, Ours::Option("--connections")),
        opt(&["-q"], Takes::Number, Ours::Option("--rate")),
        opt(&["-z"], Takes::Duration, Ours::Option("--for")),
        opt(&["-m", "--method"], Takes::Text, Ours::Option("--method")),
        opt(&["-H"], Takes::Text, Ours::Option("--header")),
        opt(
            &["-t", "--timeout"],
            Takes::Duration,
            Ours::Option("--timeout"),
        ),
        opt(&["-A"], Takes::Media, Ours::Header("Accept")),
        opt(&["-T"], Takes::Media, Ours::Header("Content-Type")),
        opt(&["-d"], Takes::Body, Ours::Option("--data")),
        opt(&["-D"], Takes::File, Ours::BodyFile),
        opt(&["-a"], Takes::Credentials, Ours::Option("--user")),
        opt(&["-x", "--proxy"], Takes::Text, Ours::Option("--proxy")),
        opt(&["--host"], Takes::Text, Ours::Header("Host")),
        opt(
            &["-w", "--wait-ongoing-requests-after-deadline"],
            Takes::Nothing,
            ALWAYS,
        ),
        opt(
            &["--latency-correction"],
            Takes::Nothing,
            Ours::Nothing("response times always count from the instant at which a hit was due"),
        ),
        opt(&["--no-tui"], Takes::Nothing, Ours::Option("--lines")),
        opt(&["-j", "--json"], Takes::Nothing, Ours::Option("--json")),
        opt(&["--disable-compression"], Takes::Nothing, NEVER_COMPRESSED),
        opt(&["--disable-keepalive"], Takes::Nothing, CLOSE),
        opt(&["-r", "--redirect"], Takes::Number, Ours::Redirects),
        opt(&["--insecure"], Takes::Nothing, Ours::Option("--insecure")),
        opt(&["--cacert"], Takes::Text, Ours::Option("--ca-file")),
        opt(&["--cert"], Takes::Text, Ours::Option("--certificate")),
        opt(&["--key"], Takes::Text, Ours::Option("--key")),
        opt(&["--urls-from-file"], Takes::Nothing, Ours::UrlsFromFile),
        opt(
            &["--fps"],
            Takes::Number,
            Ours::Nothing("the dashboard is drawn four times a second"),
        ),
        opt(
            &["--stats-success-breakdown"],
            Takes::Nothing,
            Ours::Nothing("the summary shows each status"),
        ),
        opt(
            &["--disable-color", "--no-color"],
            Takes::Nothing,
            Ours::Nothing("set NO_COLOR=1"),
        ),
        opt(&["-p"], Takes::Number, Ours::Option("--streams")),
        opt(
            &["--connect-to"],
            Takes::Text,
            Ours::Instead("write --resolve NAME=IP"),
        ),
        opt(
            &["--ipv4", "--ipv6"],
            Takes::Nothing,
            Ours::Instead("write --resolve NAME=IP"),
        ),
        opt(
            &["--unix-socket"],
            Takes::Text,
            Ours::Instead("the URL is http+unix:///PATH"),
        ),
        opt(
            &["--rand-regex-url"],
            Takes::Nothing,
            Ours::Instead("write the URLs into a file: -i FILE"),
        ),
        opt(
            &["--burst-delay", "--burst-rate"],
            Takes::Text,
            Ours::Instead("write a schedule: --rate 'step(…)'"),
        ),
        opt(&["--http2"], Takes::Nothing, HTTP2),
        opt(
            &["--http-version"],
            Takes::Text,
            Ours::Instead("write --http2, or --http1.1"),
        ),
        opt(
            &["--output-format"],
            Takes::Text,
            Ours::Instead("write --json, or -o run.enc"),
        ),
        opt(
            &["--db-url"],
            Takes::Text,
            Ours::Instead("write -o run.enc, which holds every hit"),
        ),
    ],
    usual: &[
        usual(&["-n", "-z", "--hits", "--for"], &["--hits", "200"]),
        usual(&["-c", "--connections"], &["--connections", "50"]),
        usual(&["-r", "--location"], &["--location"]),
    ],
};

const AB: Tool = Tool {
    name: "ab",
    go: false,
    word: Some("ab"),
    no_url: false,
    shares: &[],
    options: &[
        opt(&["-n"], Takes::Number, Ours::Option("--hits")),
        opt(&["-c"], Takes::Number, Ours::Option("--connections")),
        opt(&["-t"], Takes::Number, Ours::Option("--for")),
        opt(&["-s"], Takes::Number, Ours::Option("--timeout")),
        opt(
            &["-k"],
            Takes::Nothing,
            Ours::Nothing("connections are kept"),
        ),
        opt(&["-p"], Takes::File, Ours::BodyFile),
        opt(&["-T"], Takes::Media, Ours::Header("Content-Type")),
        opt(&["-C"], Takes::Text, Ours::Header("Cookie")),
        opt(&["-H"], Takes::Text, Ours::Option("--header")),
        opt(&["-m"], Takes::Text, Ours::Option("--method")),
        opt(&["-i"], Takes::Nothing, Ours::Words(&["--method", "HEAD"])),
        opt(&["-A"], Takes::Credentials, Ours::Option("--user")),
        opt(&["-X"], Takes::Text, Ours::Option("--proxy")),
        opt(&["-B"], Takes::Text, Ours::Option("--source-address")),
        opt(
            &["-b", "-v"],
            Takes::Number,
            Ours::Nothing("nothing corresponds to it"),
        ),
        opt(
            &["-l"],
            Takes::Nothing,
            Ours::Nothing("responses may differ in length"),
        ),
        opt(
            &["-r"],
            Takes::Nothing,
            Ours::Nothing("errors of connections don't end a run"),
        ),
        opt(
            &["-d", "-S", "-q"],
            Takes::Nothing,
            Ours::Nothing("nothing corresponds to it"),
        ),
        opt(&["-g", "-e"], Takes::Text, RESULTS),
        opt(
            &["-u"],
            Takes::Text,
            Ours::Instead("write --method PUT -d @FILE"),
        ),
        opt(
            &["-P"],
            Takes::Credentials,
            Ours::Instead("write --proxy http://USER:PASSWORD@HOST:PORT"),
        ),
    ],
    usual: &[
        usual(&["-n", "-t", "--hits", "--for"], &["--hits", "1"]),
        usual(&["-c", "--connections"], &["--connections", "1"]),
        usual(&["-k"], &["-H", "Connection: close"]),
    ],
};

const BOMBARDIER: Tool = Tool {
    name: "bombardier",
    go: false,
    word: Some("bombardier"),
    no_url: false,
    shares: &[],
    options: &[
        opt(
            &["-c", "--connections"],
            Takes::Number,
            Ours::Option("--connections"),
        ),
        opt(&["-n", "--requests"], Takes::Number, Ours::Option("--hits")),
        opt(
            &["-d", "--duration"],
            Takes::GoDuration,
            Ours::Option("--for"),
        ),
        opt(&["-r", "--rate"], Takes::Number, Ours::Option("--rate")),
        opt(&["-m", "--method"], Takes::Text, Ours::Option("--method")),
        opt(&["-H", "--header"], Takes::Text, Ours::Option("--header")),
        opt(
            &["-t", "--timeout"],
            Takes::GoDuration,
            Ours::Option("--timeout"),
        ),
        opt(&["-b", "--body"], Takes::Text, Ours::Option("--data")),
        opt(&["-f", "--body-file"], Takes::File, Ours::BodyFile),
        opt(
            &["-k", "--insecure"],
            Takes::Nothing,
            Ours::Option("--insecure"),
        ),
        opt(&["-l", "--latencies"], Takes::Nothing, ALWAYS),
        opt(
            &["-s", "--stream"],
            Takes::Nothing,
            Ours::Nothing("bodies are never held in memory"),
        ),
        opt(
            &["--fasthttp", "--http1"],
            Takes::Nothing,
            Ours::Nothing("it is the default"),
        ),
        opt(&["-a", "--disableKeepAlives"], Takes::Nothing, CLOSE),
        opt(&["--http2"], Takes::Nothing, HTTP2),
        opt(&["-o", "--format"], Takes::Text, RESULTS),
    ],
    usual: &[
        usual(&["-n", "-d", "--hits", "--for"], &["--for", "10s"]),
        usual(&["-c", "--connections"], &["--connections", "125"]),
    ],
};

const VEGETA: Tool = Tool {
    name: "vegeta",
    go: true,
    word: Some("attack"),
    no_url: true,
    shares: &[],
    options: &[
        opt(&["-rate"], Takes::Text, Ours::Option("--rate")),
        opt(&["-duration"], Takes::GoDuration, Ours::Option("--for")),
        opt(&["-targets"], Takes::Text, Ours::Targets),
        opt(&["-body"], Takes::File, Ours::BodyFile),
        opt(&["-header"], Takes::Text, Ours::Option("--header")),
        opt(&["-name"], Takes::Text, Ours::Option("--label")),
        opt(&["-output"], Takes::Text, Ours::Option("--output")),
        opt(&["-timeout"], Takes::GoDuration, Ours::Option("--timeout")),
        opt(
            &["-max-workers", "-connections", "-max-connections"],
            Takes::Number,
            Ours::Option("--connections"),
        ),
        opt(
            &["-workers"],
            Takes::Number,
            Ours::Nothing("connections are made as they are needed"),
        ),
        opt(&["-insecure"], Takes::Nothing, Ours::Option("--insecure")),
        opt(&["-root-certs"], Takes::Text, Ours::Option("--ca-file")),
        opt(&["-cert"], Takes::Text, Ours::Option("--certificate")),
        opt(&["-key"], Takes::Text, Ours::Option("--key")),
        opt(&["-laddr"], Takes::Text, Ours::Option("--source-address")),
        opt(&["-redirects"], Takes::Number, Ours::Redirects),
        opt(
            &["-lazy"],
            Takes::Nothing,
            Ours::Nothing("a file is always read piece by piece"),
        ),
        opt(
            &["-format"],
            Takes::Text,
            Ours::Nothing("encarno reads both of vegeta's formats"),
        ),
        opt(
            &["-session-tickets"],
            Takes::Nothing,
            Ours::Nothing("TLS sessions are resumed"),
        ),
        opt(
            &[
                "-http2=false",
                "-chunked=false",
                "-keepalive",
                "-keepalive=true",
            ],
            Takes::Nothing,
            Ours::Nothing("it is the default"),
        ),
        opt(&["-keepalive=false"], Takes::Nothing, CLOSE),
        opt(
            &["-max-body"],
            Takes::Text,
            Ours::Nothing("bodies are never held in memory"),
        ),
        opt(&["-http2", "-h2c"], Takes::Nothing, HTTP2),
        opt(
            &["-unix-socket"],
            Takes::Text,
            Ours::Instead("the URL is http+unix:///PATH"),
        ),
        opt(
            &["-resolvers"],
            Takes::Text,
            Ours::Instead("write --resolve NAME=IP"),
        ),
    ],
    usual: &[
        usual(
            &["-targets", "--input"],
            &["--input", "-", "--spool", "--format", "vegeta"],
        ),
        usual(&["-rate", "--rate"], &["--rate", "50/s"]),
        usual(&["-redirects", "--location"], &["--location"]),
    ],
};

/// Only options, because k6 runs a script.
const K6: Tool = Tool {
    name: "k6",
    go: false,
    word: None,
    no_url: false,
    shares: &[],
    options: &[
        opt(
            &["-u", "--vus"],
            Takes::Number,
            Ours::Option("--connections"),
        ),
        opt(
            &["-d", "--duration"],
            Takes::GoDuration,
            Ours::Option("--for"),
        ),
        opt(
            &["-i", "--iterations"],
            Takes::Number,
            Ours::Option("--hits"),
        ),
        opt(&["--rps"], Takes::Number, Ours::Option("--rate")),
        opt(&["-q", "--quiet"], Takes::Nothing, Ours::Option("--quiet")),
        opt(
            &["--summary-export"],
            Takes::Text,
            Ours::Option("--summary"),
        ),
        opt(
            &["--insecure-skip-tls-verify"],
            Takes::Nothing,
            Ours::Option("--insecure"),
        ),
        opt(
            &["-s", "--stage"],
            Takes::Text,
            Ours::Instead("write --workers 'line(1,100,30s) const(100,1m)'"),
        ),
        opt(
            &["-e", "--env"],
            Takes::Text,
            Ours::Instead("k6 runs scripts; encarno reads no variables"),
        ),
        opt(
            &["-o", "--out"],
            Takes::Text,
            Ours::Instead("write -o run.enc"),
        ),
    ],
    usual: &[usual(&["-u", "--connections"], &["--connections", "1"])],
};

/// The command that browsers copy for a request. Our own options say how often to send
/// it: `-n 100`, `-z 10s`.
const CURL: Tool = Tool {
    name: "curl",
    go: false,
    word: Some("curl"),
    no_url: false,
    shares: &["hits", "for", "connections", "rate"],
    options: &[
        opt(&["-X", "--request"], Takes::Text, Ours::Option("--method")),
        opt(&["-H", "--header"], Takes::Text, Ours::Option("--header")),
        opt(
            &[
                "-d",
                "--data",
                "--data-raw",
                "--data-ascii",
                "--data-binary",
            ],
            Takes::Text,
            Ours::Option("--data"),
        ),
        opt(&["--json"], Takes::Text, Ours::Json),
        opt(
            &["-u", "--user"],
            Takes::Credentials,
            Ours::Option("--user"),
        ),
        opt(
            &["-A", "--user-agent"],
            Takes::Agent,
            Ours::Header("User-Agent"),
        ),
        opt(&["-e", "--referer"], Takes::Text, Ours::Header("Referer")),
        opt(&["-b", "--cookie"], Takes::Text, Ours::Header("Cookie")),
        opt(
            &["-I", "--head"],
            Takes::Nothing,
            Ours::Words(&["--method", "HEAD"]),
        ),
        opt(
            &["-k", "--insecure"],
            Takes::Nothing,
            Ours::Option("--insecure"),
        ),
        opt(
            &["-L", "--location"],
            Takes::Nothing,
            Ours::Option("--location"),
        ),
        opt(&["-x", "--proxy"], Takes::Text, Ours::Option("--proxy")),
        opt(
            &["-m", "--max-time"],
            Takes::Number,
            Ours::Option("--timeout"),
        ),
        opt(
            &["--connect-timeout"],
            Takes::Number,
            Ours::Nothing("--timeout is that of a whole hit"),
        ),
        opt(&["--cacert"], Takes::Text, Ours::Option("--ca-file")),
        opt(&["--cert"], Takes::Text, Ours::Option("--certificate")),
        opt(&["--key"], Takes::Text, Ours::Option("--key")),
        opt(
            &["--compressed"],
            Takes::Nothing,
            Ours::Words(&["-H", "Accept-Encoding: deflate, gzip"]),
        ),
        opt(
            &[
                "-s",
                "--silent",
                "-S",
                "--show-error",
                "-f",
                "--fail",
                "-v",
                "--verbose",
                "-i",
                "--include",
                "-N",
            ],
            Takes::Nothing,
            Ours::Nothing("responses aren't shown"),
        ),
        opt(
            &["--http1.1"],
            Takes::Nothing,
            Ours::Nothing("it is the default"),
        ),
        opt(&["--http2"], Takes::Nothing, HTTP2),
        opt(
            &["-w", "--write-out"],
            Takes::Text,
            Ours::Instead("responses aren't written: see --trace FILE"),
        ),
        opt(
            &["-F", "--form", "-T", "--upload-file"],
            Takes::Text,
            Ours::Instead("write -d @FILE, and its Content-Type"),
        ),
        opt(
            &["-G", "--get"],
            Takes::Nothing,
            Ours::Instead("write the query into the URL"),
        ),
        opt(
            &["--data-urlencode"],
            Takes::Text,
            Ours::Instead("write -d with the text as it is sent"),
        ),
        opt(
            &["--unix-socket"],
            Takes::Text,
            Ours::Instead("the URL is http+unix:///PATH"),
        ),
    ],
    usual: &[],
};
