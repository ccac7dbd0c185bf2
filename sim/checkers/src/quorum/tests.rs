//! Each property holds in a healthy quorum and fires in a broken one.

use trial_node::view::MetadataView;
use trial_node::{LeaderEpoch, NodeId, Offset};

use crate::testing::{Fake, batch, evidence, only};

#[test]
fn two_leaders_and_two_votes_in_one_epoch_are_found() {
    let mut checkers = only("quorum-one-leader");
    let (mut one, mut two) = (Fake::new(1), Fake::new(2));
    one.quorum_step(&mut checkers, |n| (n.quorum.epoch, n.quorum.is_leader) = (LeaderEpoch(4), true));
    two.quorum_step(&mut checkers, |n| (n.quorum.epoch, n.quorum.leader) = (LeaderEpoch(4), Some(NodeId(1))));
    two.quorum_step(&mut checkers, |n| n.quorum.voted_for = Some(NodeId(1)));
    assert!(checkers.violations().is_empty());
    two.quorum_step(&mut checkers, |n| (n.quorum.is_leader, n.quorum.voted_for) = (true, Some(NodeId(2))));
    assert_eq!(
        evidence(&checkers),
        [
            "epoch 4: node 2 says that 2 leads, but 1 was its leader",
            "node 2 voted for 1 and for 2 in epoch 4"
        ]
    );
}

#[test]
fn an_epoch_or_high_watermark_that_goes_back_is_found() {
    let mut checkers = only("quorum-monotonic");
    let mut one = Fake::new(1);
    one.quorum_step(&mut checkers, |n| {
        n.quorum_batches = vec![batch(0, 1, 1), batch(1, 1, 2)];
        (n.quorum.epoch, n.quorum.high_watermark) = (LeaderEpoch(3), Some(Offset(2)));
    });
    checkers.broker_down(NodeId(1), false);
    one.quorum_step(&mut checkers, |n| n.quorum.high_watermark = None);
    one.quorum_step(&mut checkers, |n| n.quorum.high_watermark = Some(Offset(2)));
    assert!(checkers.violations().is_empty(), "a restarted node learns its high watermark anew");
    one.quorum_step(&mut checkers, |n| n.quorum.high_watermark = Some(Offset(1)));
    one.quorum_step(&mut checkers, |n| n.quorum.epoch = LeaderEpoch(2));
    assert_eq!(
        evidence(&checkers),
        [
            "node 1's high watermark went from Some(2) back to Some(1) in epoch 3",
            "node 1 went from epoch 3 back to 2"
        ]
    );
}

#[test]
fn committed_metadata_that_changes_is_found() {
    let mut checkers = only("quorum-committed");
    let (mut one, mut two) = (Fake::new(1), Fake::new(2));
    let log = vec![batch(0, 1, 1), batch(1, 1, 2)];
    one.quorum_step(&mut checkers, |n| {
        n.quorum_batches = log.clone();
        (n.quorum.is_leader, n.quorum.high_watermark) = (true, Some(Offset(2)));
    });
    two.quorum_step(&mut checkers, |n| (n.quorum_batches, n.quorum.high_watermark) = (log, Some(Offset(2))));
    assert!(checkers.violations().is_empty());
    two.quorum_step(&mut checkers, |n| {
        n.quorum_batches[1] = batch(1, 2, 9);
        (n.quorum.epoch, n.quorum.is_leader, n.quorum.truncations) = (LeaderEpoch(2), true, 1);
    });
    assert_eq!(
        evidence(&checkers),
        [
            "node 2 cut its log to 1, but everything below 2 was committed there",
            "node 2 (leader, epoch 2, high watermark 2) differs from what is committed below 2"
        ]
    );
}

#[test]
fn different_metadata_at_one_offset_is_found() {
    let mut checkers = only("metadata-agreement");
    let (mut one, mut two) = (Fake::new(1), Fake::new(2));
    let at = |offset, digest| MetadataView { offset: Offset(offset), digest };
    one.quorum_step(&mut checkers, |n| n.metadata = at(5, 77));
    two.quorum_step(&mut checkers, |n| n.metadata = at(4, 76));
    two.quorum_step(&mut checkers, |n| n.metadata = at(5, 77));
    assert!(checkers.violations().is_empty());
    two.quorum_step(&mut checkers, |n| n.metadata = at(6, 1));
    one.quorum_step(&mut checkers, |n| n.metadata = at(6, 2));
    assert_eq!(checkers.violations().len(), 1);
}
