use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records;
use proptest::prelude::*;

use super::*;
use crate::primitive::{put_varint, put_varint_bytes, put_varlong};

const LIMIT: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// A record as a test writes it.
#[derive(Clone, Debug)]
struct Plain {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn plain() -> impl Strategy<Value = Plain> {
    (
        0i64..2_000_000_000_000,
        prop::option::of(bytes(20)),
        prop::option::of(bytes(300)),
        prop::collection::vec((bytes(10), bytes(70)), 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Plain { timestamp, key, value, headers })
}

fn plains() -> impl Strategy<Value = Vec<Plain>> {
    prop::collection::vec(plain(), 1..30)
}

fn builder(compression: Compression, records: &[Plain]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        let headers: Vec<(&[u8], &[u8])> = record.headers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let before = builder.uncompressed_size();
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        let bound = BatchBuilder::record_size_bound(record.key.as_deref(), record.value.as_deref(), &headers);
        assert!(builder.uncompressed_size() - before <= bound);
    }
    builder
}

fn small() -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1000, Some(b"key"), Some(b"value"), &[(b"trial-id", b"\x01")]);
    builder.push(990, None, None, &[]);
    builder.producer(7, 2, i32::MAX);
    builder.build()
}

/// The batch with its bytes changed and its CRC made right again.
fn altered(batch: &Batch, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut raw = batch.bytes().to_vec();
    change(&mut raw);
    let crc = crc32c::crc32c(&raw[at::ATTRIBUTES..]);
    raw[at::CRC..at::ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(raw)
}

/// A batch of `count` records whose uncompressed payload is `payload`.
fn with_payload(count: i32, payload: &[u8]) -> Batch {
    let bytes = altered(&small(), |raw| {
        raw.truncate(HEADER_LEN);
        raw.extend_from_slice(payload);
        let length = i32::try_from(raw.len() - LOG_OVERHEAD).unwrap();
        raw[at::BATCH_LENGTH..][..4].copy_from_slice(&length.to_be_bytes());
        raw[at::LAST_OFFSET_DELTA..][..4].copy_from_slice(&(count - 1).max(0).to_be_bytes());
        raw[at::RECORD_COUNT..][..4].copy_from_slice(&count.to_be_bytes());
    });
    Batch::parse(bytes).unwrap()
}

fn record(offset_delta: i32, tail: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    put_varlong(&mut body, 0);
    put_varint(&mut body, offset_delta);
    body.extend_from_slice(tail);
    let mut out = Vec::new();
    put_varint_bytes(&mut out, Some(&body));
    out
}

/// Null key, null value, no headers.
const EMPTY: &[u8] = &[1, 1, 0];

#[test]
fn a_small_batch_reads_as_it_was_written() {
    let batch = small();
    assert_eq!(
        *batch.header(),
        Header {
            base_offset: 0,
            size: batch.bytes().len(),
            partition_leader_epoch: -1,
            crc: batch.header().crc,
            attributes: 0,
            last_offset_delta: 1,
            base_timestamp: 1000,
            max_timestamp: 1000,
            producer_id: 7,
            producer_epoch: 2,
            base_sequence: i32::MAX,
            record_count: 2,
        }
    );
    assert_eq!(batch.header().last_sequence(), 0, "sequence numbers wrap to 0");
    assert_eq!(Batch::parse(batch.bytes().clone()).unwrap(), batch);
    assert_eq!(
        batch.records(LIMIT).unwrap(),
        [
            Record {
                offset: 0,
                timestamp: 1000,
                sequence: i32::MAX,
                key: Some(Bytes::from_static(b"key")),
                value: Some(Bytes::from_static(b"value")),
                headers: vec![(Bytes::from_static(b"trial-id"), Some(Bytes::from_static(b"\x01")))],
            },
            Record { offset: 1, timestamp: 990, sequence: 0, key: None, value: None, headers: vec![] },
        ]
    );
}

#[test]
fn log_append_time_overrides_the_records_timestamps() {
    let bytes = altered(&small(), |raw| {
        raw[at::ATTRIBUTES + 1] |= 0x08;
        raw[at::MAX_TIMESTAMP..][..8].copy_from_slice(&5555i64.to_be_bytes());
    });
    let records = Batch::parse(bytes).unwrap().records(LIMIT).unwrap();
    assert_eq!(records.iter().map(|r| r.timestamp).collect::<Vec<_>>(), [5555, 5555]);
}

#[test]
fn the_assigned_offset_and_epoch_are_not_under_the_crc() {
    for (value_len, chunks) in [(10, 1), (COPIED_BELOW, 2)] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1, None, Some(&vec![9; value_len]), &[]);
        let batch = builder.build();
        let (header, written) = batch.assigned(1 << 40, 17);
        assert_eq!((header.base_offset, header.partition_leader_epoch), (1 << 40, 17));
        assert_eq!(written.iter().filter(|chunk| !chunk.is_empty()).count(), chunks);
        let parsed = Batch::parse(Bytes::from(written.concat())).unwrap();
        assert_eq!(*parsed.header(), header);
        assert_eq!(parsed.records(LIMIT).unwrap()[0].offset, 1 << 40);
        if chunks == 2 {
            let shared = batch.bytes()[HEADER_LEN..].as_ptr();
            assert_eq!(written[1].as_ptr(), shared, "a large batch's records are shared");
        }
    }
}

