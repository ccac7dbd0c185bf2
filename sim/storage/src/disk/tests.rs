//! What every disk does, and what only the simulated one does.

use bytes::Bytes;
use trial_node::{Disk, DiskError, Rng};

use crate::{DiskUsage, FileDisk, SimDisk};

fn on_both_disks(test: impl Fn(&mut dyn Disk)) {
    test(&mut SimDisk::new());
    let folder = tempfile::tempdir().unwrap();
    test(&mut FileDisk::new(folder.path()).unwrap());
}

fn put(disk: &mut dyn Disk, path: &str, content: &str) {
    let file = disk.open(path, true).unwrap();
    disk.append(file, &[Bytes::copy_from_slice(content.as_bytes())]).unwrap();
    disk.close(file);
}

fn get(disk: &mut dyn Disk, path: &str) -> Option<String> {
    let file = disk.open(path, false).ok()?;
    let content = disk.read(file, 0, disk.len(file)).unwrap();
    disk.close(file);
    Some(String::from_utf8(content.to_vec()).unwrap())
}

#[test]
fn files_grow_are_read_and_are_cut() {
    on_both_disks(|disk| {
        let missing = DiskError::NotFound { path: "a/b/c".into() };
        assert_eq!(disk.open("a/b/c", false), Err(missing));
        let file = disk.open("a/b/c", true).unwrap();
        assert_eq!(disk.len(file), 0);
        disk.append(file, &[Bytes::from_static(b"hello"), Bytes::new(), Bytes::from_static(b" world")])
            .unwrap();
        assert_eq!(disk.read(file, 3, 5).unwrap(), "lo wo");
        assert_eq!(disk.read(file, 11, 0).unwrap(), "");
        let past_end = DiskError::PastEnd { path: "a/b/c".into(), position: 8, len: 4, file_len: 11 };
        assert_eq!(disk.read(file, 8, 4), Err(past_end));
        assert!(disk.read(file, u64::MAX, 2).is_err());
        disk.truncate(file, 4).unwrap();
        disk.append(file, &[Bytes::from_static(b"!")]).unwrap();
        assert_eq!((disk.len(file), disk.read(file, 0, 5).unwrap()), (5, Bytes::from_static(b"hell!")));
        disk.sync(file).unwrap();
        disk.close(file);
        assert_eq!(get(disk, "a/b/c").unwrap(), "hell!");
    });
}

#[test]
fn names_are_listed_changed_and_removed() {
    on_both_disks(|disk| {
        for name in ["t/b", "t/a", "u/x", "z"] {
            put(disk, name, name);
        }
        assert_eq!(disk.list("").unwrap(), ["t", "u", "z"]);
        assert_eq!(disk.list("t").unwrap(), ["a", "b"]);
        assert_eq!(disk.list("nowhere").unwrap(), [""; 0]);
        let open = disk.open("t/a", false).unwrap();
        disk.rename("t/a", "t/b").unwrap();
        assert_eq!(disk.read(open, 0, 3).unwrap(), "t/a", "an open file stays open");
        disk.close(open);
        assert_eq!(
            (disk.list("t").unwrap(), get(disk, "t/b").unwrap()),
            (vec!["b".to_owned()], "t/a".to_owned())
        );
        disk.rename("t", "t2").unwrap();
        assert_eq!(get(disk, "t2/b").unwrap(), "t/a");
        assert_eq!(get(disk, "t/b"), None);
        disk.sync_folder("t2").unwrap();
        disk.sync_folder("").unwrap();
        disk.remove("t2").unwrap();
        disk.remove("z").unwrap();
        assert_eq!(disk.list("").unwrap(), ["u"]);
        assert_eq!(disk.remove("z"), Err(DiskError::NotFound { path: "z".into() }));
        assert!(matches!(disk.rename("z", "y"), Err(DiskError::NotFound { .. })));
    });
}

