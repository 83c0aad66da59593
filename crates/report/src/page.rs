//! The page: what can be read without the script, and the script with its data.

mod file;
mod parts;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::demand::Judged;
use crate::{Run, charts, data};
pub use file::write_file;
use parts::{
    codes, differences, each_run, errors, escaped, figures_table, head, key_figures, labels_table,
    lists, losses, metrics_table, verdict,
};

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = concat!(
    include_str!("../assets/data.js"),
    include_str!("../assets/charts.js"),
    include_str!("../assets/page.js")
);

/// Writes the report of these runs: the first is what the others are compared with,
/// `judged` is what became of demands.
pub fn write(runs: &[Run], judged: &[Judged], out: &mut dyn Write) -> io::Result<()> {
    let Some(run) = runs.first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no run to report",
        ));
    };
    let data = STANDARD.encode(data::compressed(runs)?);
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} - encarno report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        escaped(&run.name)
    )?;
    head(runs, out)?;
    writeln!(out, "<main>")?;
    verdict(runs, judged, out)?;
    losses(runs, out)?;
    each_run(runs, out, key_figures)?;
    if runs.len() > 1 {
        differences(runs, out)?;
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
            each_run(runs, out, |run, _, out| errors(run, out))
        })?;
    }
    if runs.iter().any(|run| !run.metrics.is_empty()) {
        section(out, "metrics", "Metrics", |out| {
            each_run(runs, out, |run, _, out| metrics_table(run, out))
        })?;
    }
    lists(runs, out)?;
    write!(
        out,
        "</main>\n<footer>Made by encarno {}. This file holds all of its data and asks nobody for more.</footer>\n\
         <script type=\"application/octet-stream\" id=\"data\">{data}</script>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
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
