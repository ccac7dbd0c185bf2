//! One member under test, with everything around it played by hand.

use bytes::Bytes;
use trial_node::{Endpoint, LeaderEpoch, NodeId, Now, Offset, Rng, Time, TraceEvent};
use trial_raft::{
    Env, METADATA_TOPIC, METADATA_TOPIC_ID, Output, Raft, RaftConfig, RaftError, ReplicatedLog, RequestId,
    RequestToken,
};
use trial_wire::messages::*;
use trial_wire::{ApiKey, BatchBuilder, Compression, RequestKind, ResponseKind, StrBytes, api};

use crate::disk::TestDisk;
use crate::log::TestLog;

pub const MS: u64 = 1_000_000;

pub fn config(node: i32, voters: i32) -> RaftConfig {
    let endpoint = |id| (NodeId(id), Endpoint::new(StrBytes::from_string(format!("node{id}")), 9093));
    let mut config = RaftConfig::new(
        NodeId(node),
        StrBytes::from_static_str("cluster"),
        (1..=voters).map(endpoint).collect(),
    );
    config.append_linger = trial_node::Span::ZERO;
    config
}

/// A batch of `count` records that an earlier leader of `epoch` wrote.
pub fn batch(base: i64, epoch: i32, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.base_offset(base).leader_epoch(epoch);
    for _ in 0..count {
        builder.push(1, None, Some(b"x"), &[]);
    }
    builder.build().bytes().clone()
}

pub struct Member {
    pub raft: Raft<TestLog>,
    pub disk: TestDisk,
    pub rng: Rng,
    pub now: Now,
    tokens: u64,
}

/// A log, in `(epoch, records)`, and a `quorum-state`: epoch, leader, vote.
#[derive(Default)]
pub struct Before<'a> {
    pub log: &'a [(i32, usize)],
    pub state: Option<(i32, i32, i32)>,
}

impl Member {
    /// A voter with this past that starts now.
    pub fn start(config: RaftConfig, before: Before<'_>) -> Member {
        let mut disk = TestDisk::default();
        let mut log = TestLog::open(&mut disk);
        let mut base = 0;
        for (epoch, count) in before.log {
            log.append(&mut disk, batch(base, *epoch, *count)).unwrap();
            base += *count as i64;
        }
        log.flush(&mut disk).unwrap();
        if let Some((epoch, leader, voted)) = before.state {
            use trial_node::Disk;
            let state = format!(
                r#"{{"leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"data_version":1}}"#
            );
            let file = disk.open("__cluster_metadata-0/quorum-state", true).unwrap();
            disk.append(file, &[Bytes::from(state)]).unwrap();
            disk.sync(file).unwrap();
            disk.sync_folder("__cluster_metadata-0").unwrap();
        }
        let mut rng = Rng::named(1, "member");
        let now = Now { mono: Time(1_000 * MS), wall_ms: 1_000 };
        let raft = Raft::open(config, log, &mut Env { now, disk: &mut disk, rng: &mut rng }).unwrap();
        disk.operations.clear();
        Member { raft, disk, rng, now, tokens: 0 }
    }

    /// A voter of three that leads epoch 1, has committed nothing, and has told nobody yet.
    pub fn leader_of_three() -> Member {
        let mut member = Member::start(config(1, 3), Before::default());
        member.win_election();
        member
    }

    /// Lets the time run until it asks for votes, and grants it those of node 2.
    pub fn win_election(&mut self) {
        for pre_vote in [true, false] {
            while self.vote_requests(pre_vote).is_empty() {
                self.sleep_until_timeout();
            }
            let ask = self.vote_requests(pre_vote).into_iter().find(|(to, _)| *to == NodeId(2)).unwrap().1;
            self.outputs();
            let epoch = self.epoch();
            self.respond(ask, vote_response(0, None, epoch, true));
        }
        assert!(self.raft.is_leader());
    }

    fn vote_requests(&self, wanted: bool) -> Vec<(NodeId, RequestId)> {
        let mut raft = self.raft.clone();
        std::iter::from_fn(|| raft.poll_output())
            .filter_map(|output| match output {
                Output::Request { to, id, body: RequestKind::Vote(vote), .. } => {
                    (vote.topics[0].partitions[0].pre_vote == wanted).then_some((to, id))
                }
                _ => None,
            })
            .collect()
    }

    pub fn restart(&mut self) {
        let log = TestLog::open(&mut self.disk);
        let config = self.raft.config().clone();
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft = Raft::open(config, log, env).unwrap();
    }

    pub fn epoch(&self) -> i32 {
        self.raft.leader_and_epoch().1.0
    }

    pub fn leader(&self) -> Option<i32> {
        self.raft.leader_and_epoch().0.map(|leader| leader.0)
    }

