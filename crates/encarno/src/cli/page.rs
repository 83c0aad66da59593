//! The address of `--live`.

use encarno_report::live;
use encarno_report::served::{Address, Bound};

use super::{Failure, complain};

/// Takes the address, for a page.
pub(super) fn at(address: &Address) -> Result<Bound, Failure> {
    Bound::to(address, live::PATH)
        .map_err(|error| Failure::setup(format!("--live can't listen on {address}: {error}")))
}

/// The same for the page of a run that is about to begin, and says where it is shown.
pub(super) fn of_run(address: &Address) -> Result<Bound, Failure> {
    let bound = at(address)?;
    complain(&format!("the run is shown at {}", bound.url()));
    Ok(bound)
}
