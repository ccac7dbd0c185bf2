//! What one append and one read at the tail cost, on both disks.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
    let folder = tempfile::tempdir().expect("a temporary folder");
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
    group.finish();
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
