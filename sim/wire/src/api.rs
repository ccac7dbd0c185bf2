//! Which APIs we speak, in which versions, on which listener.

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;

/// Who serves an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Brokers, on the client and inter-broker listener.
    Broker,
    /// Controllers, on the quorum's listener.
    Controller,
    /// Both.
    Both,
}

/// One line of the API table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// The versions that we speak.
    pub versions: VersionRange,
    /// The versions that ApiVersions names. Wider than `versions` where old clients would draw the wrong conclusion from
    /// the truth.
    pub advertised: VersionRange,
    /// Who serves it.
    pub listener: Listener,
}

const fn api(key: ApiKey, min: i16, max: i16, listener: Listener) -> Api {
    let versions = VersionRange { min, max };
    Api { key, versions, advertised: versions, listener }
}

impl Api {
    const fn advertised_from(self, min: i16) -> Api {
        Api { advertised: VersionRange { min, max: self.advertised.max }, ..self }
    }

    /// Whether we speak this version.
    pub fn supports(&self, version: i16) -> bool {
        self.versions.min <= version && version <= self.versions.max
    }

    /// Whether this listener serves it.
    pub fn served_on(&self, listener: Listener) -> bool {
        self.listener == Listener::Both || self.listener == listener
    }
}

/// Every API that we speak, in the order of the keys.
pub const APIS: &[Api] = &[
    // KAFKA-18659: old librdkafka stops compressing when 0 is not on offer.
    api(ApiKey::Produce, 3, 13, Listener::Broker).advertised_from(0),
    api(ApiKey::Fetch, 4, 18, Listener::Both),
    api(ApiKey::ListOffsets, 1, 10, Listener::Broker),
    api(ApiKey::Metadata, 0, 13, Listener::Broker),
    api(ApiKey::OffsetCommit, 2, 10, Listener::Broker),
    api(ApiKey::OffsetFetch, 1, 10, Listener::Broker),
    api(ApiKey::FindCoordinator, 0, 6, Listener::Broker),
    api(ApiKey::JoinGroup, 0, 9, Listener::Broker),
    api(ApiKey::Heartbeat, 0, 4, Listener::Broker),
    api(ApiKey::LeaveGroup, 0, 5, Listener::Broker),
    api(ApiKey::SyncGroup, 0, 5, Listener::Broker),
    api(ApiKey::DescribeGroups, 0, 6, Listener::Broker),
    api(ApiKey::ListGroups, 0, 5, Listener::Broker),
    api(ApiKey::SaslHandshake, 0, 1, Listener::Broker),
    api(ApiKey::ApiVersions, 0, 4, Listener::Both),
    api(ApiKey::CreateTopics, 2, 7, Listener::Both),
    api(ApiKey::DeleteTopics, 1, 6, Listener::Both),
    api(ApiKey::DeleteRecords, 0, 2, Listener::Broker),
    api(ApiKey::InitProducerId, 0, 5, Listener::Broker),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, Listener::Broker),
    api(ApiKey::AddPartitionsToTxn, 0, 5, Listener::Broker),
    api(ApiKey::AddOffsetsToTxn, 0, 4, Listener::Broker),
    api(ApiKey::EndTxn, 0, 5, Listener::Broker),
    api(ApiKey::WriteTxnMarkers, 1, 1, Listener::Broker),
    api(ApiKey::TxnOffsetCommit, 0, 5, Listener::Broker),
    api(ApiKey::DescribeAcls, 1, 3, Listener::Broker),
    api(ApiKey::CreateAcls, 1, 3, Listener::Both),
    api(ApiKey::DeleteAcls, 1, 3, Listener::Both),
    api(ApiKey::DescribeConfigs, 1, 4, Listener::Both),
    api(ApiKey::AlterConfigs, 0, 2, Listener::Both),
    api(ApiKey::DescribeLogDirs, 1, 4, Listener::Broker),
    api(ApiKey::SaslAuthenticate, 0, 2, Listener::Broker),
    api(ApiKey::CreatePartitions, 0, 3, Listener::Both),
    api(ApiKey::DeleteGroups, 0, 2, Listener::Broker),
    api(ApiKey::ElectLeaders, 0, 2, Listener::Both),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, Listener::Both),
    api(ApiKey::AlterPartitionReassignments, 0, 1, Listener::Both),
    api(ApiKey::ListPartitionReassignments, 0, 0, Listener::Both),
    api(ApiKey::OffsetDelete, 0, 0, Listener::Broker),
    api(ApiKey::DescribeClientQuotas, 0, 1, Listener::Broker),
    api(ApiKey::AlterClientQuotas, 0, 1, Listener::Both),
    api(ApiKey::DescribeUserScramCredentials, 0, 0, Listener::Broker),
    api(ApiKey::AlterUserScramCredentials, 0, 0, Listener::Both),
    api(ApiKey::Vote, 0, 2, Listener::Controller),
    api(ApiKey::BeginQuorumEpoch, 0, 1, Listener::Controller),
    api(ApiKey::EndQuorumEpoch, 0, 1, Listener::Controller),
    api(ApiKey::DescribeQuorum, 0, 2, Listener::Both),
    api(ApiKey::AlterPartition, 2, 3, Listener::Controller),
    api(ApiKey::UpdateFeatures, 0, 2, Listener::Both),
    api(ApiKey::FetchSnapshot, 0, 1, Listener::Controller),
    api(ApiKey::DescribeCluster, 0, 2, Listener::Both),
    api(ApiKey::DescribeProducers, 0, 0, Listener::Broker),
    api(ApiKey::BrokerRegistration, 0, 4, Listener::Controller),
    api(ApiKey::BrokerHeartbeat, 0, 1, Listener::Controller),
    api(ApiKey::UnregisterBroker, 0, 0, Listener::Both),
    api(ApiKey::DescribeTransactions, 0, 0, Listener::Broker),
    api(ApiKey::ListTransactions, 0, 2, Listener::Broker),
    api(ApiKey::AllocateProducerIds, 0, 0, Listener::Controller),
    api(ApiKey::ConsumerGroupHeartbeat, 0, 1, Listener::Broker),
    api(ApiKey::ConsumerGroupDescribe, 0, 1, Listener::Broker),
    api(ApiKey::AssignReplicasToDirs, 0, 0, Listener::Controller),
    api(ApiKey::ListConfigResources, 0, 1, Listener::Broker),
    api(ApiKey::DescribeTopicPartitions, 0, 0, Listener::Broker),
];

