//! `trial log`.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::{Context, Result};
use bytes::Bytes;
use trial_storage::dump::{DumpError, DumpOptions};

use crate::args::Dump;

/// Prints files of a log.
pub fn dump(arguments: &Dump) -> Result<bool> {
    let mut dump = trial_storage::dump::Dump::new(DumpOptions {
        print_data: arguments.print_data_log,
        deep: arguments.deep_iteration,
        skip_record_metadata: arguments.skip_record_metadata,
        verify_index_only: arguments.verify_index_only,
    });
    let mut out = BufWriter::new(io::stdout().lock());
    let mut load = |path: &str| match std::fs::read(path) {
        Ok(content) => Ok(Bytes::from(content)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    };
    for file in &arguments.files {
        match dump.file(file, &mut load, &mut out) {
            // Whoever read the text has seen enough.
            Err(DumpError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(true),
            dumped => dumped?,
        }
    }
    out.flush().context("standard output")?;
    let mut well = true;
    for (heading, lines) in dump.problems() {
        well = false;
        eprintln!("{heading}");
        lines.iter().for_each(|line| eprintln!("{line}"));
    }
    Ok(well)
}
