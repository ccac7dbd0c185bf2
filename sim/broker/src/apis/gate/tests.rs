use std::sync::Arc;

use bytes::Bytes;
use trial_security::KafkaPrincipal;
use trial_security::acl::Authorizer;
use trial_wire::api::{APIS, Api, Listener};
use trial_wire::message::decode_request;
use trial_wire::messages::{MetadataRequest, ProduceRequest, TransactionalId};
use trial_wire::{ApiKey, StrBytes, TopicName};

use super::*;

/// A request with one of everything, from the corpus of `trial-wire`.
fn seed(api: &Api, version: i16) -> RequestKind {
    let path = format!("{}/../wire/corpus/request/{:?}-{version}", env!("CARGO_MANIFEST_DIR"), api.key);
    let seed = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // Before the body are the key and the version.
    decode_request(api.key, version, Bytes::from(seed).slice(4..)).expect("the corpus is up to date")
}

/// The versions that the corpus has, of every request that clients may send.
fn oldest_and_newest() -> impl Iterator<Item = (&'static Api, i16)> {
    let served = APIS.iter().filter(|api| api.served_on(Listener::Broker));
    served.flat_map(|api| [(api, api.versions.min), (api, api.versions.max)])
}

/// What becomes of a request of somebody for whom the authorizer decides.
fn rule(authorizer: Authorizer, version: i16, request: &mut RequestKind) -> (Ruling, Amendment) {
    let access = Access::new(Arc::new(authorizer), KafkaPrincipal::anonymous());
    let mut amendment = Amendment::default();
    let mut gate = Gate {
        access: &access,
        image: &MetadataImage::default(),
        version,
        may_create_topics: true,
        amendment: &mut amendment,
    };
    (gate.rule(request), amendment)
}

#[test]
fn nobody_is_served_without_rights() {
    let free = [
        ApiKey::ApiVersions,
        ApiKey::SaslHandshake,
        ApiKey::SaslAuthenticate,
        // It tells what everybody must know to connect.
        ApiKey::DescribeCluster,
    ];
    for (api, version) in oldest_and_newest() {
        let (ruling, amendment) = rule(Authorizer::default(), version, &mut seed(api, version));
        let limited = match ruling {
            Ruling::Refuse(_) => true,
            Ruling::Serve => amendment.refused.is_some() || amendment.hide,
            Ruling::Close => panic!("{:?} has no line in the gate's list", api.key),
        };
        // The newest asks by an id, and nobody knows that.
        let is_free = free.contains(&api.key) || api.key == ApiKey::Metadata && version > 0;
        assert_eq!(limited, !is_free, "{:?} {version}", api.key);
    }
}

#[test]
fn who_may_do_everything_is_refused_nothing() {
    for (api, version) in oldest_and_newest() {
        let all = Authorizer::new([StrBytes::from_static_str("User:ANONYMOUS")], false);
        let (ruling, amendment) = rule(all, version, &mut seed(api, version));
        assert!(matches!(ruling, Ruling::Serve), "{:?}", api.key);
        assert_eq!(amendment.refused, None, "{:?}", api.key);
    }
}

#[test]
fn producers_that_wait_for_no_answer_are_cut_off_afterwards() {
    use trial_wire::messages::produce_request::TopicProduceData;
    let topics = vec![TopicProduceData::default().with_name(TopicName(StrBytes::from_static_str("orders")))];
    let request = |acks| {
        let mut request = ProduceRequest::default().with_topic_data(topics.clone()).with_acks(acks).into();
        rule(Authorizer::default(), 12, &mut request)
    };
    let (Ruling::Refuse(refusal), _) = request(1) else { panic!("nothing is left of it") };
    assert!(matches!(*refusal, ResponseKind::Produce(_)));
    let (ruling, amendment) = request(0);
    assert!(matches!(ruling, Ruling::Serve) && amendment.refused.is_some());
    // Who may not use a transactional id gets no answer either.
    let id = Some(TransactionalId(StrBytes::from_static_str("billing")));
    let mut request =
        ProduceRequest::default().with_transactional_id(id).with_topic_data(topics).with_acks(0).into();
    let (ruling, amendment) = rule(Authorizer::default(), 12, &mut request);
    assert!(matches!(ruling, Ruling::Serve) && amendment.refused.is_some());
}

#[test]
fn the_oldest_metadata_request_does_not_turn_into_one_for_all_topics() {
    use trial_wire::messages::metadata_request::MetadataRequestTopic;
    let topic =
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str("orders"))));
    let request = || RequestKind::Metadata(MetadataRequest::default().with_topics(Some(vec![topic.clone()])));
    assert!(rule(Authorizer::default(), 0, &mut request()).1.no_topics);
    assert!(!rule(Authorizer::default(), 1, &mut request()).1.no_topics);
}