    pub fn end(&self) -> i64 {
        self.raft.log().end_offset().0
    }

    pub fn high_watermark(&self) -> Option<i64> {
        self.raft.high_watermark().map(|offset| offset.0)
    }

    /// All outputs since last asked.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.raft.poll_output()).collect()
    }

    /// The requests among the outputs since last asked.
    pub fn requests(&mut self) -> Vec<(NodeId, RequestId, RequestKind)> {
        let request = |output| match output {
            Output::Request { to, id, body, .. } => Some((to, id, body)),
            _ => None,
        };
        self.outputs().into_iter().filter_map(request).collect()
    }

    /// The one request to `to` among the outputs since last asked.
    pub fn request_to(&mut self, to: i32) -> (RequestId, RequestKind) {
        let mut requests = self.requests();
        requests.retain(|(id, ..)| *id == NodeId(to));
        assert_eq!(requests.len(), 1, "requests to {to}: {requests:?}");
        let (_, id, body) = requests.remove(0);
        (id, body)
    }

    pub fn ask(&mut self, body: impl Into<RequestKind>) -> RequestToken {
        let body = body.into();
        let version = match &body {
            RequestKind::Vote(_) => api::latest(ApiKey::Vote),
            RequestKind::BeginQuorumEpoch(_) => api::latest(ApiKey::BeginQuorumEpoch),
            RequestKind::EndQuorumEpoch(_) => api::latest(ApiKey::EndQuorumEpoch),
            RequestKind::Fetch(_) => api::latest(ApiKey::Fetch),
            RequestKind::FetchSnapshot(_) => api::latest(ApiKey::FetchSnapshot),
            _ => api::latest(ApiKey::DescribeQuorum),
        };
        self.tokens += 1;
        let token = RequestToken(self.tokens);
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft.handle_request(env, token, version, &body).unwrap();
        token
    }

    /// Asks, and gives the answer, which must come at once.
    pub fn answer(&mut self, body: impl Into<RequestKind>) -> ResponseKind {
        let token = self.ask(body);
        self.response_to(token).expect("an answer at once")
    }

    /// The answer to `token` among the outputs since last asked.
    pub fn response_to(&mut self, token: RequestToken) -> Option<ResponseKind> {
        self.outputs().into_iter().find_map(|output| match output {
            Output::Response { token: answered, body } if answered == token => Some(body),
            _ => None,
        })
    }

    pub fn vote(&mut self, request: VoteRequest) -> (i16, bool) {
        let ResponseKind::Vote(response) = self.answer(request) else { panic!("not a vote") };
        assert_eq!(response.error_code, 0);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.vote_granted)
    }

    pub fn try_respond(&mut self, id: RequestId, body: impl Into<ResponseKind>) -> Result<(), RaftError> {
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft.handle_response(env, id, body.into())
    }

    pub fn respond(&mut self, id: RequestId, body: impl Into<ResponseKind>) {
        self.try_respond(id, body).unwrap();
    }

    pub fn append(&mut self, values: &[&'static str]) -> Offset {
        let values: Vec<Bytes> = values.iter().map(|value| Bytes::from_static(value.as_bytes())).collect();
        let epoch = LeaderEpoch(self.epoch());
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft.append(env, epoch, &values).unwrap()
    }

    pub fn resign(&mut self) {
        let epoch = LeaderEpoch(self.epoch());
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft.resign(env, epoch).unwrap();
    }

    pub fn sleep(&mut self, ms: u64) {
        self.now.mono.0 += ms * MS;
        self.now.wall_ms += ms as i64;
        let env = &mut Env { now: self.now, disk: &mut self.disk, rng: &mut self.rng };
        self.raft.handle_timeout(env).unwrap();
    }

    pub fn sleep_until_timeout(&mut self) {
        let deadline = self.raft.poll_timeout().unwrap();
        self.now.mono = self.now.mono.max(deadline);
        self.sleep(0);
    }
}

pub fn is_trace(output: &Output, wanted: &TraceEvent) -> bool {
    matches!(output, Output::Trace(event) if event == wanted)
}

// ---- Messages of the others

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(METADATA_TOPIC))
}

/// Node `from` asks for a vote in `epoch`; its log ends at `end` with a record of `last_epoch`.
pub fn vote_request(from: i32, epoch: i32, end: i64, last_epoch: i32, pre_vote: bool) -> VoteRequest {
    VoteRequest::default().with_voter_id(BrokerId(1)).with_topics(vec![
        vote_request::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            vote_request::PartitionData::default()
                .with_replica_id(BrokerId(from))
                .with_replica_epoch(epoch)
                .with_last_offset(end)
                .with_last_offset_epoch(last_epoch)
                .with_pre_vote(pre_vote),
        ]),
    ])
}

