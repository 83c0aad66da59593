//! The report of runs: one page of HTML, with all data and no request to anywhere.
//!
//! The modules in the order of the data's path:
//!
//! - run: what a result file says, by time and by label
//! - [`capacity`]: what a measurement of a capacity came to
//! - [`compare`]: quantiles with their intervals, of a run and between runs
//! - [`demand`]: what is demanded of runs (`--fail-if`)
//! - data: what the page's script computes with, compressed
//! - charts: drawings for readers without the script
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
