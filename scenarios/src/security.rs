//! Who clients log in as, and what they may do.

use std::collections::BTreeMap;

use serde::Deserialize;
use trial_broker::BrokerConfig;
use trial_node::nearest;
use trial_security::acl::{
    Acl, AclOperation, AclPermission, CLUSTER_NAME, PatternType, ResourceType, WILDCARD,
};
use trial_wire::StrBytes;

use crate::check::properties;
use crate::model::{Scenario, Value, Workload};
use crate::text::meant;

/// What users may do with something, or may not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclEntry {
    /// Who may do it: a user, or `*` for everybody.
    pub allow: Option<String>,
    /// Who may not.
    pub deny: Option<String>,
    /// What, as `kafka-acls` names it: `Read`, `Write`, `IdempotentWrite`, `All` and so on.
    pub operations: Vec<String>,
    /// With the topic of this name; `*` for all.
    pub topic: Option<String>,
    /// With the group of this id; `*` for all.
    pub group: Option<String>,
    /// With this transactional id; `*` for all.
    pub transactional_id: Option<String>,
    /// With the cluster.
    #[serde(default)]
    pub cluster: bool,
    /// Whether the name or id is the beginning of those that are meant.
    #[serde(default)]
    pub prefixed: bool,
}

impl AclEntry {
    /// The ACLs that it stands for.
    ///
    /// # Errors
    /// Where in its text something is wrong, and what.
    pub(crate) fn acls(&self) -> Result<Vec<Acl>, (&'static str, String)> {
        let (permission, user) = match (&self.allow, &self.deny) {
            (Some(user), None) => (AclPermission::Allow, user),
            (None, Some(user)) => (AclPermission::Deny, user),
            _ => return Err(("acl", "give either allow or deny, a user each".to_owned())),
        };
        if let Some(name) = user.strip_prefix("User:") {
            let needle = if permission == AclPermission::Allow { "allow" } else { "deny" };
            return Err((needle, format!("{needle} = {user:?}: write the user's name alone, {name:?}")));
        }
        let cluster = self.cluster.then(|| CLUSTER_NAME.to_owned());
        let given = [
            (ResourceType::Topic, &self.topic),
            (ResourceType::Group, &self.group),
            (ResourceType::TransactionalId, &self.transactional_id),
            (ResourceType::Cluster, &cluster),
        ];
        let mut given = given.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        let (Some((resource_type, name)), None) = (given.next(), given.next()) else {
            return Err(("acl", "give one of topic, group, transactional_id, cluster = true".to_owned()));
        };
        if self.operations.is_empty() {
            return Err(("operations", "operations is empty: give at least one".to_owned()));
        }
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let acl = |operation: &String| {
            let valid = resource_type.operations().iter().copied().chain([AclOperation::All]);
            let found = AclOperation::named(operation).filter(|found| valid.clone().any(|one| one == *found));
            let Some(operation) = found else {
                let names: Vec<&str> = valid.map(AclOperation::name).collect();
                let near = meant(nearest(operation, names.iter().copied()));
                let what = format!("operation {operation:?}: here there are {}{near}", names.join(", "));
                return Err(("operations", what));
            };
            Ok(Acl {
                resource_type,
                resource_name: text(name),
                pattern_type: if self.prefixed { PatternType::Prefixed } else { PatternType::Literal },
                principal: StrBytes::from_string(format!("User:{user}")),
                host: text(WILDCARD),
                operation,
                permission,
            })
        };
        self.operations.iter().map(acl).collect()
    }
}

impl Scenario {
    /// The configs that let a workload's clients log in, if it says as whom.
    pub(crate) fn login(&self, workload: &Workload) -> BTreeMap<String, String> {
        let Some(user) = workload.user() else { return BTreeMap::new() };
        let mechanisms = self.mechanisms();
        let mechanism = mechanisms.split(',').next().unwrap_or_default().trim().to_owned();
        let module = if mechanism == "PLAIN" { "PlainLoginModule" } else { "ScramLoginModule" };
        let password = self.cluster.users.get(user).map_or("", String::as_str);
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let (user, password) = (quoted(user), quoted(password));
        let jaas = format!("{module} required username={user} password={password};");
        BTreeMap::from([
            ("security.protocol".to_owned(), "SASL_PLAINTEXT".to_owned()),
            ("sasl.mechanism".to_owned(), mechanism),
            ("sasl.jaas.config".to_owned(), jaas),
        ])
    }

    /// `sasl.enabled.mechanisms`.
    fn mechanisms(&self) -> String {
        self.cluster.config.get("sasl.enabled.mechanisms").map(Value::text).unwrap_or_default()
    }

    /// Whether clients can log in.
    pub(crate) fn has_sasl(&self) -> bool {
        !self.mechanisms().trim().is_empty()
    }

    /// What is wrong with whom a workload's clients are, and where that is.
    pub(crate) fn wrong_user(&self, workload: &Workload) -> Option<(&'static str, String)> {
        let has_sasl = self.has_sasl();
        let Some(user) = workload.user() else {
            let logs_in = workload.configs().any(|config| config.contains_key("security.protocol"));
            let what = "the cluster has sasl.enabled.mechanisms: say by user as whom these clients log in";
            return (has_sasl && !logs_in).then(|| ("kind", what.to_owned()));
        };
        if !has_sasl {
            let what = "to log in, the cluster needs the config sasl.enabled.mechanisms";
            return Some(("user", format!("user = {user:?}: {what}")));
        }
        if !self.cluster.users.contains_key(user) {
            let near = nearest(user, self.cluster.users.keys().map(String::as_str));
            return Some(("user", format!("user = {user:?} is not in [cluster.users]{}", meant(near))));
        }
        None
    }

    /// What is wrong with the ACLs: which of them, where in its text, and what.
    pub(crate) fn wrong_acl(&self) -> Option<(usize, &'static str, String)> {
        let secured = properties(&self.cluster.config).contains_key("authorizer.class.name");
        if !self.acls.is_empty() && !secured {
            let what = "ACLs need the cluster's config authorizer.class.name = \
                        \"org.apache.kafka.metadata.authorizer.StandardAuthorizer\"";
            return Some((0, "acl", what.to_owned()));
        }
        let mut wrong = self.acls.iter().enumerate();
        wrong.find_map(|(index, entry)| {
            let (needle, what) = entry.get_ref().acls().err()?;
            Some((index, needle, what))
        })
    }

    /// The ACLs that are there from the start.
    pub(crate) fn all_acls(&self) -> Vec<Acl> {
        let acls = self.acls.iter().map(|entry| entry.get_ref().acls());
        acls.flat_map(|acls| acls.expect("the scenario's check has read every ACL")).collect()
    }

    /// Whether clients have to show who they are, or are limited in what they may do.
    pub fn is_secured(&self) -> bool {
        BrokerConfig::is_secured(&properties(&self.cluster.config))
    }
}
