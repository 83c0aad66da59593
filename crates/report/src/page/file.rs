//! Writes the page to a file.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use encarno_record::files::{self, Contents};

use crate::Run;
use crate::demand::Judged;

/// The mode of new files, before the umask.
const MODE: u32 = 0o666;

/// Writes the report to a file. An existing page stays intact until the new one is
/// complete.
pub fn write_file(runs: &[Run], judged: &[Judged], path: &Path) -> io::Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|known| !known.is_file());
    if files::is_stdout(path) || is_special {
        let mut out = BufWriter::new(files::create(path, Contents::Results)?);
        super::write(runs, judged, &mut out)?;
        return out.flush();
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut page = tempfile::Builder::new();
    page.prefix(".encarno-report")
        .permissions(fs::Permissions::from_mode(MODE));
    let mut out = BufWriter::new(page.tempfile_in(folder)?);
    super::write(runs, judged, &mut out)?;
    let page = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    page.persist(path).map_err(|error| error.error)?;
    Ok(())
}
