//! The description of a tool: its options, and ours for them.

/// A tool whose command line can be read as one of `encarno hit`.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Whether long options have one dash, as in Go's programs: `-rate=50`.
    pub(super) go: bool,
    /// The word that names the tool on our command line; `None` if only its options show
    /// it.
    pub(super) word: Option<&'static str>,
    /// Whether URLs come from a file, and not from the command line.
    pub(super) no_url: bool,
    /// Long names of our options that users of the tool have to add. They don't count as
    /// a sign against the tool.
    pub(super) shares: &'static [&'static str],
    pub(super) options: &'static [Opt],
    pub(super) usual: &'static [Usual],
}

/// An option.
#[derive(Debug)]
pub(super) struct Opt {
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) ours: Ours,
}

/// The value of an option. A value that doesn't fit means that the line is for another
/// tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    Number,
    /// A duration; a bare number is seconds.
    Duration,
    /// A duration as Go reads it, with a unit.
    GoDuration,
    /// A duration with a unit in upper or lower case; a bare number is minutes.
    Minutes,
    /// `TYPE/SUBTYPE`.
    Media,
    /// A client's name: neither `TYPE/SUBTYPE` nor `USER:PASSWORD`.
    Agent,
    /// `SCHEME://…`.
    Url,
    /// `USER:PASSWORD`.
    Credentials,
    /// An existing file.
    File,
    /// A body. A duration here means that the line is for another tool.
    Body,
}

/// What we use instead of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// This option, with the same value.
    Option(&'static str),
    /// A header with the value.
    Header(&'static str),
    /// The body, from the file that the value names.
    BodyFile,
    /// These words, without a value.
    Words(&'static [&'static str]),
    /// Nothing, and why.
    Nothing(&'static str),
    /// The rate of each worker.
    RateOfWorker,
    /// The number of hits of each worker.
    HitsOfWorker,
    /// The number of workers at the end of a rise.
    Users,
    /// The number of workers that are added each second.
    SpawnRate,
    /// The URL.
    Url,
    /// A body of JSON, with the headers that announce it.
    Json,
    /// The number of redirects to follow: none, or our default number.
    Redirects,
    /// Text in the place of the URL, which is the name of a file of URLs.
    UrlsFromFile,
    /// A file of targets.
    Targets,
    /// Nothing; this text says what to do instead.
    Instead(&'static str),
}

/// What a tool does by default.
#[derive(Debug)]
pub(super) struct Usual {
    /// Names of the tool's options, and long names of ours, which replace the default.
    pub(super) unless: &'static [&'static str],
    pub(super) words: &'static [&'static str],
}

pub(super) const fn opt(names: &'static [&'static str], takes: Takes, ours: Ours) -> Opt {
    Opt { names, takes, ours }
}

pub(super) const fn usual(
    unless: &'static [&'static str],
    words: &'static [&'static str],
) -> Usual {
    Usual { unless, words }
}

pub(super) const CLOSE: Ours = Ours::Words(&["-H", "Connection: close"]);
pub(super) const ALWAYS: Ours = Ours::Nothing("encarno always does that");
pub(super) const NEVER_COMPRESSED: Ours =
    Ours::Nothing("encarno doesn't ask for compressed responses");
pub(super) const HTTP2: Ours = Ours::Option("--http2");
pub(super) const RESULTS: Ours =
    Ours::Instead("write -o run.enc, and then encarno convert run.enc -o run.csv");
