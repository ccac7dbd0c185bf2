//! `quorum-state` and the configuration: what is written, and what does not open.

use bytes::Bytes;
use trial_node::{Disk, NodeId, Now, OpenError, Rng};
use trial_raft::{Env, Raft, RaftConfig};

use crate::disk::TestDisk;
use crate::log::TestLog;
use crate::member::{Before, Member, config, vote_request};

const PATH: &str = "__cluster_metadata-0/quorum-state";

fn write(disk: &mut TestDisk, content: &'static str) {
    let file = disk.open(PATH, true).unwrap();
    disk.append(file, &[Bytes::from_static(content.as_bytes())]).unwrap();
}

fn open(config: RaftConfig, disk: &mut TestDisk) -> Result<Raft<TestLog>, OpenError> {
    let log = TestLog::open(disk);
    let mut rng = Rng::named(1, "state");
    Raft::open(config, log, &mut Env { now: Now::default(), disk, rng: &mut rng })
}

#[test]
fn the_file_is_kafkas() {
    let mut member = Member::start(config(1, 3), Before::default());
    member.vote(vote_request(2, 7, 0, 0, false));
    let file = member.disk.open(PATH, false).unwrap();
    let content = member.disk.read(file, 0, member.disk.len(file)).unwrap();
    assert_eq!(
        String::from_utf8(content.to_vec()).unwrap(),
        r#"{"clusterId":"","leaderId":-1,"leaderEpoch":7,"votedId":2,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2},{"voterId":3}],"data_version":0}"#
    );
}

#[test]
fn both_versions_are_read() {
    let mut disk = TestDisk::default();
    write(
        &mut disk,
        r#"{"leaderId":3,"leaderEpoch":9,"votedId":2,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
    );
    let raft = open(config(1, 3), &mut disk).unwrap();
    let view = raft.quorum_view();
    assert_eq!((view.epoch.0, view.leader, view.voted_for), (9, Some(NodeId(3)), Some(NodeId(2))));
}

#[test]
fn a_broken_file_does_not_open() {
    for (content, wrong) in [
        ("", "not a quorum state: EOF"),
        (r#"{"leaderEpoch":1,"votedId":2,"data_version":0}"#, "not a quorum state: missing field `leaderId`"),
        (
            r#"{"leaderId":1,"leaderEpoch":1,"votedId":2,"data_version":2}"#,
            "data_version 2 is unknown; 0 and 1 are",
        ),
        (r#"{"leaderId":1,"leaderEpoch":-1,"votedId":2,"data_version":0}"#, "leaderEpoch -1 is negative"),
    ] {
        let mut disk = TestDisk::default();
        write(&mut disk, content);
        let Err(OpenError::Corrupt { path, what }) = open(config(1, 3), &mut disk) else {
            panic!("{content} was taken")
        };
        assert_eq!(path, PATH);
        assert!(what.starts_with(wrong), "{what}");
    }
}

#[test]
fn voters_must_make_sense() {
    let key = |voters: i32, change: &dyn Fn(&mut RaftConfig)| {
        let mut config = config(1, voters);
        change(&mut config);
        match open(config, &mut TestDisk::default()) {
            Err(OpenError::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key(0, &|_| {}), "controller.quorum.voters");
    assert_eq!(key(3, &|config| config.voters[1].0 = NodeId(1)), "controller.quorum.voters");
    let none = trial_node::Span::ZERO;
    assert_eq!(key(3, &|config| config.election_timeout = none), "controller.quorum.election.timeout.ms");
}
