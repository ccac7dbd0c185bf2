//! What a rule is made of. The numbers are those on the wire and in metadata records.

use trial_wire::StrBytes;

use super::WILDCARD;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $code,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The one with this number; `None` for a number that no rule can have.
            pub fn from_code(code: i8) -> Option<$name> {
                $name::ALL.iter().copied().find(|one| *one as i8 == code)
            }

            /// Its number.
            pub fn code(self) -> i8 {
                self as i8
            }

            /// Its name, as in Kafka's tools.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => stringify!($variant),)*
                }
            }

            /// The one of this name.
            pub fn named(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

codes! {
    /// What kind of thing a rule is about.
    ResourceType {
        /// A topic, by name.
        Topic = 2,
        /// A group, by its id.
        Group = 3,
        /// The cluster.
        Cluster = 4,
        /// A transactional id.
        TransactionalId = 5,
        /// A delegation token, by its id. There are none, but there may be rules about them.
        DelegationToken = 6,
        /// A user, by its principal. As with delegation tokens.
        User = 7,
    }
}

codes! {
    /// Which resources of its type a rule is about (KIP-290).
    PatternType {
        /// The one of that name; all of them if the name is `*`.
        Literal = 3,
        /// Those whose names begin so.
        Prefixed = 4,
    }
}

codes! {
    /// What is done to a resource.
    AclOperation {
        /// Everything.
        All = 2,
        /// To fetch from a topic; to be a member of a group.
        Read = 3,
        /// To produce to a topic; to use a transactional id.
        Write = 4,
        /// To create it.
        Create = 5,
        /// To delete it.
        Delete = 6,
        /// To change it.
        Alter = 7,
        /// To see it.
        Describe = 8,
        /// What only brokers do.
        ClusterAction = 9,
        /// To see its configs.
        DescribeConfigs = 10,
        /// To change its configs.
        AlterConfigs = 11,
        /// To produce idempotently (superseded by KIP-679).
        IdempotentWrite = 12,
        /// To create tokens for a user.
        CreateTokens = 13,
        /// To see a user's tokens.
        DescribeTokens = 14,
    }
}

codes! {
    /// What a rule says.
    AclPermission {
        /// No. It wins over every yes.
        Deny = 2,
        /// Yes.
        Allow = 3,
    }
}

impl ResourceType {
    /// What can be done to resources of this type (`AclEntry.supportedOperations`), besides everything.
    pub fn operations(self) -> &'static [AclOperation] {
        use AclOperation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, Write,
        };
        match self {
            ResourceType::Topic => {
                &[Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs]
            }
            ResourceType::Group => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            ResourceType::Cluster => {
                &[Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe]
            }
            ResourceType::TransactionalId => &[Describe, Write],
            ResourceType::DelegationToken => &[Describe],
            ResourceType::User => &[CreateTokens, DescribeTokens],
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// What kind of resource it is about.
    pub resource_type: ResourceType,
    /// The name in the pattern.
    pub resource_name: StrBytes,
    /// How the name is meant.
    pub pattern_type: PatternType,
    /// About whom: a principal's text, or `User:*` for everybody.
    pub principal: StrBytes,
    /// From where. Nodes do not see addresses: a rule for another host than `*` applies to nobody.
    pub host: StrBytes,
    /// What it is about.
    pub operation: AclOperation,
    /// What it says.
    pub permission: AclPermission,
}

impl Acl {
    /// Whether the rule is about a resource of its type with this name.
    pub fn is_about(&self, name: &str) -> bool {
        match self.pattern_type {
            PatternType::Literal => {
                self.resource_name.as_str() == name || self.resource_name.as_str() == WILDCARD
            }
            PatternType::Prefixed => name.starts_with(self.resource_name.as_str()),
        }
    }
}
