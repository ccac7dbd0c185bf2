use proptest::prelude::*;
use trial_wire::{StrBytes, Uuid};

use super::*;
use crate::KafkaPrincipal;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn acl(
    (pattern_type, resource_name): (PatternType, &str),
    principal: &str,
    (permission, operation): (AclPermission, AclOperation),
) -> Acl {
    Acl {
        resource_type: ResourceType::Topic,
        resource_name: text(resource_name),
        pattern_type,
        principal: text(principal),
        host: text(WILDCARD),
        operation,
        permission,
    }
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "ab", "abc", "b", "*"])
}

fn operations() -> impl Strategy<Value = AclOperation> {
    prop::sample::select(AclOperation::ALL)
}

fn acls() -> impl Strategy<Value = Acl> {
    let pattern = prop::sample::select(PatternType::ALL);
    let principal = prop::sample::select(vec!["User:alice", "User:bob", "User:*"]);
    let permission = prop::sample::select(AclPermission::ALL);
    let host = prop::sample::select(vec!["*", "*", "*", "10.0.0.1"]);
    (pattern, names(), principal, permission, operations(), host, any::<bool>()).prop_map(
        |(pattern, name, principal, permission, operation, host, topic)| Acl {
            resource_type: if topic { ResourceType::Topic } else { ResourceType::Group },
            host: text(host),
            ..acl((pattern, name), principal, (permission, operation))
        },
    )
}

/// What Kafka's documentation says, rule by rule.
fn naive(acls: &[Acl], allow_without_acl: bool, who: &str, operation: AclOperation, name: &str) -> bool {
    use AclOperation::*;
    let about: Vec<&Acl> = acls
        .iter()
        .filter(|acl| acl.resource_type == ResourceType::Topic)
        .filter(|acl| match acl.pattern_type {
            PatternType::Literal => [name, "*"].contains(&acl.resource_name.as_str()),
            PatternType::Prefixed => name.starts_with(acl.resource_name.as_str()),
        })
        .collect();
    let mine = |acl: &&&Acl| acl.host.as_str() == "*" && [who, "User:*"].contains(&acl.principal.as_str());
    let denied = about.iter().filter(mine).any(|acl| {
        acl.permission == AclPermission::Deny && (acl.operation == All || acl.operation == operation)
    });
    let allowed = about.iter().filter(mine).any(|acl| {
        let implied = match acl.operation {
            All => true,
            Read | Write | Delete | Alter => operation == Describe,
            AlterConfigs => operation == DescribeConfigs,
            _ => false,
        };
        acl.permission == AclPermission::Allow && (implied || acl.operation == operation)
    });
    !denied && (allowed || about.is_empty() && allow_without_acl)
}

proptest! {
    #[test]
    fn decides_as_the_naive_model(
        given in prop::collection::vec(acls(), 0..12),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        allow_without_acl: bool,
        operation in operations(),
        name in prop::sample::select(vec!["a", "ab", "abcd", "b", "c", "*"]),
    ) {
        let mut authorizer = Authorizer::new([text("User:root")], allow_without_acl);
        let mut rules: Vec<(Uuid, Acl)> =
            given.into_iter().zip(1..).map(|(acl, id)| (Uuid::from_u128(id), acl)).collect();
        rules.iter().for_each(|(id, acl)| authorizer.set(*id, Some(acl)));
        for index in gone {
            if !rules.is_empty() {
                let (id, _) = rules.remove(index.index(rules.len()));
                authorizer.set(id, None);
            }
        }
        let rules: Vec<Acl> = rules.into_iter().map(|(_, acl)| acl).collect();
        for who in ["alice", "bob", "carol"] {
            let principal = KafkaPrincipal::user(who);
            let expected = naive(&rules, allow_without_acl, principal.text(), operation, name);
            prop_assert_eq!(authorizer.allows(&principal, operation, ResourceType::Topic, name), expected);
        }
        prop_assert!(authorizer.allows(&KafkaPrincipal::user("root"), operation, ResourceType::Topic, name));
    }

    /// Whoever may do something to some resource may do it to any; if there are no prefixes, the other way round as well.
    #[test]
    fn any_resource_is_one_of_those_that_there_can_be(
        given in prop::collection::vec(acls(), 0..8),
        prefixes: bool,
    ) {
        let operation = AclOperation::Write;
        let mut authorizer = Authorizer::new([], false);
        let given = given.into_iter().filter(|acl| prefixes || acl.pattern_type == PatternType::Literal);
        given.zip(1..).for_each(|(acl, id)| authorizer.set(Uuid::from_u128(id), Some(&acl)));
        let alice = KafkaPrincipal::user("alice");
        let some = ["a", "ab", "abc", "b", "*", "abcd", "bb", "c", "hardcode"]
            .into_iter()
            .any(|name| authorizer.allows(&alice, operation, ResourceType::Topic, name));
        prop_assert_eq!(authorizer.allows_any(&alice, operation, ResourceType::Topic), some);
    }

    #[test]
    fn a_filter_made_of_a_rule_finds_it(acl in acls(), other in acls()) {
        let filter = AclFilter::from_wire(
            (acl.resource_type.code(), Some(acl.resource_name.clone()), acl.pattern_type.code()),
            (Some(acl.principal.clone()), Some(acl.host.clone())),
            (acl.operation.code(), acl.permission.code()),
        ).expect("the numbers are known");
        prop_assert!(filter.matches(&acl));
        prop_assert_eq!(filter.matches(&other), acl == other);
        let any = AclFilter::from_wire((1, None, 1), (None, None), (1, 1)).expect("the numbers are known");
        prop_assert!(any.matches(&acl));
    }
}

#[test]
fn match_finds_all_rules_about_a_resource() {
    use PatternType::{Literal, Prefixed};
    let given = (AclPermission::Allow, AclOperation::Read);
    let about = |name| {
        let filter = AclFilter::from_wire((2, Some(text(name)), 2), (None, None), (1, 1));
        let filter = filter.expect("the numbers are known");
        let patterns = [(Literal, "orders"), (Literal, "*"), (Prefixed, "ord"), (Prefixed, "x")];
        patterns.map(|pattern| filter.matches(&acl(pattern, "User:alice", given)))
    };
    assert_eq!(about("orders"), [true, true, true, false]);
    assert_eq!(about("ord"), [false, true, true, false]);
    assert_eq!(AclFilter::from_wire((0, None, 1), (None, None), (1, 1)), None);
    assert_eq!(AclFilter::from_wire((1, None, 0), (None, None), (1, 1)), None);
    assert_eq!(AclFilter::from_wire((1, None, 1), (None, None), (99, 1)), None);
}
