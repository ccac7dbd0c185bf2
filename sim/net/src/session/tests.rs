use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use trial_node::{ConnId, Time};

use super::entry::{Checkpoint, Entry, Outcome};
use super::reader::{Session, SessionError};
use super::writer::put;
use super::{Journal, MAGIC, VERSION};
use crate::order::{FaultId, Order};

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        any::<String>().prop_map(Order::Fault),
        any::<u64>().prop_map(|id| Order::Heal(FaultId(id))),
        Just(Order::HealAll),
        Just(Order::CallOff),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let at = any::<u64>().prop_map(Time);
    let conn = any::<u64>().prop_map(ConnId);
    let frame = vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    prop_oneof![
        (at.clone(), conn.clone(), any::<u32>(), any::<u16>())
            .prop_map(|(at, conn, broker, port)| Entry::Connect { at, conn, broker, port }),
        (at.clone(), conn.clone(), frame).prop_map(|(at, conn, frame)| Entry::Request { at, conn, frame }),
        (at.clone(), conn).prop_map(|(at, conn)| Entry::Close { at, conn }),
        (at.clone(), order()).prop_map(|(at, order)| Entry::Order { at, order }),
        (any::<u64>(), at.clone(), any::<u128>())
            .prop_map(|(event, at, hash)| Entry::Checkpoint(Checkpoint { event, at, hash })),
        at.prop_map(|at| Entry::End { at }),
        (any::<u64>(), any::<u128>(), any::<bool>())
            .prop_map(|(events, hash, passed)| Entry::Outcome(Outcome { events, hash, passed })),
    ]
}

/// A file with these entries, and where each of them begins.
fn file(header: &str, entries: &[Entry]) -> (Vec<u8>, Vec<usize>) {
    let mut out = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
    let mut starts = Vec::new();
    for entry in std::iter::once(&Entry::Header(header.to_owned())).chain(entries) {
        starts.push(out.len());
        put(entry.clone(), &mut Vec::new(), &mut out).expect("memory takes it");
    }
    (out, starts)
}

/// What can be read, and why no more can be.
fn read(bytes: &[u8]) -> (Vec<Entry>, Option<SessionError>) {
    let mut session = match Session::open(bytes) {
        Ok(session) => session,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut entries = vec![Entry::Header(session.header().to_owned())];
    loop {
        match session.next() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return (entries, None),
            Err(error) => return (entries, Some(error)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in any::<String>(), entries in vec(entry(), 0..20)) {
        let (found, error) = read(&file(&header, &entries).0);
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(&found[0], &Entry::Header(header));
        prop_assert_eq!(&found[1..], &entries[..]);
    }

    #[test]
    fn of_a_file_that_is_cut_all_whole_entries_are_read(
        entries in vec(entry(), 1..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, starts) = file("{}", &entries);
        let cut = cut.index(bytes.len());
        let (found, error) = read(&bytes[..cut]);
        let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
        prop_assert_eq!(found.len(), whole);
        let at_an_edge = whole > 0 && starts.contains(&cut);
        prop_assert_eq!(error.is_none(), at_an_edge);
        if let Some(SessionError::Damaged { offset, .. }) = error {
            let expected = if whole > 0 { starts[whole] } else { offset as usize };
            prop_assert_eq!(offset as usize, expected);
        }
    }

    #[test]
    fn a_bit_that_has_flipped_is_found(
        entries in vec(entry(), 1..10),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut bytes, starts) = file("{}", &entries);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let (found, error) = read(&bytes);
        prop_assert!(error.is_some());
        let intact = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= place).count();
        prop_assert_eq!(found.len(), intact);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..200)) {
        let start = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        read(&bytes);
        read(&[start, bytes].concat());
    }
}

#[test]
fn what_is_no_session_is_told_apart() {
    let error = |bytes: &[u8]| read(bytes).1.expect("it is none").to_string();
    assert_eq!(error(b"name = \"x\"\n"), "this is no recorded session: it does not begin with \"TRIALSES\"");
    assert_eq!(
        error(b"TRIALSES\0\0\0\x09"),
        "this session has version 9 of the format, and only version 1 can be read"
    );
    assert_eq!(error(b"TRIALSES\0\0\0\x01"), "damaged at byte 12: the file ends before its header");
    // A length without end takes no memory.
    assert_eq!(
        error(b"TRIALSES\0\0\0\x01\xff\xff\xff\xff\0\0\0\0"),
        "damaged at byte 12: the entry's length is impossible"
    );
}

#[test]
fn a_journal_is_a_file_that_can_be_read_as_it_grows() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("session");
    let journal = Journal::create(&path, "{\"seed\":1}".to_owned()).expect("it can be made");
    let (found, error) = read(&std::fs::read(&path).expect("it is there"));
    assert_eq!((found, error.is_none()), (vec![Entry::Header("{\"seed\":1}".to_owned())], true));
    let close = Entry::Close { at: Time(5), conn: ConnId(7) };
    assert!(journal.put(vec![close.clone(), close.clone()]));
    journal.close().expect("it is written");
    assert_eq!(read(&std::fs::read(&path).expect("it is there")).0[1..], [close.clone(), close]);
}
