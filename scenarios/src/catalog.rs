//! The scenarios that are built into the binary.

use crate::check::ScenarioError;
use crate::model::Scenario;

macro_rules! catalog {
    ($($name:literal,)*) => {
        /// Every scenario: its name and its file's text.
        pub const FILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../catalog/", $name, ".toml"))),)*
        ];
    };
}

catalog! {
    "leader-crash",
    "follower-crash",
    "controller-crash",
    "isolated-leader",
    "one-way-partition",
    "power-loss-of-all",
    "rolling-restart",
    "paused-leader",
    "flapping-link",
    "slow-disk",
    "log-dir-failure",
    "log-dir-replaced",
    "disk-eio",
    "disk-full",
    "torn-write",
    "lost-fsync",
    "bit-rot",
    "misdirected-write",
    "file-lost",
    "leadership-transfer",
    "lone-in-sync",
    "reassignment-under-load",
    "reassignment-cancelled",
    "rack-aware-follower-fetch",
    "elr-power-loss",
    "throttled-client",
    "sasl-and-acls",
    "impatient-producer",
    "contested-elections",
    "churn",
    "unclean-election",
    "exactly-once-pipeline",
    "pipeline-broker-kill",
    "pipeline-group-coordinator-kill",
    "pipeline-transaction-coordinator-kill",
    "pipeline-leader-isolation",
    "pipeline-client-kill",
    "pipeline-zombie",
    "pipeline-rolling-restart",
    "pipeline-power-loss",
    "pipeline-held-end-txn",
    "pipeline-late-produce",
    "pipeline-commit-timeout",
    "rebalance-storm",
    "static-member-bounce",
    "protocol-migration",
    "bank-transfers",
    "append-lists",
    "semantics-table",
    "retention-under-load",
    "compaction-under-leader-changes",
    "compaction-of-transactions",
}

/// The scenario of that name; `None` if there is none.
///
/// # Errors
/// None for a catalog that passes its tests.
pub fn load(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    let (name, text) = FILES.iter().find(|(n, _)| *n == name)?;
    Some(Scenario::from_toml(&format!("catalog/{name}.toml"), text))
}

/// The name that is nearest to one that does not exist, if one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    trial_node::nearest(name, FILES.iter().map(|(n, _)| *n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_loads_and_is_called_like_its_file() {
        for (name, _) in FILES {
            let scenario = load(name).expect("it is in the list").expect("it is well formed");
            assert_eq!(&scenario.name, name);
        }
    }

    #[test]
    fn every_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut listed: Vec<String> = FILES.iter().map(|(name, _)| format!("{name}.toml")).collect();
        listed.sort();
        assert_eq!(files, listed);
    }
}
