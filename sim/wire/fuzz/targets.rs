//! What the fuzz targets do with their bytes. `sim/wire/tests/corpus.rs` runs the same on the corpus.
//!
//! A target must return, whatever the bytes: no panic, no abort, and memory within bounds. What can be decoded must come out
//! the same when it is encoded and decoded again.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use trial_wire::message::{decode_request, decode_response, encode_request, encode_response};
use trial_wire::{ApiKey, Batch, Batches, Compression, ControlRecord, frame};

/// What a frame may be large and records may expand to, in bytes. Small, so that a fuzzer comes across it.
pub const LIMIT: usize = 64 << 10;

/// What is fuzzed: it takes any bytes and returns.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also its corpus's.
pub const TARGETS: &[(&str, Target)] = &[
    ("frame", frame),
    ("request", request),
    ("response", response),
    ("batch", batch),
    ("control", control),
    ("codec", codec),
];

/// What a client sends: frames with requests, one after the other.
pub fn frame(data: &[u8]) {
    let mut received = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::split(&mut received, LIMIT) {
        assert!(frame.len() <= LIMIT);
        let Ok((header, body)) = frame::decode_request_frame(frame) else {
            continue;
        };
        let client_id = header.client_id.as_deref().unwrap_or("");
        let mut encoded = BytesMut::new();
        frame::encode_request_frame(header.correlation_id, header.version, client_id, &body, &mut encoded)
            .expect("what was read can be written");
        let again =
            frame::split(&mut encoded, usize::MAX).expect("it is not too large").expect("it is whole");
        let (header_again, body_again) = frame::decode_request_frame(again).expect("we wrote it");
        assert_same(&body_again, &body);
        assert_eq!((header_again.api, header_again.version), (header.api, header.version));
        assert_eq!(header_again.correlation_id, header.correlation_id);
    }
}

/// A request's body after its API and version.
pub fn request(data: &[u8]) {
    let Some((api, version, body)) = api_and_version(data) else { return };
    let Ok(request) = decode_request(api, version, body) else { return };
    let mut encoded = BytesMut::new();
    encode_request(&request, version, &mut encoded).expect("what was read can be written");
    assert_same(&decode_request(api, version, encoded.freeze()).expect("we wrote it"), &request);
}

/// A response's body after its API and version.
pub fn response(data: &[u8]) {
    let Some((api, version, body)) = api_and_version(data) else { return };
    let Ok(response) = decode_response(api, version, body) else { return };
    let mut encoded = BytesMut::new();
    encode_response(&response, version, &mut encoded).expect("what was read can be written");
    assert_same(&decode_response(api, version, encoded.freeze()).expect("we wrote it"), &response);
}

/// Equal, but that a quota which is no number equals itself.
fn assert_same<T: PartialEq + Debug>(a: &T, b: &T) {
    assert!(a == b || format!("{a:?}") == format!("{b:?}"), "{a:?} is not {b:?}");
}

fn api_and_version(data: &[u8]) -> Option<(ApiKey, i16, Bytes)> {
    let (key, rest) = data.split_first_chunk()?;
    let (version, body) = rest.split_first_chunk()?;
    let api = ApiKey::try_from(i16::from_be_bytes(*key)).ok()?;
    Some((api, i16::from_be_bytes(*version), Bytes::copy_from_slice(body)))
}

/// Batches, one after the other, and their records, whether or not the checksums are right.
pub fn batch(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let good = Batches::new(bytes.clone()).filter(Result::is_ok).count();
    let mut batches = Batches::new(bytes);
    let mut seen = 0;
    while let Some(Ok(batch)) = batches.next_trusted() {
        seen += 1;
        records(&batch);
    }
    assert!(good <= seen);
}

fn records(batch: &Batch) {
    let Ok(opened) = batch.open(LIMIT) else { return };
    assert!(opened.size() <= LIMIT.max(batch.bytes().len()));
    let mut count = 0;
    let walked = batch.for_each_record(LIMIT, |record| {
        count += 1;
        assert!((batch.header().base_offset..=batch.header().last_offset()).contains(&record.offset));
        assert_eq!(record.headers.len(), record.headers.count());
    });
    assert_eq!(walked.is_ok(), batch.filtered(LIMIT, |record| record.offset % 2 == 0).is_ok());
    match opened.to_vec() {
        Ok(records) => assert_eq!((records.len(), walked), (count, Ok(()))),
        Err(error) => assert_eq!(walked, Err(error)),
    }
}

/// A control record: its key in four bytes, its value in the rest.
pub fn control(data: &[u8]) {
    let (key, value) = data.split_at(data.len().min(4));
    let Ok(record) = ControlRecord::decode(key, Some(value)) else { return };
    // A newer version than ours is read, but cannot be written.
    if value[..2] == [0, 0] {
        let again = ControlRecord::decode(&record.kind().key(), Some(&record.value()));
        assert_eq!(again, Ok(record));
    }
}

/// A codec's number and what is to be decompressed.
pub fn codec(data: &[u8]) {
    let Some((id, input)) = data.split_first() else { return };
    let Some(codec) = Compression::from_id(*id) else { return };
    if let Ok(output) = codec.decompress(&Bytes::copy_from_slice(input), LIMIT) {
        assert!(output.len() <= if codec == Compression::None { input.len() } else { LIMIT });
    }
}
