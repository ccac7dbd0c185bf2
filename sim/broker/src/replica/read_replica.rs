//! From which replica a consumer should read (KIP-392).

use trial_node::{NodeId, Offset};
use trial_wire::StrBytes;

use super::metadata::ClusterMetadata;
use super::partition::{Partition, Role};

/// The replica in the consumer's rack that it should read from on, as the rack-aware selector of Kafka chooses: the leader, if
/// it is there, else who of those that are in sync and have the offset has come farthest. `None` if that is the leader, or this
/// broker does not lead.
pub(super) fn preferred_read_replica(
    metadata: &dyn ClusterMetadata,
    partition: &Partition,
    me: NodeId,
    rack: &StrBytes,
    offset: Offset,
) -> Option<NodeId> {
    let Role::Leader(leadership) = &partition.role else { return None };
    let is_near = |node| metadata.rack(node).is_some_and(|other| other == rack);
    if is_near(me) {
        return None;
    }
    let has_it = leadership.remotes.iter().filter(|remote| {
        remote.log_end_offset >= offset
            && remote.log_start_offset <= offset
            && leadership.isr.committed.contains(&remote.id)
            && is_near(remote.id)
    });
    has_it.max_by_key(|remote| remote.progress()).map(|remote| remote.id)
}