pub fn vote_response(error: i16, leader: Option<i32>, epoch: i32, granted: bool) -> VoteResponse {
    VoteResponse::default().with_topics(vec![
        vote_response::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            vote_response::PartitionData::default()
                .with_error_code(error)
                .with_leader_id(BrokerId(leader.unwrap_or(-1)))
                .with_leader_epoch(epoch)
                .with_vote_granted(granted),
        ]),
    ])
}

pub fn begin_request(leader: i32, epoch: i32) -> BeginQuorumEpochRequest {
    BeginQuorumEpochRequest::default().with_voter_id(BrokerId(1)).with_topics(vec![
        begin_quorum_epoch_request::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            begin_quorum_epoch_request::PartitionData::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch),
        ]),
    ])
}

pub fn begin_response(leader: i32, epoch: i32) -> BeginQuorumEpochResponse {
    BeginQuorumEpochResponse::default().with_topics(vec![
        begin_quorum_epoch_response::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            begin_quorum_epoch_response::PartitionData::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch),
        ]),
    ])
}

pub fn end_request(leader: i32, epoch: i32, preferred: &[i32]) -> EndQuorumEpochRequest {
    let candidate =
        |id: &i32| end_quorum_epoch_request::ReplicaInfo::default().with_candidate_id(BrokerId(*id));
    EndQuorumEpochRequest::default().with_topics(vec![
        end_quorum_epoch_request::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            end_quorum_epoch_request::PartitionData::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch)
                .with_preferred_candidates(preferred.iter().map(candidate).collect()),
        ]),
    ])
}

pub fn end_response(epoch: i32) -> EndQuorumEpochResponse {
    EndQuorumEpochResponse::default().with_topics(vec![
        end_quorum_epoch_response::TopicData::default().with_topic_name(topic()).with_partitions(vec![
            end_quorum_epoch_response::PartitionData::default()
                .with_leader_id(BrokerId(-1))
                .with_leader_epoch(epoch),
        ]),
    ])
}

/// Replica `from`, in `epoch`, has everything up to `offset` with a last record of `last_epoch`, and knows
/// `high_watermark`.
pub fn fetch_request(
    from: i32,
    epoch: i32,
    offset: i64,
    last_epoch: i32,
    high_watermark: i64,
) -> FetchRequest {
    FetchRequest::default()
        .with_replica_state(fetch_request::ReplicaState::default().with_replica_id(BrokerId(from)))
        .with_max_wait_ms(500)
        .with_max_bytes(1 << 20)
        .with_topics(vec![
            fetch_request::FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![
                fetch_request::FetchPartition::default()
                    .with_current_leader_epoch(epoch)
                    .with_fetch_offset(offset)
                    .with_last_fetched_epoch(last_epoch)
                    .with_partition_max_bytes(1 << 20)
                    .with_high_watermark(high_watermark),
            ]),
        ])
}

/// The leader's answer to a fetch, still empty.
pub fn fetch_partition(leader: i32, epoch: i32, high_watermark: i64) -> fetch_response::PartitionData {
    fetch_response::PartitionData::default()
        .with_high_watermark(high_watermark)
        .with_current_leader(
            fetch_response::LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch),
        )
        .with_records(Some(Bytes::new()))
}

pub fn fetch_response(partition: fetch_response::PartitionData) -> FetchResponse {
    FetchResponse::default().with_responses(vec![
        fetch_response::FetchableTopicResponse::default()
            .with_topic_id(METADATA_TOPIC_ID)
            .with_partitions(vec![partition]),
    ])
}

/// The partition in an answer to a fetch.
pub fn fetched(response: ResponseKind) -> fetch_response::PartitionData {
    let ResponseKind::Fetch(mut response) = response else { panic!("not a fetch: {response:?}") };
    assert_eq!(response.error_code, 0);
    response.responses.remove(0).partitions.remove(0)
}

pub fn fetch_of(request: &RequestKind) -> &fetch_request::FetchPartition {
    let RequestKind::Fetch(fetch) = request else { panic!("not a fetch: {request:?}") };
    &fetch.topics[0].partitions[0]
}

/// The answer to a fetch that was held by a leader of `epoch` that leads no more.
pub fn refused_fetch(epoch: i32) -> ResponseKind {
    let partition = fetch_response::PartitionData::default()
        .with_error_code(trial_wire::ErrorCode::NotLeaderOrFollower.code())
        .with_high_watermark(-1)
        .with_records(Some(Bytes::new()))
        .with_current_leader(
            fetch_response::LeaderIdAndEpoch::default().with_leader_id(BrokerId(-1)).with_leader_epoch(epoch),
        );
    fetch_response(partition).into()
}
