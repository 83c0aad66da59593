//! Records, the hits that they become, and the files with the results.
//!
//! The modules in the order in which a hit meets them:
//!
//! - strings: labels, addresses and error texts, each identified by a number
//! - record: what is sent; [`script`]: values, checks and pauses of a record
//! - [`template`], variables: values that are filled into a record
//! - hit, [`code`]: the result of a hit
//! - expected: which statuses count as success
//! - [`histogram`], [`sums`]: distributions, and sums of hits by second
//! - [`exemplar`]: hits that took part in a trace
//! - [`series`]: samples of metrics that are no hits
//! - [`statistics`]: what became of hits, by label
//! - [`seconds`]: a run second by second
//! - [`exact`]: exact quantiles of the hits in files
//! - [`condition`]: what a run is judged by
//! - [`notes`]: what a run says of itself
//! - [`frame`]: framed blocks with checksums
//! - [`results`]: the native result file
//! - [`formats`]: hits to files, in this format and others
//! - [`merge`]: several native result files to one
//! - [`samples`]: a result file of samples and requests, as k6 hands them over
//! - [`thresholds`]: what a k6 script demands of its metrics
//! - [`files`]: how files are opened
//! - [`mask`]: requests without what may be a secret
//! - duration: how durations are written

mod duration;
mod expected;
mod hit;
mod record;
mod strings;
mod variables;

pub mod code;
pub mod condition;
pub mod exact;
pub mod exemplar;
pub mod files;
pub mod formats;
pub mod frame;
pub mod histogram;
pub mod mask;
pub mod merge;
pub mod notes;
pub mod results;
pub mod samples;
pub mod script;
pub mod seconds;
pub mod series;
pub mod statistics;
pub mod sums;
pub mod template;
pub mod thresholds;
pub mod varint;

pub use duration::{decimal, parse_duration, utc};
pub use expected::Expected;
pub use hit::Hit;
pub use record::{Payload, Record};
pub use strings::{StringId, Strings, Texts};
pub use variables::{VariableId, Variables};
