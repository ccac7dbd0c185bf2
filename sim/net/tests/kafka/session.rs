//! Sessions that are recorded and run again.

use std::fs;

use trial_net::session::{Ending, ReplayError, Replayed, Session, SessionError, replay};

use super::control::ask;
use super::{Plain, Running, brokers, fetch, produce, values, with_topic};

/// Runs what a file holds on a new cluster.
fn run(bytes: &[u8]) -> (Result<Replayed, ReplayError<trial_world::WorldError>>, Plain) {
    let mut plain = Plain::new();
    let mut session = Session::open(bytes).expect("it is a session");
    (replay(&mut session, &mut plain, &brokers()), plain)
}

/// A session in which a client produces and fetches, an operator kills a broker and heals it, and one client stays until the
/// end.
fn session() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("session");
    let server = Running::recorded(file.clone());
    let mut bystander = server.client(0);
    bystander.metadata("payments");
    let mut client = with_topic(&server, "orders");
    client.ask(9, produce("orders", -1, &["a", "b"]));
    client.send(9, &produce("orders", 0, &["c"]));
    assert_eq!(values(client.ask(12, fetch("orders", 1)))[..2], ["a", "b"]);
    assert_eq!(ask(server.control, "POST /fault", "", "broker-3").0, 200);
    assert_eq!(ask(server.control, "POST /fault", "", "broker-9").0, 400);
    drop(client);
    assert_eq!(ask(server.control, "POST /heal", "", "").0, 200);
    bystander.metadata("payments");
    server.end();
    fs::read(file).expect("it was written")
}

#[test]
fn a_session_runs_again_to_the_same_hash() {
    let bytes = session();
    for _ in 0..3 {
        let (replayed, plain) = run(&bytes);
        let replayed = replayed.expect("it is the same cluster");
        let Ending::Whole(outcome) = replayed.ending else { panic!("{:?}", replayed.ending) };
        assert_eq!(outcome, plain.outcome());
    }
}

#[test]
fn a_session_that_was_cut_short_runs_as_far_as_it_goes() {
    let bytes = session();
    let whole = run(&bytes).0.expect("it is the same cluster");
    // The outcome is 34 bytes, the end before it 17.
    let (replayed, _) = run(&bytes[..bytes.len() - 34]);
    let replayed = replayed.expect("all inputs are there");
    assert!(matches!(replayed.ending, Ending::Early), "{:?}", replayed.ending);
    assert_eq!(replayed.inputs, whole.inputs);
    let (replayed, _) = run(&bytes[..bytes.len() - 60]);
    let replayed = replayed.expect("what is there is as it was");
    assert!(
        matches!(replayed.ending, Ending::Damaged(SessionError::Damaged { .. })),
        "{:?}",
        replayed.ending
    );
    assert!(replayed.inputs < whole.inputs);
}

/// An entry of a session's file, with its length and its checksum.
fn entry(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it fits").to_be_bytes();
    [&length[..], &crc32c::crc32c(payload).to_be_bytes(), payload].concat()
}

#[test]
fn a_session_that_goes_back_or_goes_on_after_its_outcome_is_damaged_there() {
    let bytes = session();
    let close = |at: u64| entry(&[&[4][..], &at.to_be_bytes(), &[0; 8]].concat());
    let whole = run(&bytes).0.expect("it is the same cluster").inputs;
    let before_the_outcome = &bytes[..bytes.len() - 34];
    for (kept, what) in [(&bytes[..], "an entry after"), (before_the_outcome, "an instant before")] {
        let replayed = run(&[kept, &close(1)].concat()).0.expect("what is there is as it was");
        assert_eq!(replayed.inputs, whole);
        let Ending::Damaged(SessionError::Damaged { offset, what: found }) = replayed.ending else {
            panic!("{:?}", replayed.ending)
        };
        assert_eq!(offset, kept.len() as u64);
        assert!(found.starts_with(what), "{found}");
    }
}
