//! What appending takes of the heap: something for a batch, nothing for a record.

use trial_node::{Disk, LeaderEpoch};
use trial_storage::{AppendOrigin, FileDisk, LogConfig, LogOpen, SimDisk, UnifiedLog};
use trial_wire::{Batch, BatchBuilder, Compression};

const BATCHES: u64 = 200;

/// A batch of so many records that has 16 KiB, whatever their number.
fn batch(records: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'x'; (16 << 10) / records - 12];
    for _ in 0..records {
        builder.push(1000, None, Some(&value), &[]);
    }
    builder.build()
}

/// How many allocations the appends of so many batches take.
fn allocations(disk: &mut dyn Disk, folder: &str, batch: &Batch) -> u64 {
    let (mut log, _) = UnifiedLog::open(disk, folder, LogOpen::new(LogConfig::default()), 0).unwrap();
    let mut append = |batch: &Batch| {
        log.append_as_leader(disk, batch, LeaderEpoch(0), AppendOrigin::Client, 0).unwrap();
    };
    append(batch);
    allocation_counter::measure(|| (0..BATCHES).for_each(|_| append(batch))).count_total
}

#[test]
fn appending_allocates_nothing_for_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sim, mut file) = (SimDisk::new(), FileDisk::new(folder.path()).unwrap());
    let disks: [&mut dyn Disk; 2] = [&mut sim, &mut file];
    for disk in disks {
        let few = allocations(disk, "few-0", &batch(1));
        let many = allocations(disk, "many-0", &batch(1000));
        assert!(
            many < few + BATCHES && few < 4 * BATCHES,
            "{few} for single records, {many} for 1000 in a batch"
        );
    }
}
