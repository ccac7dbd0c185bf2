use std::collections::BTreeMap;

use trial_node::{Disk, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::messages::EndTxnMarker;
use trial_wire::{BatchBuilder, Compression};

use super::*;
use crate::{AppendOrigin, LogConfig, LogOpen, SimDisk, UnifiedLog, whole_file};

const NOW: i64 = 1_700_000_000_000;

/// The files of a log with a compressed batch, an aborted transaction and two segments, closed in order.
fn files() -> BTreeMap<String, Bytes> {
    let mut disk = SimDisk::new();
    let config = LogConfig { index_interval_bytes: 0, ..LogConfig::default() };
    let mut log = UnifiedLog::open(&mut disk, "t-0", LogOpen::new(config), NOW).unwrap().0;
    let mut append = |builder: &mut BatchBuilder, origin| {
        log.append_as_leader(&mut disk, &builder.build(), LeaderEpoch(4), origin, NOW).unwrap();
    };
    let mut batch = BatchBuilder::new(Compression::Gzip);
    batch.push(NOW, Some(b"k"), Some("für".as_bytes()), &[(b"one", b"1"), (b"two", b"2")]);
    batch.push(NOW + 5, None, None, &[]);
    append(&mut batch, AppendOrigin::Client);
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(NOW + 1, None, Some(b"v"), &[]);
    append(batch.producer(9, 2, 0), AppendOrigin::Client);
    let mut data = BatchBuilder::new(Compression::None);
    data.push(NOW + 7, None, Some(b"w"), &[]);
    data.producer(9, 2, 1).transactional();
    let guard = log.begin_verification(ProducerId(9), ProducerEpoch(2), 1, NOW).unwrap();
    log.confirm_verification(ProducerId(9), ProducerEpoch(2), guard);
    log.append_as_leader(&mut disk, &data.build(), LeaderEpoch(4), AppendOrigin::Client, NOW).unwrap();
    let mut marker = BatchBuilder::new(Compression::None);
    trial_wire::ControlRecord::Abort(EndTxnMarker::default()).push_to(&mut marker, NOW + 8);
    marker.producer(9, 2, -1).transactional().control();
    let origin = AppendOrigin::Marker { transaction_version: 0 };
    log.append_as_leader(&mut disk, &marker.build(), LeaderEpoch(5), origin, NOW).unwrap();
    log.update_high_watermark(Offset(5));
    log.close(&mut disk).unwrap();
    let names = disk.list("t-0").unwrap();
    let content = |disk: &mut SimDisk, name: &str| whole_file::read(disk, name).unwrap().unwrap();
    names
        .into_iter()
        .map(|name| (format!("t-0/{name}"), content(&mut disk, &format!("t-0/{name}"))))
        .collect()
}

fn dumped(files: &BTreeMap<String, Bytes>, name: &str, options: DumpOptions) -> (String, Vec<String>) {
    let mut dump = Dump::new(options);
    let mut out = Vec::new();
    let mut load = |path: &str| {
        files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path.to_owned()))
    };
    dump.file(&format!("t-0/{name}"), &mut load, &mut out).unwrap();
    let problems = dump.problems().flat_map(|(heading, lines)| [&[heading.to_owned()][..], lines].concat());
    (String::from_utf8(out).unwrap(), problems.collect())
}

const LOG: &str = "00000000000000000000.log";

#[test]
fn a_segment_is_printed_line_for_line_as_kafkas_tool_does() {
    let files = files();
    let crcs: Vec<u32> = {
        let batches = trial_wire::Batches::new(files[&format!("t-0/{LOG}")].clone());
        batches.map(|batch| batch.unwrap().header().crc).collect()
    };
    let size = files[&format!("t-0/{LOG}")].len();
    let options = DumpOptions { print_data: true, ..DumpOptions::default() };
    let (text, problems) = dumped(&files, LOG, options);
    let first = size - 69 - 69 - 78;
    let expected = format!(
        "Dumping t-0/{LOG}\n\
         Log starting offset: 0\n\
         baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: 4 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1700000000005 size: {first} magic: 2 compresscodec: gzip crc: {} isvalid: true\n\
         | offset: 0 CreateTime: 1700000000000 keySize: 1 valueSize: 4 sequence: -1 headerKeys: [one,two] key: k payload: für\n\
         | offset: 1 CreateTime: 1700000000005 keySize: -1 valueSize: -1 sequence: -1 headerKeys: []\n\
         baseOffset: 2 lastOffset: 2 count: 1 baseSequence: 0 lastSequence: 0 producerId: 9 producerEpoch: 2 partitionLeaderEpoch: 4 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: {first} CreateTime: 1700000000001 size: 69 magic: 2 compresscodec: none crc: {} isvalid: true\n\
         | offset: 2 CreateTime: 1700000000001 keySize: -1 valueSize: 1 sequence: 0 headerKeys: [] payload: v\n\
         baseOffset: 3 lastOffset: 3 count: 1 baseSequence: 1 lastSequence: 1 producerId: 9 producerEpoch: 2 partitionLeaderEpoch: 4 isTransactional: true isControl: false deleteHorizonMs: OptionalLong.empty position: {} CreateTime: 1700000000007 size: 69 magic: 2 compresscodec: none crc: {} isvalid: true\n\
         | offset: 3 CreateTime: 1700000000007 keySize: -1 valueSize: 1 sequence: 1 headerKeys: [] payload: w\n\
         baseOffset: 4 lastOffset: 4 count: 1 baseSequence: -1 lastSequence: -1 producerId: 9 producerEpoch: 2 partitionLeaderEpoch: 5 isTransactional: true isControl: true deleteHorizonMs: OptionalLong.empty position: {} CreateTime: 1700000000008 size: 78 magic: 2 compresscodec: none crc: {} isvalid: true\n\
         | offset: 4 CreateTime: 1700000000008 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: ABORT coordinatorEpoch: 0\n",
        crcs[0],
        crcs[1],
        first + 69,
        crcs[2],
        first + 138,
        crcs[3],
    );
    assert_eq!(text, expected);
    assert_eq!(problems, [""; 0]);
    let bare = DumpOptions { skip_record_metadata: true, ..options };
    let (text, _) = dumped(&files, LOG, bare);
    let records: Vec<_> = text.lines().filter(|line| !line.starts_with("baseOffset")).skip(2).collect();
    assert_eq!(records, ["| key: k payload: für", "", " payload: v", " payload: w", ""]);
}

