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
    codes, differences, errors, escaped, figures_table, head, key_figures, labels_table, lists,
    losses, metrics_table, verdict,
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
    key_figures(run, out)?;
    if runs.len() > 1 {
        differences(runs, out)?;
    }
    writeln!(
        out,
        "<section aria-labelledby=\"by-time\"><h2 id=\"by-time\">By time</h2>\
         <div id=\"tools\" hidden></div>\
         <div id=\"charts\"><figure><figcaption>Hits and failures per second</figcaption>{}</figure>\
         <figure><figcaption>Response time: p50, p90 and p99</figcaption>{}</figure></div></section>",
        charts::rates(run),
        charts::latencies(run)
    )?;
    writeln!(
        out,
        "<section aria-labelledby=\"spread\"><h2 id=\"spread\">Distribution</h2>"
    )?;
    writeln!(out, "<div id=\"quantiles\"></div>")?;
    figures_table(run, out)?;
    writeln!(out, "</section>")?;
    labels_table(run, out)?;
    codes(run, out)?;
    errors(run, out)?;
    metrics_table(run, out)?;
    lists(runs, out)?;
    write!(
        out,
        "</main>\n<footer>Made by encarno {}. This file holds all of its data and asks nobody for more.</footer>\n\
         <script type=\"application/octet-stream\" id=\"data\">{data}</script>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
