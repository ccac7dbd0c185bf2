//! Clients that are no part of the scenario: they share one host of its network, and somebody else says when they do what.

use trial_broker::BrokerConfig;
use trial_checkers::Checkers;
use trial_metadata::MetadataImage;
use trial_metadata::config::StaticConfig;
use trial_node::{
    ConnId, Endpoint, Input, NodeId, Offset, ProducerEpoch, ProducerId, Request, Time, TopicPartition,
};
use trial_wire::message::MessageError;
use trial_wire::{RequestKind, TopicName};
use trial_world::{HostId, World};

use crate::check::properties;
use crate::member::Member;
use crate::plan::{self, topic_name};
use crate::run::{Run, RunError};
use crate::traffic::Requested;

/// The name of the host that outside clients share.
pub const OUTSIDE: &str = "outside";

/// A scenario file with three brokers and nothing else: no topics, no load, no faults. For [`Scenario::to_serve`].
pub const BARE: &str = include_str!("../serve.toml");

/// The cluster as clients from outside see it. Needs [`RunOptions::outside`](crate::RunOptions::outside).
impl Run {
    /// Where clients find the brokers, in the order of their ids, by the names that the brokers themselves tell.
    pub fn bootstrap(&self) -> Vec<Endpoint> {
        plan::bootstrap(&self.scenario)
    }

    /// Whether clients have listeners of their own, and must say who they are.
    pub fn is_secured(&self) -> bool {
        BrokerConfig::is_secured(&properties(&self.scenario.cluster.config))
    }

    /// The brokers' configs as the cluster begins.
    ///
    /// # Panics
    /// Never: the scenario was checked.
    pub fn broker_config(&self) -> trial_metadata::config::BrokerConfig {
        let properties = properties(&self.scenario.cluster.config);
        let given = properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let given = StaticConfig::parse(given).expect("the scenario was checked");
        trial_metadata::config::BrokerConfig::resolve(&given, &MetadataImage::default(), NodeId(0))
    }

    /// When load begins: by then the cluster has formed, and its topics are made.
    pub fn warm(&self) -> Time {
        Time::ZERO + self.scenario.warmup
    }

    /// The instant that the run is at.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// When something happens next unless somebody outside does something before.
    pub fn next_event(&self) -> Option<Time> {
        let fault = self.moments.front().map(|moment| moment.at);
        self.world.next_event().into_iter().chain(fault).min()
    }

    /// Runs up to and including an instant, faults included; the first time from the start.
    ///
    /// # Errors
    /// [`RunError`]: the run cannot go on.
    pub fn run_until(&mut self, until: Time) -> Result<(), RunError> {
        self.begin();
        while let Some(moment) = self.moments.front().copied().filter(|moment| moment.at <= until) {
            self.moments.pop_front();
            self.pass(moment, &mut |_| ())?;
        }
        self.advance(until, &mut |_| ())
    }

    /// An outside client connects. `None` while a fault keeps the host of outside clients down.
    pub fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        let (world, host) = self.outside();
        let conn = world.outside_connect(host, to)?;
        self.traffic.connected();
        Some(conn)
    }

    /// An outside client sends a request; dropped if the connection has gone.
    ///
    /// # Errors
    /// [`MessageError`] when the request's version cannot express it.
    pub fn request(&mut self, conn: ConnId, request: Request) -> Result<(), MessageError> {
        let requested = Requested::new(self.world.now(), &request);
        let asked = Asked::of(&request.body);
        let (world, host) = self.outside();
        world.outside_request(host, conn, request)?;
        // What the world refuses has not been sent.
        self.traffic.request(conn, requested);
        asked.tell(&mut self.watch.checkers);
        Ok(())
    }

    /// An outside client closes a connection.
    pub fn close(&mut self, conn: ConnId) {
        let (world, host) = self.outside();
        world.outside_close(host, conn);
        self.traffic.closed(conn);
    }

    /// How many bytes an outside client has sent that the broker has not taken yet.
    pub fn unread(&self, conn: ConnId) -> u64 {
        self.outside.map_or(0, |host| self.world.outside_unread(host, conn))
    }

    /// Takes out what has arrived at outside clients, in the order of arrival.
    pub fn arrivals(&mut self) -> Vec<Input> {
        let arrivals = self.world.arrivals();
        arrivals.iter().for_each(|arrival| self.traffic.arrived(arrival.at, &arrival.input));
        arrivals.into_iter().map(|arrival| arrival.input).collect()
    }

    /// The checkpoint of the trace hash with this index, if the run has come to it: after how many events, when, and the hash.
    pub fn checkpoint(&self, index: usize) -> Option<(u64, Time, u128)> {
        self.world.checkpoints().get(index).map(|c| (c.event, c.at, c.hash))
    }

    fn outside(&mut self) -> (&mut World<Member>, HostId) {
        (&mut self.world, self.outside.expect("the run was made for outside clients"))
    }
}

/// What a request asks for that the checkers would take for a fault.
#[derive(Default)]
struct Asked {
    /// The ends of transactions, as administrators may decide them.
    markers: Vec<((ProducerId, ProducerEpoch), bool, TopicPartition)>,
    /// Records before an offset are to be deleted, or all of them.
    deletions: Vec<(TopicPartition, Option<Offset>)>,
    /// Topics whose records may stay for another time from now on; `None`: all.
    retention: Vec<Option<TopicName>>,
}

