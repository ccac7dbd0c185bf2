//! What a disk's faults do to whoever uses it.

use bytes::Bytes;
use trial_node::{Disk, DiskError, Rng, TopicPartition};
use trial_wire::StrBytes;

use super::fault::{DiskFault, DiskPart, FailingOps};
use super::sim::SimDisk;

fn orders() -> DiskPart {
    DiskPart::Partition(TopicPartition::new(StrBytes::from_static_str("orders"), 0))
}

fn rng(seed: u64) -> Rng {
    Rng::named(seed, "faults")
}

/// A disk whose files hold so many synced bytes of 7.
fn disk(files: &[(&str, usize)]) -> SimDisk {
    let mut disk = SimDisk::new();
    for (path, len) in files {
        let file = disk.open(path, true).unwrap();
        disk.append(file, &[Bytes::from(vec![7; *len])]).unwrap();
        disk.sync(file).unwrap();
        disk.close(file);
        disk.sync_folder(path.rsplit_once('/').map_or("", |(folder, _)| folder)).unwrap();
    }
    disk.sync_folder("").unwrap();
    disk
}

/// What the node reads.
fn content(disk: &mut SimDisk, path: &str) -> Bytes {
    let mut disk = disk.for_node();
    let file = disk.open(path, false).unwrap();
    disk.read(file, 0, disk.len(file)).unwrap()
}

