//! `--expect FILE`: which expectation file is read.

use std::path::Path;

use super::VerifyError;
use crate::verify::expect::{Expectations, NAME};

/// What is expected: by the file that is named, or that of the directory; nothing if there is none.
pub(super) fn load(
    named: Option<&Path>,
    none: bool,
    directory: &Path,
) -> Result<Expectations, VerifyError> {
    let shown = named.unwrap_or(Path::new(NAME));
    let file = directory.join(shown);
    if none || (named.is_none() && !file.exists()) {
        return Ok(Expectations::default());
    }
    Expectations::load(&file, shown, repository(&file, directory))
        .map_err(|fault| VerifyError::Expect(Box::new(fault)))
}

/// The directory of the repository that the file is in, else that of the command.
pub(in crate::cli) fn repository<'a>(file: &'a Path, directory: &'a Path) -> &'a Path {
    let above = file.ancestors().skip(1);
    let mut roots = above.filter(|above| above.join(".git").exists());
    roots.next().unwrap_or(directory)
}
