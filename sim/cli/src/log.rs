//! `trial log`.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Result;
use bytes::Bytes;
use trial_storage::dump::{DumpError, DumpOptions};

use crate::args::Dump;
use crate::out::complain;

/// Prints files of a log, all that can be; true if nothing is wrong in them.
pub fn dump(arguments: &Dump) -> Result<bool> {
    let mut dump = trial_storage::dump::Dump::new(DumpOptions {
        print_data: arguments.print_data_log,
        deep: arguments.deep_iteration,
        skip_record_metadata: arguments.skip_record_metadata,
        verify_index_only: arguments.verify_index_only,
    });
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut well, mut not_dumped) = (true, Vec::new());
    for file in &arguments.files {
        let dumped = dump.file(file, &mut load, &mut out);
        let flushed = out.flush().map_err(DumpError::Io);
        match dumped.and(flushed) {
            Ok(()) => {}
            // Whoever read the text has seen enough.
            Err(DumpError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(true),
            Err(damaged @ DumpError::Invalid { .. }) => {
                well = false;
                complain!("{damaged}");
            }
            Err(error) => not_dumped.push(error),
        }
    }
    for (heading, lines) in dump.problems() {
        well = false;
        complain!("{heading}");
        lines.iter().for_each(|line| complain!("{line}"));
    }
    let Some(last) = not_dumped.pop() else { return Ok(well) };
    not_dumped.iter().for_each(|error| complain!("error: {error}"));
    Err(last.into())
}

fn load(path: &str) -> io::Result<Bytes> {
    let read = std::fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")));
    read.map(Bytes::from)
}
