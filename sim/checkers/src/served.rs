//! What is served is what was written.

use trial_node::{NodeId, Time};
use trial_wire::Batches;
use trial_wire::messages::FetchResponse;

use crate::PropertyInfo;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "served-checksum",
    about: "Whatever a disk has done to it, every batch that a broker sends, to clients and to followers, fits its checksum.",
    source: "Kafka documentation, Record Batch: crc; KIP-98",
};

/// Judges a response that a broker has sent.
pub(crate) fn judge(at: Time, broker: NodeId, response: &FetchResponse, out: &mut Findings) {
    let partitions =
        response.responses.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    for (topic, partition) in partitions {
        let mut batches = Batches::new(partition.records.clone().unwrap_or_default());
        if let Some(error) = batches.find_map(Result::err) {
            let named =
                if topic.topic.is_empty() { topic.topic_id.to_string() } else { topic.topic.to_string() };
            let place = format!("of {named}-{}", partition.partition_index);
            out.report(at, vec![format!("broker {} sent what is damaged {place}: {error}", broker.0)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trial_wire::batch::BatchBuilder;
    use trial_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use trial_wire::{Compression, StrBytes, TopicName};

    use super::*;

    fn findings(records: Vec<u8>) -> usize {
        let data = PartitionData::default().with_partition_index(3).with_records(Some(Bytes::from(records)));
        let topic = FetchableTopicResponse::default()
            .with_topic(TopicName(StrBytes::from_static_str("orders")))
            .with_partitions(vec![data]);
        let mut out = Findings::default();
        judge(Time::ZERO, NodeId(1), &FetchResponse::default().with_responses(vec![topic]), &mut out);
        for violation in out.violations() {
            assert!(violation.evidence[0].contains("of orders-3"), "{violation:?}");
        }
        out.violations().len()
    }

    #[test]
    fn fires_when_what_is_sent_does_not_fit_its_checksum() {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(0, None, Some(b"value"), &[]);
        let good = batch.build().bytes().to_vec();
        assert_eq!(findings([good.clone(), good.clone()].concat()), 0);
        let mut bad = good.clone();
        *bad.last_mut().expect("a batch has bytes") ^= 1;
        assert_eq!(findings([good.clone(), bad].concat()), 1);
        assert_eq!(findings([good.clone(), vec![0; 100]].concat()), 1);
        assert_eq!(findings(good[..good.len() - 1].to_vec()), 1);
    }
}
