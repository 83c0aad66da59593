//! What is known of a tool: its options, and what they are here.

/// A tool whose command line can be read as one of `encarno hit`.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Long options have one dash, as in Go's programs: `-rate=50`.
    pub(super) go: bool,
    /// It is named on our command line by this word; none if it is only known by its options.
    pub(super) word: Option<&'static str>,
    /// URLs come from a file, and not from the command line.
    pub(super) no_url: bool,
    /// Long names of our options that its users have to add: they don't speak against it.
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

/// What it takes. A value that can't be one means that the line is of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    Number,
    /// A bare number is seconds.
    Duration,
    /// As Go reads it: with a unit.
    GoDuration,
    /// With a unit, in any case; a bare number is minutes.
    Minutes,
    /// `TYPE/SUBTYPE`.
    Media,
    /// A client's name: no `TYPE/SUBTYPE`, and no `USER:PASSWORD`.
    Agent,
    /// `SCHEME://…`.
    Url,
    /// `USER:PASSWORD`.
    Credentials,
    /// A file that is there.
    File,
    /// Whoever writes a duration here means another tool.
    Body,
}

/// What is written instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// This option, with the same value.
    Option(&'static str),
    /// A header with the value.
    Header(&'static str),
    /// The value is a file that holds the body.
    BodyFile,
    /// These words, without a value.
    Words(&'static [&'static str]),
    /// Nothing, and why.
    Nothing(&'static str),
    /// A rate of each worker.
    RateOfWorker,
    /// A number of hits of each worker.
    HitsOfWorker,
    /// Workers that are there at the end of a rise.
    Users,
    /// So many more workers a second.
    SpawnRate,
    /// The URL.
    Url,
    /// A body of JSON, and the headers that say so.
    Json,
    /// Redirects that are followed: none, or as many as ours are.
    Redirects,
    /// The URL's place is taken by the name of a file of URLs.
    UrlsFromFile,
    /// A file of targets.
    Targets,
    /// It can't be had so: what to do.
    Instead(&'static str),
}

/// What a tool does if nothing else is said.
#[derive(Debug)]
pub(super) struct Usual {
    /// Names of the tool's options, and long names of ours.
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
