//! Access control lists: rules about who may do what to which resource (KIP-11, KIP-290), and deciding by them.

mod authorizer;
mod filter;
mod types;

pub use authorizer::Authorizer;
pub use filter::AclFilter;
pub use types::{Acl, AclOperation, AclPermission, PatternType, ResourceType};

/// The name, host or user that stands for all.
pub const WILDCARD: &str = "*";
/// The name of the one resource of type [`ResourceType::Cluster`].
pub const CLUSTER_NAME: &str = "kafka-cluster";

#[cfg(test)]
mod tests;
