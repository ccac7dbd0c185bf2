//! How Kafka's tool writes values.

use std::fmt;

use trial_wire::ControlRecord;

use crate::uuid_text;

/// A number that may be missing, as Java's `OptionalLong` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optional(pub Option<i64>);

impl fmt::Display for Optional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "OptionalLong[{value}]"),
            None => f.write_str("OptionalLong.empty"),
        }
    }
}

/// What a control record says; it follows the record's other fields.
pub(super) fn control(record: &ControlRecord) -> String {
    match record {
        ControlRecord::Abort(end) => {
            format!("endTxnMarker: ABORT coordinatorEpoch: {}", end.coordinator_epoch)
        }
        ControlRecord::Commit(end) => {
            format!("endTxnMarker: COMMIT coordinatorEpoch: {}", end.coordinator_epoch)
        }
        ControlRecord::LeaderChange(_) => "controlType: LEADER_CHANGE(2)".to_owned(),
        ControlRecord::SnapshotHeader(header) => format!(
            "SnapshotHeader {{\"version\":{},\"lastContainedLogTimestamp\":{}}}",
            header.version, header.last_contained_log_timestamp
        ),
        ControlRecord::SnapshotFooter(footer) => {
            format!("SnapshotFooter {{\"version\":{}}}", footer.version)
        }
        ControlRecord::KRaftVersion(version) => format!(
            "KRaftVersion {{\"version\":{},\"kRaftVersion\":{}}}",
            version.version, version.k_raft_version
        ),
        ControlRecord::KRaftVoters(voters) => {
            let voter = |voter: &trial_wire::messages::voters_record::Voter| {
                let endpoints = voter.endpoints.iter().map(|endpoint| {
                    format!(
                        "{{\"name\":\"{}\",\"host\":\"{}\",\"port\":{}}}",
                        endpoint.name.as_str(),
                        endpoint.host.as_str(),
                        endpoint.port
                    )
                });
                let range = &voter.k_raft_version_feature;
                format!(
                    "{{\"voterId\":{},\"voterDirectoryId\":\"{}\",\"endpoints\":[{}],\
                     \"kRaftVersionFeature\":{{\"minSupportedVersion\":{},\"maxSupportedVersion\":{}}}}}",
                    voter.voter_id.0,
                    uuid_text::encode(voter.voter_directory_id),
                    endpoints.collect::<Vec<_>>().join(","),
                    range.min_supported_version,
                    range.max_supported_version
                )
            };
            let all: Vec<String> = voters.voters.iter().map(voter).collect();
            format!("KRaftVoters {{\"version\":{},\"voters\":[{}]}}", voters.version, all.join(","))
        }
    }
}