#[test]
fn a_real_disk_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::new(folder.path().join("data")).unwrap();
    for path in ["../x", "a/../../x", "/x", "a//b", ".", "", "a/./b"] {
        assert!(matches!(disk.open(path, true), Err(DiskError::Failed { .. })), "{path:?}");
        assert!(matches!(disk.rename("y", path), Err(DiskError::Failed { .. })), "{path:?}");
        assert!(matches!(disk.remove(path), Err(DiskError::Failed { .. })), "{path:?}");
    }
    assert!(matches!(disk.list(".."), Err(DiskError::Failed { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// What a file holds after power losses with many seeds.
fn outcomes(disk: &SimDisk, path: &str) -> Vec<Option<Vec<u8>>> {
    (0..200)
        .map(|seed| {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            let file = disk.open(path, false).ok()?;
            let len = disk.len(file);
            Some(disk.read(file, 0, len).unwrap().to_vec())
        })
        .collect()
}

#[test]
fn a_dead_process_loses_nothing() {
    let mut disk = SimDisk::new();
    put(&mut disk, "t/a", "hello");
    disk.crash_process();
    assert_eq!(get(&mut disk, "t/a").unwrap(), "hello");
}

#[test]
fn power_loss_keeps_what_was_synced_and_plays_with_the_rest() {
    let mut disk = SimDisk::new();
    let file = disk.open("t/a", true).unwrap();
    disk.append(file, &[Bytes::from(vec![b'a'; 5000])]).unwrap();
    disk.sync(file).unwrap();
    disk.sync_folder("t").unwrap();
    disk.sync_folder("").unwrap();
    disk.append(file, &[Bytes::from(vec![b'b'; 9000])]).unwrap();
    let after: Vec<Vec<u8>> = outcomes(&disk, "t/a").into_iter().map(|content| content.unwrap()).collect();
    assert!(
        after.iter().all(|content| content.len() <= 14_000 && content[..5000].iter().all(|b| *b == b'a'))
    );
    let rest = |content: &Vec<u8>| content[5000..].to_vec();
    assert!(after.iter().any(|content| content.len() == 5000), "all lost");
    assert!(after.iter().any(|content| rest(content) == vec![b'b'; 9000]), "all kept");
    let only_b = |content: &Vec<u8>| rest(content).iter().all(|b| *b == b'b');
    assert!(
        after.iter().any(|content| only_b(content) && (5001..14_000).contains(&content.len())),
        "in part"
    );
    assert!(after.iter().any(|content| rest(content).contains(&0)), "torn with zeros");
    assert!(
        after.iter().any(|content| rest(content).iter().any(|b| *b != 0 && *b != b'b')),
        "torn with garbage"
    );
}

#[test]
fn power_loss_may_undo_a_truncation() {
    let mut disk = SimDisk::new();
    let file = disk.open("a", true).unwrap();
    disk.append(file, &[Bytes::from_static(b"0123456789")]).unwrap();
    disk.sync(file).unwrap();
    disk.sync_folder("").unwrap();
    disk.truncate(file, 4).unwrap();
    disk.truncate(file, 2).unwrap();
    disk.append(file, &[Bytes::from_static(b"xy")]).unwrap();
    let after = outcomes(&disk, "a");
    let is = |content: &'static [u8]| move |found: &Option<Vec<u8>>| found.as_deref() == Some(content);
    assert!(after.iter().any(is(b"0123456789")));
    assert!(after.iter().any(is(b"01")));
    assert!(after.iter().any(is(b"01xy")));
    disk.sync(file).unwrap();
    assert!(outcomes(&disk, "a").iter().all(is(b"01xy")));
}

#[test]
fn power_loss_undoes_unsynced_names_from_the_last_one_back() {
    let mut disk = SimDisk::new();
    put(&mut disk, "t/a", "");
    disk.sync_folder("t").unwrap();
    disk.sync_folder("").unwrap();
    put(&mut disk, "t/b", "");
    disk.rename("t/b", "t/c").unwrap();
    disk.remove("t/a").unwrap();
    let mut seen: Vec<Vec<String>> = (0..100)
        .map(|seed| {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            disk.list("t").unwrap()
        })
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [vec!["a"], vec!["a", "b"], vec!["a", "c"], vec!["c"]]);
    disk.sync_folder("t").unwrap();
    disk.lose_power(&mut Rng::named(1, "power"));
    assert_eq!(disk.list("t").unwrap(), ["c"]);
}

#[test]
fn power_loss_may_bring_a_removed_folder_back_and_a_new_one_may_vanish() {
    let mut disk = SimDisk::new();
    put(&mut disk, "t/a", "hello");
    assert!(outcomes(&disk, "t/a").contains(&None), "nothing made the folder durable");
    let file = disk.open("t/a", false).unwrap();
    disk.sync(file).unwrap();
    disk.sync_folder("t").unwrap();
    disk.sync_folder("").unwrap();
    disk.rename("t", "gone").unwrap();
    disk.remove("gone").unwrap();
    let after = outcomes(&disk, "t/a");
    assert!(after.contains(&None) && after.contains(&Some(b"hello".to_vec())));
    disk.sync_folder("").unwrap();
    assert!(outcomes(&disk, "t/a").iter().all(|found| found.is_none()));
}

#[test]
fn the_flusher_makes_durable_what_has_been_dirty_for_a_while() {
    let mut disk = SimDisk::new();
    let file = disk.open("a", true).unwrap();
    disk.append(file, &[Bytes::from_static(b"old")]).unwrap();
    assert_eq!((disk.write_back(), disk.dirty_bytes()), (0, 3));
    disk.append(file, &[Bytes::from_static(b"new")]).unwrap();
    assert_eq!((disk.write_back(), disk.dirty_bytes()), (3, 3));
    assert!(outcomes(&disk, "a").iter().all(|found| found.as_deref().unwrap().starts_with(b"old")));
    assert!(outcomes(&disk, "a").iter().any(|found| found.as_deref() == Some(b"old")));
    assert_eq!((disk.write_back(), disk.dirty_bytes()), (3, 0));
    assert_eq!(disk.write_back(), 0);
    assert!(outcomes(&disk, "a").iter().all(|found| found.as_deref() == Some(b"oldnew")));
}

#[test]
fn usage_counts_what_was_asked() {
    let mut disk = SimDisk::new();
    let file = disk.open("a", true).unwrap();
    disk.append(file, &[Bytes::from(vec![0; 100])]).unwrap();
    disk.read(file, 10, 20).unwrap();
    disk.sync(file).unwrap();
    disk.append(file, &[Bytes::from(vec![0; 7])]).unwrap();
    disk.sync_folder("").unwrap();
    let expected =
        DiskUsage { bytes_read: 20, bytes_written: 107, syncs: 2, bytes_synced: 100, operations: 6 };
    assert_eq!(disk.take_usage(), expected);
    assert_eq!(disk.take_usage(), DiskUsage::default());
    assert_eq!(disk.dirty_bytes(), 7);
}

#[test]
fn clones_go_their_own_ways() {
    let mut disk = SimDisk::new();
    put(&mut disk, "a", "one");
    let mut other = disk.clone();
    put(&mut other, "a", " two");
    put(&mut other, "b", "");
    assert_eq!(
        (get(&mut disk, "a").unwrap(), get(&mut other, "a").unwrap()),
        ("one".into(), "one two".into())
    );
    assert_eq!(disk.list("").unwrap(), ["a"]);
}

#[test]
fn removed_nodes_are_freed() {
    let mut disk = SimDisk::new();
    for i in 0..100 {
        put(&mut disk, "t/checkpoint.tmp", &i.to_string());
        disk.rename("t/checkpoint.tmp", "t/checkpoint").unwrap();
        disk.sync_folder("t").unwrap();
    }
    assert!(disk.node_count() <= 4, "{} nodes", disk.node_count());
    disk.remove("t").unwrap();
    disk.sync_folder("").unwrap();
    assert_eq!((disk.node_count(), disk.dirty_bytes()), (1, 0));
}

#[test]
fn a_mirrored_disk_is_found_again_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mirrored = || SimDisk::mirrored(FileDisk::new(folder.path()).unwrap()).unwrap();
    let content = |disk: &mut SimDisk, path: &str| {
        let file = disk.open(path, false).unwrap();
        disk.read(file, 0, disk.len(file)).unwrap()
    };
    let mut disk = mirrored();
    let log = disk.open("a/0.log", true).unwrap();
    disk.append(log, &[Bytes::from_static(b"ab"), Bytes::from_static(b"cdef")]).unwrap();
    disk.truncate(log, 5).unwrap();
    let old = disk.open("a/old", true).unwrap();
    disk.sync(old).unwrap();
    disk.rename("a/old", "a/new").unwrap();
    disk.open("b/c/d", true).unwrap();
    disk.remove("b").unwrap();
    // A copy has no folder.
    let mut copy = disk.clone();
    copy.append(log, &[Bytes::from_static(b"only in the copy")]).unwrap();
    disk.crash_process();
    let mut again = mirrored();
    assert_eq!(again.list("").unwrap(), ["a"]);
    assert_eq!(again.list("a").unwrap(), ["0.log", "new"]);
    assert_eq!(content(&mut again, "a/0.log"), "abcde");
    assert_eq!((again.dirty_bytes(), again.take_usage().bytes_written), (0, 0));

    // What power loss leaves is what the folder holds.
    let log = again.open("a/0.log", false).unwrap();
    again.append(log, &[Bytes::from(vec![b'x'; 100_000])]).unwrap();
    again.open("a/unsynced", true).unwrap();
    again.lose_power(&mut Rng::named(3, "power"));
    let left = content(&mut again, "a/0.log");
    let mut third = mirrored();
    assert_eq!(third.list("a").unwrap(), again.list("a").unwrap());
    assert_eq!(content(&mut third, "a/0.log"), left);
    assert!(left.starts_with(b"abcde"));
}

#[test]
fn an_empty_folder_outlasts_a_power_loss_in_the_mirror_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = SimDisk::mirrored(FileDisk::new(folder.path()).unwrap()).unwrap();
    put(&mut disk, "a/b/0.log", "x");
    disk.remove("a/b/0.log").unwrap();
    for synced in ["", "a", "a/b"] {
        disk.sync_folder(synced).unwrap();
    }
    disk.lose_power(&mut Rng::named(1, "power"));
    assert!(folder.path().join("a/b").is_dir());
    disk.rename("a/b", "a/b-delete").unwrap();
    disk.remove("a/b-delete").unwrap();
}

#[test]
fn once_the_mirror_has_failed_nothing_more_is_written_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = SimDisk::mirrored(FileDisk::new(folder.path()).unwrap()).unwrap();
    let log = disk.open("0.log", true).unwrap();
    disk.append(log, &[Bytes::from_static(b"ab")]).unwrap();
    // Something else has made a file where a folder is to be.
    std::fs::write(folder.path().join("taken"), "").unwrap();
    let failed = disk.open("taken/0.log", true).unwrap_err();
    assert_eq!(disk.append(log, &[Bytes::from_static(b"cd")]), Err(failed.clone()));
    disk.crash_process();
    assert_eq!(disk.open("0.log", false), Err(failed), "also for the next process");
    assert_eq!(std::fs::read(folder.path().join("0.log")).unwrap(), b"ab");
}

