//! Which rules somebody asks for (`AclBindingFilter`).

use trial_wire::StrBytes;

use super::{Acl, AclOperation, AclPermission, PatternType, ResourceType};

/// `ANY` of each enumeration on the wire.
const ANY: i8 = 1;
/// `PatternType.MATCH` on the wire.
const MATCH: i8 = 2;

/// Some rules; what is `None` does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclFilter {
    resource_type: Option<ResourceType>,
    resource_name: Option<StrBytes>,
    pattern: Pattern,
    principal: Option<StrBytes>,
    host: Option<StrBytes>,
    operation: Option<AclOperation>,
    permission: Option<AclPermission>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Whatever the pattern is.
    Any,
    /// Every rule that is about the resource of that name.
    Match,
    /// Rules of this type of pattern.
    Is(PatternType),
}

impl AclFilter {
    /// A filter from its parts on the wire: the type, name and pattern of the resource, principal, host, operation and
    /// permission. `None` if a number is unknown.
    pub fn from_wire(
        (resource_type, resource_name, pattern_type): (i8, Option<StrBytes>, i8),
        (principal, host): (Option<StrBytes>, Option<StrBytes>),
        (operation, permission): (i8, i8),
    ) -> Option<AclFilter> {
        Some(AclFilter {
            resource_type: one_or_any(resource_type, ResourceType::from_code)?,
            resource_name,
            pattern: match pattern_type {
                ANY => Pattern::Any,
                MATCH => Pattern::Match,
                code => Pattern::Is(PatternType::from_code(code)?),
            },
            principal,
            host,
            operation: one_or_any(operation, AclOperation::from_code)?,
            permission: one_or_any(permission, AclPermission::from_code)?,
        })
    }

    /// Whether a rule is among them.
    pub fn matches(&self, acl: &Acl) -> bool {
        fn fits<T: PartialEq>(wanted: &Option<T>, given: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        }
        let resource = match (self.pattern, &self.resource_name) {
            (_, None) | (Pattern::Any, _) => fits(&self.resource_name, &acl.resource_name),
            (Pattern::Match, Some(name)) => acl.is_about(name),
            (Pattern::Is(_), Some(name)) => *name == acl.resource_name,
        };
        let pattern = match self.pattern {
            Pattern::Is(pattern) => pattern == acl.pattern_type,
            Pattern::Any | Pattern::Match => true,
        };
        resource
            && pattern
            && fits(&self.resource_type, &acl.resource_type)
            && fits(&self.principal, &acl.principal)
            && fits(&self.host, &acl.host)
            && fits(&self.operation, &acl.operation)
            && fits(&self.permission, &acl.permission)
    }
}

fn one_or_any<T>(code: i8, from_code: fn(i8) -> Option<T>) -> Option<Option<T>> {
    if code == ANY { Some(None) } else { from_code(code).map(Some) }
}