impl Asked {
    fn of(request: &RequestKind) -> Asked {
        let mut asked = Asked::default();
        let tp = |topic: &TopicName, partition| TopicPartition { topic: topic.clone(), partition };
        match request {
            RequestKind::WriteTxnMarkers(request) => {
                for marker in &request.markers {
                    let producer = (ProducerId(*marker.producer_id), ProducerEpoch(marker.producer_epoch));
                    for topic in &marker.topics {
                        let named = topic.partition_indexes.iter().map(|index| tp(&topic.name, *index));
                        asked.markers.extend(named.map(|tp| (producer, marker.transaction_result, tp)));
                    }
                }
            }
            RequestKind::DeleteRecords(request) => {
                for topic in &request.topics {
                    let before = |offset| (offset >= 0).then_some(Offset(offset));
                    let named = topic.partitions.iter();
                    asked
                        .deletions
                        .extend(named.map(|p| (tp(&topic.name, p.partition_index), before(p.offset))));
                }
            }
            RequestKind::AlterConfigs(request) => {
                asked.retention =
                    request.resources.iter().map(|r| topic(r.resource_type, &r.resource_name)).collect();
            }
            RequestKind::IncrementalAlterConfigs(request) => {
                asked.retention =
                    request.resources.iter().map(|r| topic(r.resource_type, &r.resource_name)).collect();
            }
            // Whoever asks for it next may make another one of it, with the broker's configs; by its id it may be any.
            RequestKind::DeleteTopics(request) => {
                let named = request.topic_names.iter().cloned().map(Some);
                asked.retention =
                    request.topics.iter().map(|topic| topic.name.clone()).chain(named).collect();
            }
            // The topic may have been deleted before, and be another now.
            RequestKind::CreateTopics(request) => {
                asked.retention = request.topics.iter().map(|topic| Some(topic.name.clone())).collect();
            }
            _ => {}
        }
        asked
    }

    fn tell(self, checkers: &mut Checkers) {
        for (producer, commit, tp) in self.markers {
            checkers.marker_asked_for(producer, commit, tp);
        }
        for (tp, before) in self.deletions {
            checkers.deletion_asked_for(&tp, before);
        }
        for topic in self.retention {
            checkers.retention_may_change(topic.as_ref());
        }
    }
}

/// The topic that a resource is; `None` if it is another one, which may be a broker.
fn topic(resource_type: i8, name: &str) -> Option<TopicName> {
    const TOPIC: i8 = 2;
    (resource_type == TOPIC).then(|| topic_name(name))
}

#[cfg(test)]
mod tests {
    use trial_wire::StrBytes;
    use trial_wire::messages::alter_configs_request::AlterConfigsResource;
    use trial_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    use trial_wire::messages::delete_topics_request::DeleteTopicState;
    use trial_wire::messages::{
        AlterConfigsRequest, DeleteRecordsRequest, DeleteTopicsRequest, MetadataRequest,
    };

    use super::*;
    use crate::{RunOptions, Scenario};

    #[test]
    fn records_of_a_topic_that_is_deleted_may_stay_for_another_time() {
        let orders = || topic_name("orders");
        let by_name = DeleteTopicState::default().with_name(Some(orders()));
        let asked = |request| Asked::of(&RequestKind::DeleteTopics(request)).retention;
        let named = DeleteTopicsRequest::default().with_topics(vec![by_name, DeleteTopicState::default()]);
        assert_eq!(asked(named), [Some(orders()), None]);
        assert_eq!(asked(DeleteTopicsRequest::default().with_topic_names(vec![orders()])), [Some(orders())]);
    }

    #[test]
    fn checkers_are_told_what_a_client_may_delete() {
        let before = |partition, offset| {
            DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset)
        };
        let named = DeleteRecordsTopic::default().with_name(topic_name("orders"));
        let named = named.with_partitions(vec![before(0, 7), before(1, -1)]);
        let request = DeleteRecordsRequest::default().with_topics(vec![named]);
        let asked = Asked::of(&RequestKind::DeleteRecords(request));
        let tp = |partition| TopicPartition::new("orders", partition);
        assert_eq!(asked.deletions, [(tp(0), Some(Offset(7))), (tp(1), None)]);
        let resource = |kind, name: &'static str| {
            AlterConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(StrBytes::from_static_str(name))
        };
        let request =
            AlterConfigsRequest::default().with_resources(vec![resource(2, "orders"), resource(4, "1")]);
        let asked = Asked::of(&RequestKind::AlterConfigs(request));
        assert_eq!(asked.retention, [Some(topic_name("orders")), None]);
    }

    #[test]
    fn a_request_that_its_version_cannot_express_is_not_counted() {
        let scenario = Scenario::to_serve("serve.toml", BARE).expect("it is good");
        let options = RunOptions { outside: Some(0), ..RunOptions::default() };
        let mut run = Run::new(scenario, options).expect("there is no corpus to fail");
        run.run_until(run.warm()).expect("the cluster forms");
        let conn = run.connect(&run.bootstrap()[0]).expect("nothing keeps the host down");
        // Version 4 is the first that can say so.
        let body = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let request = |api_version| Request {
            correlation_id: 1,
            api_version,
            client_id: Default::default(),
            body: Box::new(RequestKind::Metadata(body.clone())),
        };
        run.request(conn, request(3)).expect_err("it cannot");
        run.request(conn, request(4)).expect("it can");
        assert_eq!(run.traffic.record().requests, 1);
    }
}
