//! The result of a storm, and the table.

use std::fmt::Write as _;

use crate::storms::Storm;

/// The result of a storm.
#[derive(Default)]
pub(crate) struct Row {
    /// The attacks, and their number.
    pub(crate) thrown: String,
    /// The results of the neighbours.
    pub(crate) neighbours: String,
    /// Memory in MiB: before, at most and after.
    pub(crate) memory: Option<[u64; 3]>,
    /// The checks that failed.
    pub(crate) broken: Vec<String>,
}

impl Row {
    /// Adds a failure unless the check holds.
    pub(crate) fn check(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.broken.push(otherwise.into());
        }
    }

    pub(crate) fn text(&self, storm: &Storm, markdown: bool) -> String {
        let memory = match self.memory {
            Some([before, most, after]) => format!("{before}, {most}, {after}"),
            None => String::new(),
        };
        let verdict = match self.broken.is_empty() {
            true => "held".to_owned(),
            false => format!("BROKEN: {}", self.broken.join("; ")),
        };
        if markdown {
            let cells = [
                storm.name,
                storm.about,
                &self.thrown,
                &self.neighbours,
                &memory,
                &verdict,
            ];
            let mut line = String::new();
            for cell in cells {
                let _ = write!(line, "| {} ", cell.replace('|', "\\|"));
            }
            return line + "|";
        }
        format!(
            "{:20} {}\n{:20} {}\n{:20} memory {memory} MiB\n{:20} {verdict}",
            storm.name, self.thrown, "", self.neighbours, "", ""
        )
    }
}

pub(crate) fn head(markdown: bool) -> String {
    match markdown {
        true => {
            "| storm | what is thrown | how much | neighbours | MiB before, at most, after | |\n\
                 |---|---|---|---|---|---|"
                .to_owned()
        }
        false => "storm, what was thrown, neighbours, memory before, at most and after, verdict"
            .to_owned(),
    }
}

/// A number in the form `1,234,567`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
