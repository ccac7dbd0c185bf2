//! Runs every file of the corpus through what the fuzz targets do, and counts the memory that it takes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use trial_wire::api::APIS;
use trial_wire::messages::voters_record::{Endpoint, Voter};
use trial_wire::messages::{
    ApiVersionsRequest, EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord,
    SnapshotHeaderRecord, VotersRecord, leader_change_message,
};
use trial_wire::{BatchBuilder, Compression, ControlRecord, RequestKind, StrBytes, frame};

#[path = "../fuzz/targets.rs"]
mod targets;

/// What a target may take of memory for each byte of its input: messages are decoded twice to be compared.
const EXPANSION_MAX: usize = 300;
/// And whatever the size of its input: what records may expand to, several times, and what codecs keep.
const CONSTANT_MAX: usize = 16 * targets::LIMIT;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Every file of a target's corpus: its name and content, by name.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(corpus(target))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Runs a target; fails if that takes more memory than is allowed.
fn run_frugally(target: targets::Target, name: &str, data: &[u8]) {
    let info = allocation_counter::measure(|| target(data));
    let allowed = EXPANSION_MAX * data.len() + CONSTANT_MAX;
    assert!(usize::try_from(info.bytes_max).unwrap() <= allowed, "{name} takes {} bytes", info.bytes_max);
}

#[test]
fn every_file_is_refused_or_read_frugally() {
    for (target, run) in targets::TARGETS {
        let files = files(target);
        assert!(!files.is_empty(), "{target} has no corpus");
        for (name, data) in files {
            run_frugally(*run, &format!("{target}/{name}"), &data);
        }
    }
}

/// A small fuzzer for where there is none: a few thousand changed files, the same in every run.
#[test]
fn changed_files_are_refused_or_read_frugally() {
    const INTERESTING: [&[u8]; 6] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x7f, 0xff],
        &[0xff],
        &[0],
    ];
    let mut state = 1u64;
    let mut random = |below: usize| {
        // The generator of Knuth's MMIX; its upper bits are good enough to choose places.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for (target, run) in targets::TARGETS {
        let files = files(target);
        for round in 0..2000 {
            let (name, data) = &files[random(files.len())];
            let mut data = data.clone();
            for _ in 0..=random(3) {
                let at = random(data.len() + 1);
                let end = (at + random(6)).min(data.len());
                data.splice(at..end, INTERESTING[random(INTERESTING.len())].iter().copied());
            }
            run_frugally(*run, &format!("{target}/{name}, changed in round {round}"), &data);
        }
    }
}

#[test]
fn every_api_has_seeds() {
    for target in ["request", "response"] {
        let files = files(target);
        for api in APIS {
            let key = (api.key as i16).to_be_bytes();
            let named = format!("{:?}-", api.key);
            let found = files.iter().any(|(name, data)| name.starts_with(&named) && data.starts_with(&key));
            assert!(found, "{target} has no seed for {:?}; see sim/wire/fuzz/README.md", api.key);
        }
    }
}

/// Fails if a file of the corpus is missing or old, once it is written, so that it is looked at and committed.
fn write(target: &str, name: &str, data: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    let file = corpus(target).join(name);
    if fs::read(&file).ok().as_deref() != Some(data) {
        fs::write(&file, data).unwrap();
        panic!("{} was missing or old, and is written now", file.display());
    }
}

/// The seeds that are no bodies, and the known holes.
#[test]
fn the_seeds_are_in_the_corpus() {
    write_frames();
    write_batches();
    write_control_records();
    write_compressed();
    // A count of two billion topics.
    write("request", "hole-metadata-count", b"\0\x03\0\x01\x7f\xff\xff\xff");
    write("request", "hole-metadata-compact-count", b"\0\x03\0\x0c\xff\xff\xff\xff\x0f");
    write("request", "hole-produce-count", b"\0\0\0\x03\xff\xff\xff\xff\0\0\0\0\x7f\xff\xff\xff");
    write("response", "hole-metadata-count", b"\0\x03\0\x01\x7f\xff\xff\xff");
    write("response", "hole-fetch-compact-count", b"\0\x01\0\x0d\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x0f");
    // A tag of 2³² − 1, which an encoder would forget, though it counts it.
    write("response", "hole-negative-tag", b"\0\x0c\0\x04\0\0\0\0\0\0\x01\xff\xff\xff\xff\x0f\0");
    // An API that has no shape here.
    write("request", "hole-unspoken-api", b"\0\x1d\0\x01\0\0\xff\xff\xff\xff\x7f\xff\xff\xff");
}

