//! The page: the parts without the script, and the script with its data.

mod capacity;
mod file;
mod parts;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::demand::Judged;
use crate::{Run, charts, data};
pub use file::write_file;
use parts::escaped;
use parts::{
    codes, differences, each_run, each_run_with, errors, figures_table, head, key_figures,
    labels_table, lists, losses, metrics_table, verdict,
};

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = concat!(
    include_str!("../assets/data.js"),
    include_str!("../assets/charts.js"),
    include_str!("../assets/live.js"),
    include_str!("../assets/page.js")
);

/// The place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In a file.
    File,
    /// On a server, while its run goes on.
    Live {
        /// Whether the page can steer the run.
        control: bool,
        /// Whether the run has ended.
        ended: bool,
    },
}

impl Mode {
    fn is_running(&self) -> bool {
        matches!(self, Self::Live { ended: false, .. })
    }
}

/// Writes the report of these runs, the first of which is the base of comparisons.
/// `judged` are the results of demands.
pub fn write(runs: &[Run], judged: &[Judged], out: &mut dyn Write) -> io::Result<()> {
    write_as(&Mode::File, runs, judged, out)
}

pub(crate) fn write_as(
    mode: &Mode,
    runs: &[Run],
    judged: &[Judged],
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(run) = runs.first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no run to report",
        ));
    };
    let data = STANDARD.encode(data::compressed(runs)?);
    let (connect, attributes) = match mode {
        Mode::File => ("", ""),
        Mode::Live { ended: true, .. } => (" connect-src 'self';", " data-live=\"ended\""),
        Mode::Live { control: true, .. } => (
            " connect-src 'self';",
            " data-live=\"on\" data-control=\"1\"",
        ),
        Mode::Live { .. } => (" connect-src 'self';", " data-live=\"on\""),
    };
    let policy = format!(
        "default-src 'none';{connect} script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"{attributes}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} - encarno report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        escaped(&run.name)
    )?;
    head(runs, out)?;
    writeln!(out, "<main>")?;
    verdict(mode, runs, judged, out)?;
    if !mode.is_running() {
        losses(runs, out)?;
    }
    each_run(runs, out, key_figures)?;
    if runs.len() > 1 {
        differences(runs, out)?;
    }
    for (number, run) in runs.iter().enumerate() {
        if let Some(capacity) = &run.capacity {
            let (id, title) = (format!("capacity-{number}"), "Capacity");
            section(out, &id, title, |out| capacity.write(out))?;
        }
    }
    writeln!(
        out,
        "<section aria-labelledby=\"by-time\"><h2 id=\"by-time\">By time</h2><div id=\"tools\" hidden></div><div id=\"charts\">"
    )?;
    each_run(runs, out, |run, _, out| {
        writeln!(
            out,
            "<figure><figcaption>Hits and failures per second</figcaption>{}</figure>\
             <figure><figcaption>Response time: p50, p90 and p99</figcaption>{}</figure>",
            charts::rates(run),
            charts::latencies(run)
        )
    })?;
    writeln!(out, "</div></section>")?;
    section(out, "spread", "Distribution", |out| {
        writeln!(out, "<div id=\"quantiles\"></div>")?;
        each_run(runs, out, figures_table)
    })?;
    section(out, "labels", "Labels", |out| {
        writeln!(out, "<div id=\"label-tools\"></div>")?;
        each_run(runs, out, labels_table)
    })?;
    section(out, "codes", "Answers", |out| {
        each_run(runs, out, |run, _, out| codes(run, out))
    })?;
    let failed = |run: &Run| !run.whole.statistics.total().errors.is_empty();
    if runs.iter().any(failed) {
        section(out, "errors", "Errors", |out| {
            each_run_with(runs, failed, out, |run, _, out| errors(run, out))
        })?;
    }
    let measured = |run: &Run| !run.metrics.is_empty();
    if runs.iter().any(measured) {
        section(out, "metrics", "Metrics", |out| {
            writeln!(
                out,
                "<div id=\"metric-tools\"></div><div id=\"metric-chart\"></div>"
            )?;
            each_run_with(runs, measured, out, |run, _, out| metrics_table(run, out))
        })?;
    }
    lists(runs, out)?;
    write!(
        out,
        "</main>\n<footer>Made by encarno {}. {}</footer>\n\
         <script type=\"application/octet-stream\" id=\"data\">{data}</script>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        match mode {
            Mode::File => "This file contains all of its data, and loads nothing.",
            Mode::Live { .. } => "This page loads new data as long as its run goes on.",
        }
    )
}

fn section(
    out: &mut dyn Write,
    id: &str,
    title: &str,
    inside: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    writeln!(
        out,
        "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>"
    )?;
    inside(out)?;
    writeln!(out, "</section>")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