#[test]
fn errors_come_from_the_part_and_the_operations_that_are_meant_and_end_when_healed() {
    let mut disk = disk(&[("d1/orders-0/a.log", 10), ("d1/orders-1/a.log", 10), ("d2/x", 10)]);
    let fault = DiskFault::Error(FailingOps { read: false, write: true, sync: true });
    assert!(disk.inject(&orders(), &fault, &mut rng(1)));
    let mut node = disk.for_node();
    let bad = node.open("d1/orders-0/a.log", false).unwrap();
    let good = node.open("d1/orders-1/a.log", false).unwrap();
    let failed = node.append(bad, &[Bytes::from_static(b"x")]).unwrap_err();
    assert_eq!(failed.to_string(), "d1/orders-0/a.log: input/output error (EIO)");
    assert_eq!(failed.path(), "d1/orders-0/a.log");
    assert!(node.sync(bad).is_err() && node.truncate(bad, 1).is_err());
    assert!(node.sync_folder("d1/orders-0").is_err() && node.remove("d1/orders-0/a.log").is_err());
    assert_eq!(node.read(bad, 0, 10).unwrap().len(), 10);
    assert_eq!((node.len(bad), node.append(good, &[Bytes::from_static(b"x")])), (10, Ok(())));

    let dir = DiskPart::LogDir("d1".to_owned());
    assert!(disk.inject(&dir, &DiskFault::Error(FailingOps::ALL), &mut rng(1)));
    assert!(disk.for_node().read(good, 0, 1).is_err());
    assert!(disk.for_node().open("d1/new", true).is_err() && disk.for_node().open("d2/new", true).is_ok());
    assert!(disk.read(good, 0, 1).is_ok(), "observers look past it");
    disk.heal(&dir, &DiskFault::Error(FailingOps::ALL));
    disk.heal(&orders(), &fault);
    assert_eq!(disk.for_node().append(bad, &[Bytes::from_static(b"x")]), Ok(()));
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_once_there_is_space() {
    let mut disk = disk(&[("orders-0/a.log", 10), ("orders-1/a.log", 10)]);
    let full = DiskFault::Full(Some(25));
    assert!(disk.inject(&DiskPart::Everything, &full, &mut rng(1)));
    let mut node = disk.for_node();
    let file = node.open("orders-0/a.log", false).unwrap();
    let chunks = [Bytes::from_static(b"123"), Bytes::from_static(b"456")];
    let failed = node.append(file, &chunks).unwrap_err();
    assert_eq!(failed.to_string(), "orders-0/a.log: no space left on device (ENOSPC)");
    assert_eq!(node.read(file, 10, 5).unwrap(), "12345");
    node.truncate(file, 10).unwrap();
    assert_eq!(node.append(file, &chunks[..1]), Ok(()));
    node.remove("orders-1/a.log").unwrap();
    assert_eq!(node.append(file, &chunks), Ok(()));
    // Not a byte more than there is.
    assert!(disk.inject(&orders(), &DiskFault::Full(None), &mut rng(1)));
    assert!(matches!(disk.for_node().append(file, &chunks), Err(DiskError::Failed { .. })));
    disk.heal(&orders(), &DiskFault::Full(None));
    disk.heal(&DiskPart::Everything, &full);
    assert_eq!(disk.for_node().append(file, &chunks), Ok(()));
}

#[test]
fn what_a_lost_fsync_said_was_written_is_gone_with_the_power_unless_the_device_had_time() {
    for healed in [false, true] {
        let mut disk = disk(&[("orders-0/a.log", 10), ("orders-1/a.log", 10)]);
        disk.inject(&orders(), &DiskFault::LostFsync, &mut rng(1));
        for path in ["orders-0/a.log", "orders-1/a.log", "orders-0/new"] {
            let file = disk.for_node().open(path, true).unwrap();
            disk.for_node().append(file, &[Bytes::from_static(b"more")]).unwrap();
            disk.for_node().sync(file).unwrap();
        }
        disk.for_node().sync_folder("orders-0").unwrap();
        // Nor is it the kernel's business any more.
        assert_eq!([disk.write_back(), disk.write_back()], [0, 0]);
        if healed {
            disk.heal(&orders(), &DiskFault::LostFsync);
        }
        disk.lose_power(&mut rng(2));
        let len = if healed { 14 } else { 10 };
        assert_eq!(content(&mut disk, "orders-0/a.log").len(), len);
        assert_eq!(content(&mut disk, "orders-1/a.log").len(), 14);
        assert_eq!(disk.open("orders-0/new", false).is_ok(), healed);
        assert_eq!(disk.dirty_bytes(), 0);
    }
}

#[test]
fn a_device_that_keeps_losing_the_syncs_of_one_folder_settles_those_of_another() {
    let mut disk = disk(&[("orders-0/a.log", 10), ("orders-1/a.log", 10)]);
    let other = DiskPart::Partition(TopicPartition::new(StrBytes::from_static_str("orders"), 1));
    for part in [&orders(), &other] {
        disk.inject(part, &DiskFault::LostFsync, &mut rng(1));
    }
    for folder in ["orders-0", "orders-1"] {
        for path in ["a.log", "new"].map(|name| format!("{folder}/{name}")) {
            let file = disk.for_node().open(&path, true).unwrap();
            disk.for_node().append(file, &[Bytes::from_static(b"more")]).unwrap();
            disk.for_node().sync(file).unwrap();
        }
        disk.for_node().sync_folder(folder).unwrap();
    }
    disk.heal(&other, &DiskFault::LostFsync);
    disk.lose_power(&mut rng(2));
    assert_eq!(content(&mut disk, "orders-0/a.log").len(), 10);
    assert_eq!(content(&mut disk, "orders-1/a.log").len(), 14);
    assert_eq!(["orders-0/new", "orders-1/new"].map(|path| disk.open(path, false).is_ok()), [false, true]);
    assert_eq!(disk.dirty_bytes(), 0);
}

#[test]
fn a_torn_write_leaves_single_sectors() {
    let mut torn = false;
    for seed in 0..20 {
        let mut disk = disk(&[("orders-0/a.log", 700)]);
        disk.inject(&DiskPart::Everything, &DiskFault::TornWrite, &mut rng(seed));
        let file = disk.open("orders-0/a.log", false).unwrap();
        disk.append(file, &[Bytes::from(vec![9; 4096])]).unwrap();
        disk.lose_power(&mut rng(seed));
        let content = content(&mut disk, "orders-0/a.log");
        assert!(content[..700].iter().all(|byte| *byte == 7), "what was synced stays");
        for sector in std::iter::once(&content[700..1024.min(content.len())])
            .chain(content.get(1024..).unwrap_or_default().chunks(512))
        {
            assert!(sector.iter().all(|byte| *byte == 9) || sector.iter().all(|byte| *byte == 0));
        }
        let lost = |at: usize| content.get(at) == Some(&0);
        torn |= lost(1024) && content.get(1600) == Some(&9);
    }
    assert!(torn, "a sector is missing before one that is there");
}

#[test]
fn rot_flips_bits_of_what_is_on_the_device_and_has_to_be_read_from_it() {
    let mut disk = disk(&[("orders-0/a.log", 100), ("orders-0/a.index", 100), ("orders-1/a.log", 100)]);
    let file = disk.open("orders-0/a.log", false).unwrap();
    assert!(disk.is_cached(file, 0));
    disk.inject(&orders(), &DiskFault::BitRot { file: "log".to_owned(), bits: 1 }, &mut rng(1));
    let flipped: u32 = content(&mut disk, "orders-0/a.log").iter().map(|byte| (byte ^ 7).count_ones()).sum();
    assert_eq!(flipped, 1);
    assert_eq!(disk.read(file, 0, 100).unwrap(), vec![7; 100], "observers see what was written");
    assert!(content(&mut disk, "orders-0/a.index").iter().all(|byte| *byte == 7));
    assert_eq!((disk.is_cached(file, 99), disk.is_cached(file, 100)), (false, true));
    let nothing = DiskFault::BitRot { file: "timeindex".to_owned(), bits: 1 };
    assert!(!disk.inject(&orders(), &nothing, &mut rng(1)));
    // After a loss of power, everything comes from the device.
    let other = disk.open("orders-1/a.log", false).unwrap();
    assert!(disk.is_cached(other, 0));
    disk.lose_power(&mut rng(1));
    let other = disk.open("orders-1/a.log", false).unwrap();
    assert!(!disk.is_cached(other, 0));
}

#[test]
fn a_misdirected_write_replaces_what_was_elsewhere_and_leaves_zeros() {
    for seed in 0..10 {
        let mut disk = disk(&[("orders-0/a.log", 2000), ("orders-0/b.log", 2000)]);
        disk.inject(&orders(), &DiskFault::MisdirectedWrite, &mut rng(seed));
        let file = disk.open("orders-0/a.log", false).unwrap();
        for _ in 0..2 {
            disk.for_node().append(file, &[Bytes::from(vec![9; 100])]).unwrap();
        }
        let (a, b) = (content(&mut disk, "orders-0/a.log"), content(&mut disk, "orders-0/b.log"));
        assert_eq!((a.len(), b.len()), (2200, 2000));
        assert!(a[2100..].iter().all(|byte| *byte == 9), "only one write is misdirected");
        let landed = a[..2100].iter().chain(&b).filter(|byte| **byte == 9).count();
        assert_eq!(landed, 100);
        assert!(!disk.is_cached(file, 2000));
    }
}

#[test]
fn what_takes_the_place_of_a_misdirected_write_that_the_power_took_is_as_it_is_written() {
    for seed in 0..20 {
        let mut disk = disk(&[("orders-0/a.log", 2000), ("orders-0/b.log", 2000)]);
        disk.inject(&orders(), &DiskFault::MisdirectedWrite, &mut rng(seed));
        let file = disk.open("orders-0/a.log", false).unwrap();
        disk.for_node().append(file, &[Bytes::from(vec![9; 100])]).unwrap();
        disk.lose_power(&mut rng(seed));
        let file = disk.open("orders-0/a.log", false).unwrap();
        let end = disk.len(file) as usize;
        disk.append(file, &[Bytes::from(vec![5; 200])]).unwrap();
        let after = content(&mut disk, "orders-0/a.log");
        assert_eq!(after[end..], [5; 200], "seed {seed}: {end} bytes were left");
    }
}

#[test]
fn a_replaced_log_directory_has_no_files() {
    let mut disk = disk(&[("x/orders-0/a.log", 100), ("x/meta.properties", 50), ("y/meta.properties", 50)]);
    let part = DiskPart::LogDir("x".to_owned());
    assert!(disk.inject(&part, &DiskFault::FileLost { file: "*".to_owned() }, &mut rng(1)));
    assert_eq!(disk.list("x").unwrap(), ["orders-0"]);
    assert!(disk.list("x/orders-0").unwrap().is_empty());
    assert_eq!(content(&mut disk, "y/meta.properties").len(), 50);
}

#[test]
fn a_lost_file_stays_with_who_has_it_open_and_is_gone_for_all_others() {
    let mut disk = disk(&[("orders-0/a.log", 100), ("orders-0/b.index", 50)]);
    let open = disk.open("orders-0/a.log", false).unwrap();
    assert!(disk.inject(&orders(), &DiskFault::FileLost { file: "log".to_owned() }, &mut rng(1)));
    assert_eq!(disk.list("orders-0").unwrap(), ["b.index"]);
    disk.append(open, &[Bytes::from_static(b"x")]).unwrap();
    disk.sync(open).unwrap();
    assert_eq!(disk.read(open, 0, 101).unwrap().len(), 101);
    // Its place is taken by another while it is still open.
    let new = disk.open("orders-0/a.log", true).unwrap();
    assert_eq!((disk.len(new), disk.len(open)), (0, 101));
    disk.crash_process();
    assert_eq!(content(&mut disk, "orders-0/a.log").len(), 0);
    assert!(disk.inject(&orders(), &DiskFault::FileLost { file: "b.index".to_owned() }, &mut rng(1)));
    disk.lose_power(&mut rng(1));
    assert_eq!(
        disk.open("orders-0/b.index", false),
        Err(DiskError::NotFound { path: "orders-0/b.index".to_owned() })
    );
    assert!(!disk.inject(&orders(), &DiskFault::FileLost { file: "b.index".to_owned() }, &mut rng(1)));
}
