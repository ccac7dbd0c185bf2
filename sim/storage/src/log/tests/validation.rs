//! What a leader refuses of records, and rewrites in them.

use super::*;

#[test]
fn records_are_refused_one_by_one_with_reasons() {
    let refused = |config: LogConfig, batch: &Batch| {
        let mut f = Fixture::new(config);
        match f.append(batch, 0) {
            Ok(_) => Vec::new(),
            Err(AppendError::Records { errors }) => {
                assert_eq!(f.log.log_end_offset(), Offset(0));
                errors
            }
            Err(error) => panic!("{error}"),
        }
    };
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.push(NOW, Some(b"k"), None, &[]);
    builder.push(-1, None, Some(b"v"), &[]);
    builder.push(NOW + 3_600_001, Some(b"k"), Some(b"v"), &[]);
    builder.push(NOW - 5_000, None, Some(b"v"), &[]);
    let batch = builder.build();
    let timestamp = |index, timestamp, earliest, latest| RecordError {
        index,
        fault: RecordFault::Timestamp { timestamp, earliest, latest },
    };
    let no_key = |index| RecordError { index, fault: RecordFault::NoKey };
    let late = (NOW + 3_600_001, NOW - i64::MAX, NOW + 3_600_000);
    assert_eq!(refused(config(), &batch), [timestamp(2, late.0, late.1, late.2)]);
    let narrow = LogConfig { message_timestamp_before_max_ms: 4_999, ..config() };
    assert_eq!(
        refused(narrow, &batch),
        [timestamp(2, late.0, NOW - 4_999, late.2), timestamp(3, NOW - 5_000, NOW - 4_999, late.2)]
    );
    let compacted = LogConfig { compact: true, message_timestamp_after_max_ms: i64::MAX, ..config() };
    assert_eq!(refused(compacted, &batch), [no_key(1), no_key(3)]);
    let stamped = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..narrow };
    assert_eq!(refused(stamped, &batch), []);
}

#[test]
fn batches_are_stored_in_the_topics_codec() {
    let mut f = Fixture::new(LogConfig { compression: Some((Compression::Zstd, 3)), ..config() });
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..20 {
        builder.push(NOW + i, Some(b"key"), Some(b"0123456789"), &[(b"h", b"v")]);
    }
    builder.producer(4, 1, 0);
    let batch = builder.build();
    f.append(&batch, 3).unwrap();
    assert!(f.append(&batch, 3).unwrap().duplicate);
    let read = f.log.read(&mut f.disk, Offset(0), 10_000, Offset(20), true).unwrap();
    let stored = Batch::parse(read.records).unwrap();
    assert_eq!(stored.header().compression(), Compression::Zstd);
    assert_eq!(stored.records(10_000).unwrap(), batch.records(10_000).unwrap());
    assert!(stored.header().size < batch.header().size);
    // What is in the right codec already is not touched.
    let mut same = BatchBuilder::new(Compression::Zstd);
    same.push(NOW, None, Some(b"v"), &[]);
    let same = same.build();
    f.append(&same, 3).unwrap();
    let read = f.log.read(&mut f.disk, Offset(20), 10_000, Offset(21), true).unwrap();
    assert_eq!(read.records[HEADER_LEN..], same.bytes()[HEADER_LEN..]);
    // A limit that what was sent keeps, and what would be stored does not.
    let uncompressed = Some((Compression::None, 0));
    f.log.set_config(LogConfig { compression: uncompressed, max_message_bytes: 500, ..config() });
    let mut large = BatchBuilder::new(Compression::Zstd);
    large.push(NOW, None, Some(&[7; 600]), &[]);
    assert!(matches!(f.append(&large.build(), 3), Err(AppendError::TooLarge { max: 500, .. })));
}

#[test]
fn a_header_that_is_ahead_of_its_records_is_refused() {
    const CRC: usize = 17;
    const ATTRIBUTES: usize = 21;
    const MAX_TIMESTAMP: usize = 35;
    let mut bytes = plain(3, NOW).bytes().to_vec();
    bytes[MAX_TIMESTAMP..][..8].copy_from_slice(&(NOW + 3_600_001).to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    let lying = Batch::parse(bytes.into()).unwrap();
    let mut f = Fixture::new(config());
    let what = "its header has a timestamp that no record has";
    assert_eq!(f.append(&lying, 0), Err(AppendError::InvalidRecord { what }));
    assert_eq!(f.log.log_end_offset(), Offset(0));
}

#[test]
fn a_follower_refuses_offsets_that_no_segment_can_hold() {
    let mut f = Fixture::new(config());
    let mut far = BatchBuilder::new(Compression::None);
    far.push(NOW, None, Some(b"v"), &[]);
    for empty in [true, false] {
        let end = f.log.log_end_offset();
        for ahead in [1 << 31, i64::MAX - 1 - end.0] {
            let batch = far.base_offset(end.0 + ahead).build();
            let refused = f.log.append_as_follower(&mut f.disk, batch.bytes().clone(), NOW);
            assert!(matches!(refused, Err(AppendError::InvalidRecord { .. })), "{empty}: {refused:?}");
            assert_eq!(f.log.log_end_offset(), end);
        }
        let batch = far.base_offset(end.0 + (1 << 31) - 1).build();
        f.log.append_as_follower(&mut f.disk, batch.bytes().clone(), NOW).unwrap();
        assert_eq!(f.log.log_end_offset(), end + (1 << 31));
    }
}
