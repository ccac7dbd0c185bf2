//! `<offset>.snapshot`: the state of all producers before an offset, in Kafka's format (ProducerSnapshot, version 1).

use bytes::{BufMut, Bytes, BytesMut};
use trial_node::{Offset, ProducerEpoch, ProducerId};
use trial_wire::primitive::{ReadError, Reader};

use crate::producer_state::{BatchMetadata, ProducerStateEntry};

const VERSION: i16 = 1;
/// The CRC-32C stands after the version and covers everything after itself.
const CRC_AT: usize = 2;
const COVERED_FROM: usize = 6;
const ENTRY_LEN: usize = 46;

pub(crate) fn encode<'a>(
    entries: impl ExactSizeIterator<Item = (&'a ProducerId, &'a ProducerStateEntry)>,
) -> Bytes {
    let mut out = BytesMut::with_capacity(COVERED_FROM + 4 + entries.len() * ENTRY_LEN);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(i32::try_from(entries.len()).expect("fewer than 2^31 producers"));
    for (producer_id, entry) in entries {
        let last = entry.last_batch();
        out.put_i64(producer_id.0);
        out.put_i16(entry.epoch.0);
        out.put_i32(last.map_or(-1, |batch| batch.last_sequence));
        out.put_i64(last.map_or(-1, |batch| batch.last_offset.0));
        out.put_i32(last.map_or(0, |batch| batch.offset_delta));
        out.put_i64(entry.last_timestamp);
        out.put_i32(entry.coordinator_epoch);
        out.put_i64(entry.current_txn_first_offset.map_or(-1, |offset| offset.0));
    }
    let crc = crc32c::crc32c(&out[COVERED_FROM..]);
    out[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// Reads a snapshot. An error says why it cannot be used.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerStateEntry)>, String> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map_err(describe)?;
    if version != VERSION {
        return Err(format!("version {version}, expected {VERSION}"));
    }
    let stored = reader.u32().map_err(describe)?;
    let computed = crc32c::crc32c(bytes.get(COVERED_FROM..).unwrap_or_default());
    if stored != computed {
        return Err(format!("CRC-32C {stored:#010x}, its content has {computed:#010x}"));
    }
    let count = reader.i32().map_err(describe)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(read_entry(&mut reader).map_err(describe)?);
    }
    reader.finish().map_err(describe)?;
    Ok(entries)
}

fn describe(error: ReadError) -> String {
    error.to_string()
}

fn read_entry(reader: &mut Reader<'_>) -> Result<(ProducerId, ProducerStateEntry), ReadError> {
    let producer_id = ProducerId(reader.i64()?);
    let mut entry = ProducerStateEntry::new(ProducerEpoch(reader.i16()?));
    let last_sequence = reader.i32()?;
    let last_offset = Offset(reader.i64()?);
    let offset_delta = reader.i32()?;
    let timestamp = reader.i64()?;
    entry.coordinator_epoch = reader.i32()?;
    entry.current_txn_first_offset = Some(Offset(reader.i64()?)).filter(|offset| offset.0 >= 0);
    entry.last_timestamp = timestamp;
    if last_offset.0 >= 0 {
        entry.add_batch(BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
    }
    Ok((producer_id, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producers() -> Vec<(ProducerId, ProducerStateEntry)> {
        let mut wrote = ProducerStateEntry::new(ProducerEpoch(3));
        wrote.add_batch(BatchMetadata {
            last_sequence: 9,
            last_offset: Offset(70),
            offset_delta: 4,
            timestamp: 1000,
        });
        wrote.last_timestamp = 1000;
        wrote.coordinator_epoch = 2;
        wrote.current_txn_first_offset = Some(Offset(66));
        vec![(ProducerId(5), wrote), (ProducerId(6), ProducerStateEntry::new(ProducerEpoch(0)))]
    }

    fn encoded() -> Bytes {
        let producers = producers();
        encode(producers.iter().map(|(id, entry)| (id, entry)))
    }

    #[test]
    fn the_file_has_kafkas_format() {
        let bytes = encoded();
        assert_eq!(bytes.len(), 2 + 4 + 4 + 2 * ENTRY_LEN);
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[6..10], [0, 0, 0, 2]);
        let first = [
            &5i64.to_be_bytes()[..],
            &3i16.to_be_bytes(),
            &9i32.to_be_bytes(),
            &70i64.to_be_bytes(),
            &4i32.to_be_bytes(),
            &1000i64.to_be_bytes(),
            &2i32.to_be_bytes(),
            &66i64.to_be_bytes(),
        ];
        assert_eq!(bytes[10..10 + ENTRY_LEN], first.concat());
        assert_eq!(decode(&bytes), Ok(producers()));
    }

    #[test]
    fn damage_is_noticed() {
        let good = encoded();
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "cut to {len} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at} changed");
        }
    }
}
