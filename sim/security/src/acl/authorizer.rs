//! Deciding by rules (`StandardAuthorizer`, KIP-801).

use std::collections::{BTreeMap, BTreeSet};

use trial_wire::{StrBytes, Uuid};

use super::{Acl, AclOperation, AclPermission, PatternType, ResourceType, WILDCARD};
use crate::KafkaPrincipal;

/// Everybody, in a rule.
const EVERYBODY: &str = "User:*";
/// A name as good as any other.
const ANY_NAME: &str = "hardcode";

/// Every rule, and what holds where there is none.
#[derive(Clone, Debug, Default)]
pub struct Authorizer {
    /// `super.users`: they may do everything.
    super_users: BTreeSet<StrBytes>,
    /// `allow.everyone.if.no.acl.found`.
    allow_without_acl: bool,
    acls: BTreeMap<Uuid, Acl>,
    patterns: BTreeMap<ResourceType, Patterns>,
}

/// The rules about resources of one type, by the names in their patterns.
#[derive(Clone, Debug, Default)]
struct Patterns {
    literal: BTreeMap<StrBytes, Vec<Uuid>>,
    prefixed: BTreeMap<StrBytes, Vec<Uuid>>,
}

impl Patterns {
    fn of(&mut self, pattern: PatternType) -> &mut BTreeMap<StrBytes, Vec<Uuid>> {
        match pattern {
            PatternType::Literal => &mut self.literal,
            PatternType::Prefixed => &mut self.prefixed,
        }
    }

    /// The rules about the resource of this name.
    fn about<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Uuid> {
        let wildcard = self.literal.get(WILDCARD.as_bytes()).filter(|_| name != WILDCARD);
        let literal = [self.literal.get(name.as_bytes()), wildcard];
        let ends = if self.prefixed.is_empty() { 0 } else { name.len() + 1 };
        let prefixed = (0..ends).filter_map(move |end| self.prefixed.get(&name.as_bytes()[..end]));
        literal.into_iter().flatten().chain(prefixed).flatten()
    }
}

impl Authorizer {
    /// No rules yet.
    pub fn new(super_users: impl IntoIterator<Item = StrBytes>, allow_without_acl: bool) -> Authorizer {
        Authorizer {
            super_users: super_users.into_iter().collect(),
            allow_without_acl,
            ..Authorizer::default()
        }
    }

    /// A rule is there, has changed, or with `None` is gone.
    pub fn set(&mut self, id: Uuid, acl: Option<&Acl>) {
        if let Some(old) = self.acls.remove(&id) {
            let patterns = self.patterns.entry(old.resource_type).or_default().of(old.pattern_type);
            let ids = patterns.get_mut(&old.resource_name).expect("a rule is found by its pattern");
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                patterns.remove(&old.resource_name);
            }
        }
        if let Some(acl) = acl {
            let patterns = self.patterns.entry(acl.resource_type).or_default().of(acl.pattern_type);
            patterns.entry(acl.resource_name.clone()).or_default().push(id);
            self.acls.insert(id, acl.clone());
        }
    }

    /// Whether somebody may do something to a resource: if no rule denies it, and some rule allows it.
    pub fn allows(
        &self,
        who: &KafkaPrincipal,
        operation: AclOperation,
        resource_type: ResourceType,
        name: &str,
    ) -> bool {
        if self.super_users.contains(who.text()) {
            return true;
        }
        let (mut any, mut allowed) = (false, false);
        let about = self.patterns.get(&resource_type).into_iter().flat_map(|patterns| patterns.about(name));
        for id in about {
            let acl = &self.acls[id];
            any = true;
            if applies(acl, who, operation) {
                match acl.permission {
                    AclPermission::Deny => return false,
                    AclPermission::Allow => allowed = true,
                }
            }
        }
        allowed || !any && self.allow_without_acl
    }

    /// Whether there can be any resource of the type that somebody may do something to (KIP-679): whether some rule allows it
    /// that no other takes back entirely.
    pub fn allows_any(
        &self,
        who: &KafkaPrincipal,
        operation: AclOperation,
        resource_type: ResourceType,
    ) -> bool {
        // A name that no rule is about shows what holds for super users, by wildcards, and without rules.
        if self.allows(who, operation, resource_type, ANY_NAME) {
            return true;
        }
        let none = Patterns::default();
        let patterns = self.patterns.get(&resource_type).unwrap_or(&none);
        let says = |ids: &Vec<Uuid>, permission| {
            ids.iter().map(|id| &self.acls[id]).any(|acl| {
                // What implies an operation does not count here.
                let exactly = [operation, AclOperation::All].contains(&acl.operation);
                acl.permission == permission && exactly && applies(acl, who, operation)
            })
        };
        let denied = |ids: Option<&Vec<Uuid>>| ids.is_some_and(|ids| says(ids, AclPermission::Deny));
        let denied_by_prefix =
            |name: &str| (0..=name.len()).any(|end| denied(patterns.prefixed.get(&name.as_bytes()[..end])));
        if denied(patterns.literal.get(WILDCARD.as_bytes())) {
            return false;
        }
        let allowed = |(_, ids): &(&StrBytes, &Vec<Uuid>)| says(ids, AclPermission::Allow);
        let mut by_prefix = patterns.prefixed.iter().filter(allowed);
        let mut by_name = patterns.literal.iter().filter(allowed);
        by_prefix.any(|(prefix, _)| !denied_by_prefix(prefix))
            || by_name.any(|(name, _)| {
                name.as_str() == WILDCARD || !denied_by_prefix(name) && !denied(patterns.literal.get(name))
            })
    }
}

/// Whether a rule about the right resource is about somebody's operation on it.
fn applies(acl: &Acl, who: &KafkaPrincipal, operation: AclOperation) -> bool {
    (acl.principal == *who.text() || acl.principal.as_str() == EVERYBODY)
        && acl.host.as_str() == WILDCARD
        && (acl.operation == AclOperation::All
            || acl.operation == operation
            || acl.permission == AclPermission::Allow && implies(acl.operation, operation))
}

/// Whether who may do the first may do the second.
fn implies(allowed: AclOperation, operation: AclOperation) -> bool {
    use AclOperation::{Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    match operation {
        Describe => [Read, Write, Delete, Alter].contains(&allowed),
        DescribeConfigs => allowed == AlterConfigs,
        _ => false,
    }
}
