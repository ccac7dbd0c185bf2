//! How a member gets from what it has to what its target gives it (KIP-848, "Reconciliation of the group").
//!
//! A member first gives up what is not in its target, and says so by listing what it holds; only then it comes into the
//! target's epoch, and gets whatever of it nobody else holds any more; it waits for the rest. So no partition is given to a
//! member before the one who had it has given it up, has left, or has been fenced.

use trial_node::TopicIdPartition;

use super::assignor::Partitions;
use super::member::{MemberAssignment, MemberState};

/// Where a member shall get to.
pub(super) struct Target<'a> {
    /// The epoch of the target assignment.
    pub(super) epoch: i32,
    /// What it gives the member.
    pub(super) partitions: &'a Partitions,
}

/// The next step of a member that is not there yet. `owned` is what it says that it holds, if it says so; `is_held` tells
/// whether any member of the group holds a partition. Without a step to take it is `None`.
pub(super) fn reconcile(
    current: &MemberAssignment,
    target: &Target<'_>,
    owned: Option<&Partitions>,
    is_held: impl Fn(&TopicIdPartition) -> bool,
) -> Option<MemberAssignment> {
    let epoch = match current.state {
        MemberState::Stable if current.epoch == target.epoch => return None,
        MemberState::UnrevokedPartitions if still_holds(owned, &current.pending_revocation) => return None,
        // It has shown that it heard of its epoch; the target may be further ahead than one.
        MemberState::UnrevokedPartitions => current.epoch + 1,
        MemberState::Stable | MemberState::UnreleasedPartitions => current.epoch,
    };
    let kept: Partitions = current.assigned.intersection(target.partitions).copied().collect();
    let revoked: Partitions = current.assigned.difference(target.partitions).copied().collect();

    let next = if !revoked.is_empty() && still_holds(owned, &revoked) {
        MemberAssignment {
            epoch,
            previous_epoch: current.epoch,
            state: MemberState::UnrevokedPartitions,
            assigned: kept,
            pending_revocation: revoked,
        }
    } else {
        let mut assigned = kept;
        let mut state = MemberState::Stable;
        for partition in target.partitions.difference(&current.assigned) {
            if is_held(partition) {
                state = MemberState::UnreleasedPartitions;
            } else {
                assigned.insert(*partition);
            }
        }
        MemberAssignment {
            epoch: target.epoch,
            previous_epoch: current.epoch,
            state,
            assigned,
            pending_revocation: Partitions::new(),
        }
    };
    (next != *current).then_some(next)
}

/// A member that does not say what it holds may hold everything.
fn still_holds(owned: Option<&Partitions>, revoked: &Partitions) -> bool {
    owned.is_none_or(|owned| !owned.is_disjoint(revoked))
}

#[cfg(test)]
mod tests {
    use trial_wire::Uuid;

    use super::*;

    fn set(partitions: &[i32]) -> Partitions {
        partitions
            .iter()
            .map(|&partition| TopicIdPartition { topic_id: Uuid::from_u128(1), partition })
            .collect()
    }

    fn member(
        state: MemberState,
        (epoch, previous_epoch): (i32, i32),
        assigned: &[i32],
        revoked: &[i32],
    ) -> MemberAssignment {
        let (assigned, pending_revocation) = (set(assigned), set(revoked));
        MemberAssignment { epoch, previous_epoch, state, assigned, pending_revocation }
    }

    fn step(
        current: &MemberAssignment,
        epoch: i32,
        target: &[i32],
        owned: Option<&[i32]>,
        held: &[i32],
    ) -> Option<MemberAssignment> {
        let (target, owned, held) = (set(target), owned.map(set), set(held));
        reconcile(current, &Target { epoch, partitions: &target }, owned.as_ref(), |p| held.contains(p))
    }

    #[test]
    fn a_new_member_gets_what_is_free_and_waits_for_the_rest() {
        use MemberState::*;
        let new = MemberAssignment::default();
        let first = step(&new, 5, &[0, 1], Some(&[]), &[1]).unwrap();
        assert_eq!(first, member(UnreleasedPartitions, (5, 0), &[0], &[]));
        assert_eq!(step(&first, 5, &[0, 1], None, &[0, 1]).unwrap().previous_epoch, 5);
        let waiting = member(UnreleasedPartitions, (5, 5), &[0], &[]);
        assert_eq!(step(&waiting, 5, &[0, 1], None, &[0, 1]), None);
        assert_eq!(step(&waiting, 5, &[0, 1], None, &[0]), Some(member(Stable, (5, 5), &[0, 1], &[])));
    }

    #[test]
    fn a_member_stays_in_its_epoch_until_it_no_longer_holds_what_it_has_to_give_up() {
        use MemberState::*;
        let stable = member(Stable, (4, 3), &[0, 1, 2], &[]);
        let told = step(&stable, 5, &[0, 3], None, &[0, 1, 2]).unwrap();
        assert_eq!(told, member(UnrevokedPartitions, (4, 4), &[0], &[1, 2]));
        assert_eq!(step(&told, 5, &[0, 3], None, &[0, 1, 2]), None);
        assert_eq!(step(&told, 5, &[0, 3], Some(&[0, 2]), &[0, 1, 2]), None);
        let done = step(&told, 5, &[0, 3], Some(&[0]), &[0, 1, 2]);
        assert_eq!(done, Some(member(Stable, (5, 4), &[0, 3], &[])));
        // Meanwhile the target has moved on, and takes another.
        let again = step(&told, 7, &[3], Some(&[0]), &[0, 1, 2]);
        assert_eq!(again, Some(member(UnrevokedPartitions, (5, 4), &[], &[0])));
    }

    #[test]
    fn nothing_to_give_up_needs_no_word_from_the_member() {
        use MemberState::*;
        let stable = member(Stable, (4, 3), &[0], &[]);
        assert_eq!(step(&stable, 4, &[0, 1], None, &[0]), None, "it has reached this target before");
        assert_eq!(step(&stable, 6, &[0], None, &[0]), Some(member(Stable, (6, 4), &[0], &[])));
        // It holds nothing any more: it need not be asked.
        assert_eq!(step(&stable, 6, &[], Some(&[]), &[0]), Some(member(Stable, (6, 4), &[], &[])));
    }
}
