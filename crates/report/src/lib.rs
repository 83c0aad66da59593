//! The report of runs: one page of HTML with all data, which loads nothing else.
//!
//! The modules in the order of the data's path:
//!
//! - run: the contents of a result file, by time and by label
//! - [`capacity`]: the result of a capacity measurement
//! - [`compare`]: quantiles with their intervals, of a run and between runs
//! - [`demand`]: demands on runs (`--fail-if`)
//! - data: the data for the page's script, compressed
//! - charts: charts for readers without the script
//! - page: the page
//! - [`served`]: a small HTTP server, for this machine or for those who have a token
//! - [`live`]: the page while a run goes on

mod charts;
mod data;
mod page;
mod run;

pub mod capacity;
pub mod compare;
pub mod demand;
pub mod live;
pub mod served;

pub use page::{write, write_file};
pub use run::{Reading, Run, Whole};
