//! What changed between two images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trial_node::{NodeId, TopicIdPartition};
use trial_wire::Uuid;

use super::TopicImage;
use crate::record::ConfigResource;

/// What records changed, of all that a broker acts on, since it last applied the image. The new values are in the
/// image; what is named here and not there is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// Brokers that registered, changed or went.
    pub brokers: BTreeSet<NodeId>,
    /// Topics that were created.
    pub created_topics: BTreeSet<Uuid>,
    /// Topics that were deleted, as they were before. A topic created and deleted within one delta is in neither.
    pub deleted_topics: BTreeMap<Uuid, Arc<TopicImage>>,
    /// Partitions that were created or changed and exist.
    pub partitions: BTreeSet<TopicIdPartition>,
    /// Resources of which a config was set or removed.
    pub configs: BTreeSet<ConfigResource>,
    /// ACLs that came or went.
    pub acls: BTreeSet<Uuid>,
    /// Whether a quota was set or removed.
    pub quotas: bool,
}

impl MetadataDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == MetadataDelta::default()
    }
}