#[test]
fn indexes_and_the_rest_are_printed_and_checked() {
    let mut files = files();
    let dump = |files: &BTreeMap<String, Bytes>, suffix: &str| {
        dumped(files, &format!("00000000000000000{suffix}"), DumpOptions::default())
    };
    let text = |files: &BTreeMap<String, Bytes>, suffix: &str| {
        let (text, problems) = dump(files, suffix);
        assert_eq!(problems, [""; 0]);
        text.split_once('\n').unwrap().1.to_owned()
    };
    let first = files[&format!("t-0/{LOG}")].len() - 69 - 69 - 78;
    assert_eq!(
        text(&files, "000.index"),
        format!(
            "offset: 2 position: {first}\noffset: 3 position: {}\noffset: 4 position: {}\n",
            first + 69,
            first + 138
        )
    );
    assert_eq!(
        text(&files, "000.timeindex"),
        "timestamp: 1700000000005 offset: 1\ntimestamp: 1700000000007 offset: 3\ntimestamp: 1700000000008 offset: 4\n"
    );
    assert_eq!(
        text(&files, "000.txnindex"),
        "version: 0 producerId: 9 firstOffset: 3 lastOffset: 4 lastStableOffset: 5\n"
    );
    assert_eq!(
        text(&files, "005.snapshot"),
        "producerId: 9 producerEpoch: 2 coordinatorEpoch: 0 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 1700000000008 firstSequence: 1 lastSequence: 1 lastOffset: 3 offsetDelta: 0 timestamp: 1700000000008\n"
    );
    let (epochs, _) = dumped(&files, "leader-epoch-checkpoint", DumpOptions::default());
    assert_eq!(
        epochs,
        "Dumping t-0/leader-epoch-checkpoint\nepoch: 4 startOffset: 0\nepoch: 5 startOffset: 4\n"
    );
    // Damage.
    let damage = |files: &mut BTreeMap<String, Bytes>, suffix: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let content = files.get_mut(&format!("t-0/00000000000000000{suffix}")).unwrap();
        let mut bytes = content.to_vec();
        change(&mut bytes);
        *content = bytes.into();
    };
    damage(&mut files, "000.index", &|bytes| bytes[3] = 1);
    damage(&mut files, "000.timeindex", &|bytes| bytes[11] = 0);
    damage(&mut files, "000.log", &|bytes| bytes.extend([0; 70]));
    assert_eq!(
        dump(&files, "000.index").1,
        ["Mismatches in :t-0/00000000000000000000.index", "  Index offset: 1, log offset: 2"]
    );
    assert_eq!(
        dump(&files, "000.timeindex").1,
        ["The following indexed offsets are not found in the log.", "Indexed offset: 0, found log offset: 1"]
    );
    let (text, problems) = dump(&files, "000.log");
    assert!(text.ends_with("\nFound 70 invalid bytes at the end of 00000000000000000000.log\n"), "{text}");
    assert_eq!(problems.len(), 2);
    damage(&mut files, "000.log", &|bytes| bytes.truncate(bytes.len() - 70 - 1));
    assert_eq!(
        dump(&files, "000.log").1,
        [
            format!("No whole batch at the end of t-0/{LOG}"),
            format!("  77 bytes from position {} on", first + 138)
        ]
    );
    damage(&mut files, "000.log", &|bytes| bytes[first - 1] ^= 1);
    assert_eq!(
        dump(&files, "000.log").1[..2],
        [
            format!("Batches that are not what their checksums say in t-0/{LOG}"),
            "  position 0, base offset 0".to_owned()
        ]
    );
}
