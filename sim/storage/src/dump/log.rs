//! Segments, and snapshots of the quorum's state, which are batches like them.

use std::io::Write;

use bytes::Bytes;
use trial_wire::batch::{HEADER_LEN, RECORDS_MAX};
use trial_wire::{Batch, ControlError, ControlRecord, Header, RecordRef};

use super::text::{self, Optional};
use super::{Dump, DumpError, DumpOptions, Dumped};

/// The first of the batches in `content` from `position` on that is there as a whole; `None` if there is none, and an error in
/// words if what is there is not a batch.
pub(super) fn batch_at(content: &Bytes, position: usize) -> Option<Result<Batch, String>> {
    let rest = content.get(position..)?;
    if rest.len() < HEADER_LEN {
        return None;
    }
    match Batch::peek(rest) {
        Ok(header) if header.size > rest.len() => None,
        Ok(header) => {
            let bytes = content.slice(position..position + header.size);
            Some(Batch::parse_trusted(bytes).map_err(|error| error.to_string()))
        }
        Err(error) => Some(Err(error.to_string())),
    }
}

fn timestamp_type(header: &Header) -> &'static str {
    if header.is_log_append_time() { "LogAppendTime" } else { "CreateTime" }
}

impl Dump {
    pub(super) fn log(&mut self, file: &Dumped<'_>, out: &mut dyn Write) -> Result<(), DumpError> {
        match file.name.strip_suffix(".checkpoint") {
            None => writeln!(out, "Log starting offset: {}", file.base_offset()?)?,
            Some("bootstrap") => writeln!(out, "KRaft bootstrap snapshot")?,
            Some(stem) => {
                let id = stem.split_once('-').and_then(|(offset, epoch)| {
                    Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?))
                });
                let (offset, epoch) =
                    id.ok_or_else(|| file.misnamed("the name is not <offset>-<epoch>.checkpoint"))?;
                writeln!(out, "Snapshot end offset: {offset}, epoch: {epoch}")?;
            }
        }
        let (mut position, mut well) = (0, true);
        let mut last_offset = None;
        while let Some(batch) = batch_at(&file.content, position) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(what) => {
                    self.problem(format!("Not a batch in {}", file.path), format!("  {what}"));
                    well = false;
                    break;
                }
            };
            let valid = Batch::check(batch.bytes(), 0).is_ok();
            batch_line(&batch, position, valid, out)?;
            if !valid {
                let line = format!("  position {position}, base offset {}", batch.header().base_offset);
                self.problem(format!("Batches that are not what their checksums say in {}", file.path), line);
            }
            if self.options.deep || self.options.print_data {
                self.records(file, &batch, &mut last_offset, out)?;
            }
            position += batch.header().size;
        }
        let trailing = file.content.len() - position;
        if trailing > 0 {
            writeln!(out, "Found {trailing} invalid bytes at the end of {}", file.name)?;
            if well {
                let line = format!("  {trailing} bytes from position {position} on");
                self.problem(format!("No whole batch at the end of {}", file.path), line);
            }
        }
        Ok(())
    }

    fn records(
        &mut self,
        file: &Dumped<'_>,
        batch: &Batch,
        last_offset: &mut Option<i64>,
        out: &mut dyn Write,
    ) -> Result<(), DumpError> {
        let records = batch.open(RECORDS_MAX).map_err(|error| file.invalid(error))?;
        for record in records.iter() {
            let record = record.map_err(|error| file.invalid(error))?;
            let before = last_offset.replace(record.offset);
            if let Some(before) = before.filter(|before| before + 1 != record.offset) {
                let line = format!("  {before} is followed by {}", record.offset);
                self.problem(format!("Non-consecutive offsets in {}", file.path), line);
            }
            record_line(batch.header(), &record, self.options, out)?;
        }
        Ok(())
    }
}

fn batch_line(batch: &Batch, position: usize, valid: bool, out: &mut dyn Write) -> Result<(), DumpError> {
    let header = batch.header();
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {} \
         position: {position} {}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {valid}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        Optional(header.delete_horizon_ms()),
        timestamp_type(header),
        header.max_timestamp,
        header.size,
        header.compression().name(),
        header.crc,
    )?;
    Ok(())
}

fn record_line(
    header: &Header,
    record: &RecordRef<'_>,
    options: DumpOptions,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let shown = options.print_data && !header.is_control();
    // As the tool does it: without its metadata, a record without a key does not begin with the bar.
    if !options.skip_record_metadata || (shown && record.key.is_some()) {
        write!(out, "|")?;
    }
    if !options.skip_record_metadata {
        let names: Vec<_> = record.headers.map(|(name, _)| String::from_utf8_lossy(name)).collect();
        write!(
            out,
            " offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
            record.offset,
            timestamp_type(header),
            record.timestamp,
            size(record.key),
            size(record.value),
            record.sequence,
            names.join(",")
        )?;
        if header.is_control() {
            match ControlRecord::decode(record.key.unwrap_or_default(), record.value) {
                Ok(control) => write!(out, " {}", text::control(&control))?,
                Err(ControlError::UnknownType(id)) => write!(out, " controlType: UNKNOWN({id})")?,
                Err(error) => write!(out, " {error}")?,
            }
        }
    }
    if shown {
        if let Some(key) = record.key {
            write!(out, " key: {}", String::from_utf8_lossy(key))?;
        }
        if let Some(value) = record.value {
            write!(out, " payload: {}", String::from_utf8_lossy(value))?;
        }
    }
    writeln!(out)?;
    Ok(())
}