fn write_frames() {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("seed"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let mut frames = BytesMut::new();
    for version in [3, 4] {
        frame::encode_request_frame(
            7,
            version,
            "client-1",
            &RequestKind::ApiVersions(request.clone()),
            &mut frames,
        )
        .unwrap();
    }
    write("frame", "two-requests", &frames);
    write("frame", "hole-two-bytes", b"\0\0\0\x02\0\x03");
    write("frame", "hole-length", b"\x7f\xff\xff\xff\0\x03");
    write("frame", "hole-negative-length", b"\xff\xff\xff\xff\0\x03");
    write("frame", "hole-client-id", b"\0\0\0\x0a\0\x03\0\0\0\0\0\x01\x7f\xff");
    write("frame", "hole-tagged-fields", b"\0\0\0\x0f\0\x03\0\x0c\0\0\0\x01\xff\xff\xff\xff\xff\xff\x0f");
    write("frame", "hole-metadata-count", b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff");
}

fn write_batches() {
    for codec in CODECS {
        let mut batch = BatchBuilder::new(codec);
        batch.push(1_700_000_000_000, Some(b"key"), Some(b"value, value, value"), &[(b"name", b"value")]);
        batch.push(1_700_000_000_001, None, None, &[]);
        let batch = batch.producer(7, 2, 40).build();
        write("batch", codec.name(), batch.bytes());
        let mut lie = batch.bytes().to_vec();
        // The last offset delta and the record count.
        lie[23..27].copy_from_slice(&0x7fff_fffei32.to_be_bytes());
        lie[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        write("batch", &format!("hole-record-count-{}", codec.name()), &lie);
    }
    let mut bomb = BatchBuilder::new(Compression::Zstd);
    bomb.push(0, None, Some(&vec![0; 32 << 20]), &[]);
    write("batch", "hole-bomb", bomb.build().bytes());
}

fn write_control_records() {
    let voter = leader_change_message::Voter::default().with_voter_id(1);
    let endpoint = Endpoint::default().with_name(StrBytes::from_static_str("C")).with_port(9093);
    let records = [
        ControlRecord::Abort(EndTxnMarker::default()),
        ControlRecord::Commit(EndTxnMarker::default().with_coordinator_epoch(7)),
        ControlRecord::LeaderChange(
            LeaderChangeMessage::default()
                .with_version(1)
                .with_voters(vec![voter.clone()])
                .with_granting_voters(vec![voter]),
        ),
        ControlRecord::SnapshotHeader(SnapshotHeaderRecord::default().with_last_contained_log_timestamp(9)),
        ControlRecord::SnapshotFooter(SnapshotFooterRecord::default()),
        ControlRecord::KRaftVersion(KRaftVersionRecord::default().with_k_raft_version(1)),
        ControlRecord::KRaftVoters(
            VotersRecord::default().with_voters(vec![Voter::default().with_endpoints(vec![endpoint])]),
        ),
    ];
    for record in records {
        let kind = record.kind();
        write("control", &format!("{kind:?}"), &[&kind.key()[..], &record.value()].concat());
    }
    write("control", "hole-voters", b"\0\0\0\x02\0\x01\0\0\0\x01\xff\xff\xff\xff\x0f");
    write("control", "hole-negative-tag", b"\0\0\0\x05\0\0\0\x01\x01\xff\xff\xff\xff\x0f\0");
    write("control", "hole-kraft-voters", b"\0\0\0\x06\0\0\xff\xff\xff\xff\x0f");
}

fn write_compressed() {
    for codec in CODECS {
        let number = codec as u8;
        let mut seed = vec![number];
        codec.compress(&b"some text, some text and numbers 0123456789; ".repeat(5), &mut seed);
        write("codec", codec.name(), &seed);
        if codec != Compression::None {
            let mut bomb = vec![number];
            // What expands most is small in the repository even if it expands to 64 MiB.
            let zeros = if codec == Compression::Zstd { 64 << 20 } else { 4 * targets::LIMIT };
            codec.compress(&vec![0; zeros], &mut bomb);
            write("codec", &format!("hole-bomb-{}", codec.name()), &bomb);
        }
    }
    // 2³¹ bytes as a varint, then nothing.
    write("codec", "hole-snappy-length", b"\x02\x80\x80\x80\x80\x08");
    let mut stream = zstd::Encoder::new(vec![Compression::Zstd as u8], 3).unwrap();
    stream.window_log(27).unwrap();
    stream.write_all(b"a frame that asks for a window of 128 MiB").unwrap();
    write("codec", "hole-zstd-window", &stream.finish().unwrap());
    let mut other = lz4::EncoderBuilder::new().build(vec![Compression::Lz4 as u8]).unwrap();
    other.write_all(b"a frame with linked blocks and a checksum").unwrap();
    write("codec", "lz4-linked", &other.finish().0);
}
