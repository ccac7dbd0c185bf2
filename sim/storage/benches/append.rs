//! What one append and one read at the tail cost, on both disks. Files are in memory where there is `/dev/shm`: what a device
//! takes is not the log's.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, Write};
use std::path::Path;

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use trial_node::{Disk, LeaderEpoch, Offset};
use trial_storage::{AppendOrigin, FileDisk, LogConfig, LogOpen, SimDisk, UnifiedLog};
use trial_wire::{Batch, BatchBuilder, Compression};

fn batch(bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    while builder.uncompressed_size() < bytes {
        builder.push(0, None, Some(&[b'x'; 1000]), &[]);
    }
    builder.build()
}

fn open(disk: &mut dyn Disk) -> UnifiedLog {
    UnifiedLog::open(disk, "bench-0", LogOpen::new(LogConfig::default()), 0).expect("an empty folder").0
}

fn append(disk: &mut dyn Disk, log: &mut UnifiedLog, batch: &Batch) {
    log.append_as_leader(disk, batch, LeaderEpoch(0), AppendOrigin::Client, 0).expect("the disk works");
    // A real run does not keep gigabytes either.
    if log.size() > 256 << 20 {
        log.truncate_fully_and_start_at(disk, log.log_end_offset()).expect("the disk works");
    }
}

fn on_both_disks(
    c: &mut Criterion,
    name: &str,
    bytes: usize,
    run: fn(&mut dyn Disk, &mut UnifiedLog, &Batch),
) {
    let batch = batch(bytes);
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(batch.header().size as u64));
    let folder =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let mut sim = SimDisk::new();
    let mut file = FileDisk::new(folder.path()).expect("a data folder");
    let disks: [(&str, &mut dyn Disk); 2] = [("sim", &mut sim), ("file", &mut file)];
    for (name, disk) in disks {
        let mut log = open(disk);
        for _ in 0..100 {
            append(disk, &mut log, &batch);
        }
        group.bench_function(name, |b| b.iter(|| run(disk, &mut log, black_box(&batch))));
    }
    if name.starts_with("append") {
        group.bench_function("write alone", write_alone(&folder.path().join("plain"), batch.bytes()));
    }
    group.finish();
}

/// What the operating system takes of an append to a file: the same bytes, written and nothing else.
fn write_alone(path: &Path, bytes: &[u8]) -> impl FnMut(&mut Bencher<'_>) {
    let mut file = File::create(path).expect("the folder is there");
    let mut len = 0;
    move |b| {
        b.iter(|| {
            file.write_all(black_box(bytes)).expect("there is room");
            len += bytes.len();
            if len > 256 << 20 {
                (len, _) = (0, file.set_len(0).and_then(|()| file.rewind()).expect("it is a file"));
            }
        });
    }
}

fn read_tail(disk: &mut dyn Disk, log: &mut UnifiedLog, batch: &Batch) {
    let end = log.log_end_offset();
    let from = Offset(end.0 - i64::from(batch.header().record_count));
    black_box(log.read(disk, from, 1 << 20, end, true).expect("it is there"));
}

fn observe_tail(disk: &mut dyn Disk, log: &mut UnifiedLog, batch: &Batch) {
    let from = Offset(log.log_end_offset().0 - i64::from(batch.header().record_count));
    log.batches(disk, from, &mut |view| {
        black_box(view);
    })
    .expect("the disk works");
}

fn benches(c: &mut Criterion) {
    on_both_disks(c, "append 16 KiB", 16 << 10, append);
    on_both_disks(c, "append 1 KiB", 1 << 10, append);
    on_both_disks(c, "read tail 16 KiB", 16 << 10, read_tail);
    on_both_disks(c, "observe tail", 16 << 10, observe_tail);
}

criterion_group!(append_benches, benches);
criterion_main!(append_benches);