/// A disk in this folder with a file of which a part is synced, in a folder whose new name is not.
fn half_synced(folder: &std::path::Path) -> SimDisk {
    let mut disk = SimDisk::mirrored(FileDisk::new(folder).unwrap()).unwrap();
    assert!(disk.list("").unwrap().is_empty());
    put(&mut disk, "a/0.log", "synced");
    put(&mut disk, "kept", "synced");
    let log = disk.open("a/0.log", false).unwrap();
    disk.sync(log).unwrap();
    ["", "a"].iter().for_each(|folder| disk.sync_folder(folder).unwrap());
    disk.append(log, &[Bytes::from(vec![b'x'; 100_000])]).unwrap();
    put(&mut disk, "a/new", "not synced");
    disk.rename("a", "b").unwrap();
    disk
}

#[test]
fn a_rewrite_of_the_mirror_that_breaks_off_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A process died while it rewrote the folder.
    std::fs::write(folder.path().join(".rewritten"), "half").unwrap();
    let mut disk = half_synced(folder.path());
    // Nothing can be written beside the files.
    std::fs::create_dir(folder.path().join(".rewritten")).unwrap();
    disk.lose_power(&mut Rng::named(3, "power"));
    assert!(disk.open("c", true).is_err());
    let mut again = SimDisk::mirrored(FileDisk::new(folder.path()).unwrap()).unwrap();
    let found = get(&mut again, "a/0.log").or_else(|| get(&mut again, "b/0.log"));
    assert!(found.unwrap().starts_with("synced"));
}

#[test]
fn a_rewritten_mirror_holds_what_the_disk_does() {
    let mut renamed = 0;
    for seed in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = half_synced(folder.path());
        disk.lose_power(&mut Rng::named(seed, "power"));
        let mut real = FileDisk::new(folder.path()).unwrap();
        for path in ["", "a", "b"] {
            assert_eq!(real.list(path).unwrap(), disk.list(path).unwrap(), "{seed} {path}");
        }
        for path in real.files().unwrap() {
            let file = disk.open(&path, false).unwrap();
            let content = disk.read(file, 0, disk.len(file)).unwrap();
            assert!(std::fs::read(folder.path().join(&path)).unwrap() == content, "{seed} {path}");
        }
        renamed += usize::from(folder.path().join("b").is_dir());
    }
    assert!((1..20).contains(&renamed));
}