/// One more than the largest key there is.
const KEYS: usize = 93;
/// For each key the index of its line; `None` for those that we do not speak.
const INDEX: [Option<u8>; KEYS] = {
    let mut index = [None; KEYS];
    let mut i = 0;
    while i < APIS.len() {
        index[APIS[i].key as usize] = Some(i as u8);
        i += 1;
    }
    index
};

/// The line of `key`.
pub fn lookup(key: ApiKey) -> Option<&'static Api> {
    INDEX[key as usize].map(|i| &APIS[usize::from(i)])
}

/// The newest version that we speak; what our own nodes use among themselves.
///
/// # Panics
/// If the API is not in the table.
pub fn latest(key: ApiKey) -> i16 {
    match lookup(key) {
        Some(api) => api.versions.max,
        None => panic!("{key:?} is not in the API table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_within_what_can_be_encoded() {
        assert!(APIS.is_sorted_by(|a, b| (a.key as i16) < (b.key as i16)));
        for api in APIS {
            assert_eq!(lookup(api.key), Some(api));
            assert_eq!(latest(api.key), api.versions.max);
            assert_eq!(api.key.valid_versions().intersect(&api.versions), api.versions, "{:?}", api.key);
            assert!(api.advertised.min <= api.versions.min && api.advertised.max == api.versions.max);
        }
        assert_eq!(lookup(ApiKey::CreateDelegationToken), None);
    }

    #[test]
    fn produce_offers_versions_that_it_does_not_serve() {
        let produce = lookup(ApiKey::Produce).expect("it is in the table");
        assert_eq!(produce.advertised.min, 0);
        assert!(!produce.supports(2) && produce.supports(3) && produce.supports(13) && !produce.supports(14));
    }

    /// What librdkafka, the Java client, its command-line tools and the Python clients ask for.
    #[test]
    fn stock_clients_find_what_they_need() {
        let wanted: &[(i16, i16, i16)] = &[
            (0, 0, 13),
            (1, 4, 17),
            (2, 1, 10),
            (3, 0, 13),
            (8, 2, 10),
            (9, 1, 10),
            (10, 0, 6),
            (11, 0, 9),
            (12, 0, 4),
            (13, 0, 5),
            (14, 0, 5),
            (15, 0, 6),
            (16, 0, 5),
            (17, 0, 1),
            (18, 0, 4),
            (19, 2, 7),
            (20, 1, 6),
            (21, 0, 2),
            (22, 0, 5),
            (23, 2, 4),
            (24, 0, 5),
            (25, 0, 4),
            (26, 0, 5),
            (28, 0, 5),
            (29, 1, 3),
            (30, 1, 3),
            (31, 1, 3),
            (32, 1, 4),
            (33, 0, 2),
            (35, 1, 4),
            (36, 0, 2),
            (37, 0, 3),
            (42, 0, 2),
            (43, 0, 2),
            (44, 0, 1),
            (45, 0, 1),
            (46, 0, 0),
            (47, 0, 0),
            (48, 0, 1),
            (49, 0, 1),
            (50, 0, 0),
            (51, 0, 0),
            (55, 0, 2),
            (57, 0, 2),
            (60, 0, 2),
            (61, 0, 0),
            (65, 0, 0),
            (66, 0, 2),
            (68, 0, 1),
            (69, 0, 1),
            (74, 0, 1),
            (75, 0, 0),
        ];
        for (key, min, max) in wanted.iter().copied() {
            let api = ApiKey::try_from(key).ok().and_then(lookup);
            let api = api.unwrap_or_else(|| panic!("there is no API {key}"));
            assert!(api.served_on(Listener::Broker), "{key}");
            assert!(api.advertised.min <= min && max <= api.advertised.max, "{key}: {:?}", api.advertised);
        }
    }

    #[test]
    fn every_key_there_is_can_be_looked_up() {
        for key in ApiKey::iter() {
            assert_eq!(lookup(key).is_some(), APIS.iter().any(|api| api.key == key));
        }
    }
}
