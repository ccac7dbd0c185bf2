//! What one client may do.

use std::sync::Arc;

use trial_security::KafkaPrincipal;
use trial_security::acl::{AclOperation, Authorizer, CLUSTER_NAME, ResourceType};

/// What a client may do, as the ACLs stood when its request came.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    authorizer: Arc<Authorizer>,
    who: KafkaPrincipal,
}

impl Access {
    /// What `who` may do.
    pub fn new(authorizer: Arc<Authorizer>, who: KafkaPrincipal) -> Access {
        Access { authorizer, who }
    }

    /// Whether this is certainly the same as another: somebody's rights by the same ACLs.
    pub fn is_same(&self, other: &Access) -> bool {
        Arc::ptr_eq(&self.authorizer, &other.authorizer) && self.who == other.who
    }

    /// Something with the cluster.
    pub fn cluster(&self, operation: AclOperation) -> bool {
        self.authorizer.allows(&self.who, operation, ResourceType::Cluster, CLUSTER_NAME)
    }

    /// Something with a topic.
    pub fn topic(&self, operation: AclOperation, name: &str) -> bool {
        self.authorizer.allows(&self.who, operation, ResourceType::Topic, name)
    }

    /// Something with a group.
    pub fn group(&self, operation: AclOperation, id: &str) -> bool {
        self.authorizer.allows(&self.who, operation, ResourceType::Group, id)
    }

    /// Something with a transactional id.
    pub fn transactional_id(&self, operation: AclOperation, id: &str) -> bool {
        self.authorizer.allows(&self.who, operation, ResourceType::TransactionalId, id)
    }

    /// Something with some topic, whichever.
    pub fn some_topic(&self, operation: AclOperation) -> bool {
        self.authorizer.allows_any(&self.who, operation, ResourceType::Topic)
    }

    fn operations(&self, resource_type: ResourceType, name: &str) -> i32 {
        let operations = resource_type.operations().iter().copied();
        bits(
            operations.filter(|operation| self.authorizer.allows(&self.who, *operation, resource_type, name)),
        )
    }
}

/// The operations that a client may do with a resource, a bit each (KIP-430). `None` is somebody who may do everything.
pub(crate) fn authorized_operations(access: Option<&Access>, resource_type: ResourceType, name: &str) -> i32 {
    match access {
        Some(access) => access.operations(resource_type, name),
        None => bits(resource_type.operations().iter().copied()),
    }
}

fn bits(operations: impl Iterator<Item = AclOperation>) -> i32 {
    operations.fold(0, |bits, operation| bits | 1 << operation.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_bits() {
        let all = authorized_operations(None, ResourceType::Group, "billing");
        // READ 3, DELETE 6, DESCRIBE 8, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11.
        assert_eq!(all, 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11);
        let nobody = Access::new(Arc::default(), KafkaPrincipal::anonymous());
        assert_eq!(authorized_operations(Some(&nobody), ResourceType::Group, "billing"), 0);
    }
}