#[test]
fn records_share_the_batch_memory() {
    let batch = small();
    let value = batch.records(LIMIT).unwrap()[0].value.clone().unwrap();
    assert!(batch.bytes().as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn impossible_headers_are_refused() {
    let parse = |change: fn(&mut Vec<u8>)| Batch::parse(altered(&small(), change)).unwrap_err();
    let field = |what| BatchError::Field { position: 0, what };

    assert_eq!(parse(|raw| raw[at::MAGIC] = 1), BatchError::Magic { position: 0, magic: 1 });
    assert_eq!(
        parse(|raw| raw[at::BATCH_LENGTH..][..4].fill(0xff)),
        BatchError::Length { position: 0, length: -1 }
    );
    assert_eq!(
        parse(|raw| raw[at::BATCH_LENGTH..][..4].copy_from_slice(&48i32.to_be_bytes())),
        BatchError::Length { position: 0, length: 48 }
    );
    assert_eq!(parse(|raw| raw[at::ATTRIBUTES + 1] |= 5), field("its codec is unknown"));
    assert_eq!(parse(|raw| raw[0] = 0x80), field("its offsets are out of range"));
    assert_eq!(
        parse(|raw| raw[..8].copy_from_slice(&(i64::MAX - 1).to_be_bytes())),
        field("its offsets are out of range")
    );
    assert_eq!(
        parse(|raw| raw[at::LAST_OFFSET_DELTA] = 0x80),
        field("its last offset delta is out of range")
    );
    assert_eq!(parse(|raw| raw[at::RECORD_COUNT] = 0x80), field("its record count does not fit its offsets"));
    assert_eq!(
        parse(|raw| raw[at::RECORD_COUNT + 3] = 3),
        field("its record count does not fit its offsets")
    );
}

#[test]
fn what_producers_must_not_send_is_named() {
    let good = *small().header();
    let mut bare = good;
    (bare.producer_id, bare.producer_epoch, bare.base_sequence) = (-1, -1, -1);
    assert_eq!(good.is_well_formed_produce(), Ok(()));
    assert_eq!(bare.is_well_formed_produce(), Ok(()));
    bare.base_sequence = 0;
    assert_eq!(bare.is_well_formed_produce(), Ok(()));
    let refused = |change: fn(&mut Header)| {
        let mut header = good;
        change(&mut header);
        header.is_well_formed_produce().unwrap_err()
    };
    assert!(refused(|h| h.record_count = 0).contains("no records"));
    assert!(refused(|h| h.record_count = 1).contains("record count"));
    assert!(refused(|h| h.attributes |= attribute::CONTROL).contains("control"));
    assert!(refused(|h| h.attributes |= attribute::LOG_APPEND_TIME).contains("LogAppendTime"));
    assert!(refused(|h| h.base_sequence = -1).contains("sequence"));
    assert!(refused(|h| h.producer_epoch = -1).contains("epoch"));
    assert!(refused(|h| h.producer_id = -2).contains("-1"));
    assert!(
        refused(|h| (h.producer_id, h.base_sequence, h.attributes) = (-1, -1, attribute::TRANSACTIONAL))
            .contains("producer id")
    );
}

#[test]
fn malformed_records_are_refused() {
    let refused = |count: i32, payload: &[u8]| match with_payload(count, payload).records(LIMIT) {
        Err(BatchError::Record { index, what }) => (index, what),
        other => panic!("{other:?}"),
    };
    let ok = record(0, EMPTY);
    assert_eq!(with_payload(1, &ok).records(LIMIT).unwrap().len(), 1);
    assert_eq!(with_payload(0, &[]).records(LIMIT).unwrap(), []);
    assert_eq!(refused(2, &ok), (1, "it is cut off"));
    assert_eq!(refused(1, &[ok.clone(), ok.clone()].concat()).0, 0);
    assert_eq!(
        refused(2, &[ok.clone(), ok.clone()].concat()),
        (1, "its offset delta is out of order or range")
    );
    assert_eq!(refused(1, &[1]), (0, "its length is negative"));
    assert_eq!(refused(1, &record(1, EMPTY)), (0, "its offset delta is out of order or range"));
    assert_eq!(refused(1, &record(0, &[1, 8, 0])), (0, "a field does not fit into its length"));
    // A count of 2³¹ − 1 headers that are not there.
    assert_eq!(
        refused(1, &record(0, &[1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f])),
        (0, "its headers do not fit into its length")
    );
    assert_eq!(refused(1, &record(0, &[1, 1, 2, 1, 1])), (0, "its headers do not fit into its length"));
    assert_eq!(refused(1, &record(0, &[1, 1, 0, 0])), (0, "its headers do not fit into its length"));
}

#[test]
fn a_walk_ends_at_a_torn_batch() {
    let whole = small();
    let torn = [&whole.bytes()[..], &whole.bytes()[..70]].concat();
    let error =
        BatchError::Truncated { position: whole.bytes().len(), needed: whole.bytes().len(), available: 70 };

    let mut batches = Batches::new(Bytes::from(torn.clone()));
    assert_eq!(batches.next(), Some(Ok(whole.clone())));
    assert_eq!(batches.next(), Some(Err(error)));
    assert_eq!(batches.next(), None);
    assert_eq!(batches.position(), whole.bytes().len());

    let mut batches = Batches::new(Bytes::from(torn));
    assert_eq!(batches.next_trusted(), Some(Ok(whole)));
    assert_eq!(batches.next_trusted(), None);
}

#[test]
fn a_header_is_found_by_name() {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.push(0, None, None, &[(b"a", b"1"), (b"b", b"2"), (b"b", b"3")]);
    builder
        .build()
        .for_each_record(LIMIT, |record| {
            assert_eq!(record.headers.len(), 3);
            assert_eq!(record.headers.find(b"b"), Some(Some(&b"2"[..])));
            assert_eq!(record.headers.find(b"c"), None);
        })
        .unwrap();
}

proptest! {
    #[test]
    fn built_batches_read_back(plains in plains(), producer in any::<bool>(), base_offset in 0i64..1 << 60) {
        for compression in CODECS {
            let mut builder = builder(compression, &plains);
            builder.base_offset(base_offset).leader_epoch(3);
            if producer {
                builder.producer(11, 1, i32::MAX - 3).transactional();
            }
            let built = builder.build();
            prop_assert_eq!(built.header().compression(), compression);
            prop_assert_eq!(built.header().is_well_formed_produce(), Ok(()));
            prop_assert_eq!(built.header().max_timestamp, plains.iter().map(|p| p.timestamp).max().unwrap());
            if compression == Compression::None {
                prop_assert_eq!(built.bytes().len(), builder.uncompressed_size());
            }
            let parsed = Batch::parse(built.bytes().clone()).unwrap();
            prop_assert_eq!(&parsed, &built);
            let records = parsed.records(LIMIT).unwrap();
            prop_assert_eq!(records.len(), plains.len());
            for (i, (record, plain)) in records.iter().zip(&plains).enumerate() {
                let delta = i32::try_from(i).unwrap();
                prop_assert_eq!(record.offset, base_offset + i64::from(delta));
                prop_assert_eq!(record.timestamp, plain.timestamp);
                prop_assert_eq!(record.key.as_deref(), plain.key.as_deref());
                prop_assert_eq!(record.value.as_deref(), plain.value.as_deref());
                let headers: Vec<_> = record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_vec(), value.clone().unwrap().to_vec()))
                    .collect();
                prop_assert_eq!(&headers, &plain.headers);
                let wrapped = i64::from(i32::MAX - 3) + i64::from(delta);
                let sequence = if producer { i32::try_from(wrapped % (1 << 31)).unwrap() } else { -1 };
                prop_assert_eq!(record.sequence, sequence);
            }
            prop_assert_eq!(records.last().unwrap().offset, parsed.header().last_offset());
            prop_assert_eq!(records.last().unwrap().sequence, parsed.header().last_sequence());
        }
    }

    /// The same records, written by an encoder that is not ours, are the same bytes; and ours are read by its decoder.
    #[test]
    fn another_encoder_agrees(plains in plains()) {
        // Its headers are a map, which cannot hold one name twice, and its keys are strings.
        let plains: Vec<Plain> = plains.into_iter().map(|p| Plain { headers: vec![], ..p }).collect();
        let theirs: Vec<records::Record> = plains.iter().zip(0..).map(|(p, i)| records::Record {
            transactional: true,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 5,
            producer_id: 9,
            producer_epoch: 4,
            timestamp_type: records::TimestampType::Creation,
            offset: 100 + i64::from(i),
            sequence: 40 + i,
            timestamp: p.timestamp,
            key: p.key.clone().map(Bytes::from),
            value: p.value.clone().map(Bytes::from),
            headers: IndexMap::new(),
        }).collect();
        let mut encoded = BytesMut::new();
        let options = records::RecordEncodeOptions { version: 2, compression: records::Compression::None };
        records::RecordBatchEncoder::encode(&mut encoded, &theirs, &options).unwrap();

        let mut builder = builder(Compression::None, &plains);
        builder.base_offset(100).leader_epoch(5).producer(9, 4, 40).transactional();
        let ours = builder.build();
        let min = plains.iter().map(|p| p.timestamp).min().unwrap();
        if min == plains[0].timestamp {
            prop_assert_eq!(&encoded[..], &ours.bytes()[..]);
        }
        let parsed = Batch::parse(encoded.freeze()).unwrap();
        prop_assert_eq!(parsed.records(LIMIT).unwrap(), ours.records(LIMIT).unwrap());
        let decoded = records::RecordBatchDecoder::decode(&mut ours.bytes().clone()).unwrap();
        prop_assert_eq!(decoded.records, theirs);
    }

    #[test]
    fn any_changed_byte_under_the_crc_is_detected(
        plains in plains(),
        position in any::<prop::sample::Index>(),
        xor in 1u8..,
    ) {
        for compression in CODECS {
            let mut raw = builder(compression, &plains).build().bytes().to_vec();
            let position = at::CRC + position.index(raw.len() - at::CRC);
            raw[position] ^= xor;
            let error = Batch::parse(Bytes::from(raw)).unwrap_err();
            // Fields are looked at first: what they say is more useful.
            prop_assert!(matches!(error, BatchError::Crc { .. } | BatchError::Field { .. }), "{error:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut raw in bytes(400), plausible in any::<bool>()) {
        if plausible && raw.len() >= HEADER_LEN {
            raw[at::MAGIC] = 2;
            raw[at::BATCH_LENGTH..][..3].fill(0);
            raw[0] = 0;
            raw[at::LAST_OFFSET_DELTA..][..3].fill(0);
            raw[at::RECORD_COUNT..][..3].fill(0);
        }
        let raw = Bytes::from(raw);
        for batch in Batches::new(raw.clone()) {
            prop_assert!(batch.is_err(), "a CRC cannot be right by chance");
        }
        if let Ok(batch) = Batch::parse_trusted(raw)
            && let Ok(records) = batch.records(LIMIT)
        {
            prop_assert_eq!(records.len(), usize::try_from(batch.header().record_count).unwrap());
        }
    }

    #[test]
    fn corrupt_records_never_panic(
        plains in plains(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for compression in CODECS {
            let mut raw = builder(compression, &plains).build().bytes().to_vec();
            for (position, value) in &changes {
                let position = HEADER_LEN + position.index(raw.len() - HEADER_LEN);
                raw[position] = *value;
            }
            let batch = Batch::parse_trusted(Bytes::from(raw)).unwrap();
            if let Ok(records) = batch.records(LIMIT) {
                prop_assert_eq!(records.len(), plains.len());
            }
        }
    }
}

proptest! {
    #[test]
    fn a_filtered_batch_holds_what_was_kept_at_its_place(
        plains in plains(),
        codec in 0usize..5,
        mask in any::<u32>(),
    ) {
        let mut builder = builder(CODECS[codec], &plains);
        builder.base_offset(100).leader_epoch(3).producer(7, 2, 40);
        let batch = builder.build();
        let wanted = |offset: i64| mask & (1 << (offset - 100)) != 0;
        let filtered = batch.filtered(LIMIT, |record| wanted(record.offset)).unwrap();
        let parsed = Batch::parse(filtered.bytes().clone()).unwrap();
        prop_assert_eq!(&parsed, &filtered);
        let mut expected = batch.records(LIMIT).unwrap();
        expected.retain(|record| wanted(record.offset));
        prop_assert_eq!(parsed.records(LIMIT).unwrap(), expected);
        let (old, new) = (batch.header(), parsed.header());
        prop_assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
        prop_assert_eq!((new.last_sequence(), new.producer_id), (old.last_sequence(), old.producer_id));
    }

    #[test]
    fn a_delete_horizon_and_another_codec_leave_the_records_alone(
        plains in plains(),
        codecs in (0usize..5, 0usize..5),
        level in -1i32..18,
        horizon in 0i64..1 << 50,
    ) {
        let plains: Vec<Plain> =
            plains.into_iter().map(|plain| Plain { timestamp: plain.timestamp >> 12, ..plain }).collect();
        let mut builder = builder(CODECS[codecs.0], &plains);
        builder.base_offset(100).leader_epoch(3).producer(7, 2, 40);
        let batch = builder.build();
        let marked = batch.with_delete_horizon(LIMIT, horizon).unwrap();
        let marked = Batch::parse(marked.bytes().clone()).unwrap();
        prop_assert_eq!(marked.records(LIMIT).unwrap(), batch.records(LIMIT).unwrap());
        prop_assert_eq!(marked.header().delete_horizon_ms(), Some(horizon));
        prop_assert_eq!(marked.header().max_timestamp, batch.header().max_timestamp);
        prop_assert_eq!(batch.header().delete_horizon_ms(), None);
        let codec = CODECS[codecs.1];
        let other = marked.recompressed(LIMIT, codec, level).unwrap();
        let other = Batch::parse(other.bytes().clone()).unwrap();
        prop_assert_eq!(other.header().compression(), codec);
        prop_assert_eq!(other.records(LIMIT).unwrap(), batch.records(LIMIT).unwrap());
        let same = Header {
            size: marked.header().size, crc: marked.header().crc, attributes: marked.header().attributes,
            ..*other.header()
        };
        prop_assert_eq!(&same, marked.header());
    }
}
