//! The broker's standing with the controller: registration, heartbeats, unfencing, controlled shutdown
//! (`BrokerLifecycleManager`, KIP-631).

use trial_metadata::BrokerFeature;
use trial_node::{Endpoint, Io, NodeId, Now, Offset, Span, Time};
use trial_wire::messages::broker_registration_request::{Feature, Listener};
use trial_wire::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest};
use trial_wire::{RequestKind, ResponseKind, StrBytes, Uuid};

use crate::channel::backoff;

/// The wait before the first repetition after a failure.
const RESEND_BACKOFF: Span = Span::from_millis(100);
/// The wait between heartbeats until the broker has caught up with the metadata.
const CATCH_UP_INTERVAL: Span = Span::from_millis(10);
/// The wait before the second heartbeat of a controlled shutdown.
const SHUTDOWN_INTERVAL: Span = Span::from_millis(50);

/// What the broker is to the cluster (`BrokerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// It registers and catches up with the metadata.
    Starting,
    /// It has caught up and waits to be unfenced.
    Recovery,
    /// It serves.
    Running,
    /// It asked the controller to move its leaderships away.
    PendingControlledShutdown,
    /// It stops.
    ShuttingDown,
}

/// Something that the rest of the broker has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// The broker has a new broker epoch.
    Registered {
        /// The epoch.
        broker_epoch: i64,
    },
    /// The controller says that the broker's metadata is recent, for the first time since the start.
    CaughtUp,
    /// The controller has unfenced the broker for the first time since the start.
    Unfenced,
    /// The controlled shutdown is over, or there is nothing to wait for: the broker stops.
    ShutDown,
}

/// What the broker tells the controller about itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `node.id`.
    pub node_id: NodeId,
    /// The cluster's id.
    pub cluster_id: StrBytes,
    /// The ids of the log directories that can be used (KIP-858).
    pub log_dirs: Vec<Uuid>,
    /// The broker epoch of the last run if it was shut down in order, else −1 (KIP-966).
    pub previous_broker_epoch: i64,
    /// Where clients and brokers reach it.
    pub endpoint: Endpoint,
    /// `broker.rack`.
    pub rack: Option<StrBytes>,
    /// The features that it supports.
    pub features: Vec<BrokerFeature>,
}

/// The periods of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct LifecycleConfig {
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Span,
    /// `broker.session.timeout.ms`: also the longest back-off.
    pub session_timeout: Span,
    /// `initial.broker.registration.timeout.ms`.
    pub registration_timeout: Span,
    /// `log.dir.failure.timeout.ms`.
    pub log_dir_failure_timeout: Span,
}

/// See the module's documentation. One request is in flight at a time.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    identity: Identity,
    config: LifecycleConfig,
    state: BrokerState,
    incarnation_id: Uuid,
    broker_epoch: i64,
    registered: bool,
    ready_to_unfence: bool,
    in_flight: bool,
    next_communication: Time,
    communicate_at_once: bool,
    failed_attempts: u32,
    got_shutdown_response: bool,
    /// By then the first registration must have succeeded.
    registration_deadline: Time,
    /// The log directories that have failed since the start, in this order: every heartbeat names them (KIP-858).
    offline_log_dirs: Vec<Uuid>,
    /// How many of them the controller knows of, and how many the heartbeat in flight names.
    offline_known: usize,
    offline_told: usize,
    /// By then it must know of all.
    directory_failure_deadline: Time,
}

impl Lifecycle {
    /// A broker that has just started; registers at once.
    pub fn new(identity: Identity, config: LifecycleConfig, now: Now, io: &mut Io<'_>) -> Lifecycle {
        Lifecycle {
            identity,
            config,
            state: BrokerState::Starting,
            incarnation_id: random_uuid(io),
            broker_epoch: -1,
            registered: false,
            ready_to_unfence: false,
            in_flight: false,
            next_communication: now.mono,
            communicate_at_once: false,
            failed_attempts: 0,
            got_shutdown_response: false,
            registration_deadline: now.mono + config.registration_timeout,
            offline_log_dirs: Vec::new(),
            offline_known: 0,
            offline_told: 0,
            directory_failure_deadline: Time::MAX,
        }
    }

    /// What the broker is to the cluster.
    pub fn state(&self) -> BrokerState {
        self.state
    }

    /// The epoch of the last successful registration; −1 before the first.
    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// Whether the first registration did not succeed in time; the broker must stop.
    pub fn registration_timed_out(&self, now: Now) -> bool {
        self.registration_deadline <= now.mono && self.state != BrokerState::ShuttingDown
    }

    /// A log directory has failed. The controller is told at once, or as soon as the broker is registered. The nil id is that of
    /// a directory that could not be read: it was not registered.
    pub fn directory_failed(&mut self, now: Now, id: Uuid) {
        if id.is_nil() || !self.identity.log_dirs.contains(&id) {
            return;
        }
        self.offline_log_dirs.push(id);
        if self.directory_failure_deadline == Time::MAX {
            self.directory_failure_deadline = now.mono + self.config.log_dir_failure_timeout;
        }
        if self.registered {
            self.communicate_now(now);
        }
    }

    /// Whether the controller has not heard in time of a log directory that has failed; the broker must stop, for it would be
    /// taken for the leader of what it does not serve.
    pub fn directory_failure_timed_out(&self, now: Now) -> bool {
        self.directory_failure_deadline <= now.mono && self.state != BrokerState::ShuttingDown
    }

    /// The next request to the controller, with the broker's metadata being applied up to `metadata_offset` (the offset of the
    /// last applied record).
    pub fn poll_request(&mut self, now: Now, metadata_offset: Offset) -> Option<RequestKind> {
        if self.in_flight || now.mono < self.next_communication || self.state == BrokerState::ShuttingDown {
            return None;
        }
        self.in_flight = true;
        self.next_communication = Time::MAX;
        self.offline_told = self.offline_log_dirs.len();
        Some(if self.registered { self.heartbeat(metadata_offset) } else { self.registration() })
    }

    /// The controller's answer, or `None` if there was none in time.
    pub fn handle_response(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        response: Option<ResponseKind>,
    ) -> Option<LifecycleEvent> {
        self.in_flight = false;
        match response {
            Some(ResponseKind::BrokerRegistration(response)) if response.error_code == 0 => {
                self.failed_attempts = 0;
                self.broker_epoch = response.broker_epoch;
                self.registered = true;
                self.registration_deadline = Time::MAX;
                self.schedule(now, Span::ZERO);
                Some(LifecycleEvent::Registered { broker_epoch: self.broker_epoch })
            }
            Some(ResponseKind::BrokerHeartbeat(response)) if response.error_code == 0 => {
                self.failed_attempts = 0;
                self.offline_known = self.offline_told;
                if self.offline_known == self.offline_log_dirs.len() {
                    self.directory_failure_deadline = Time::MAX;
                }
                self.heartbeat_answered(
                    now,
                    response.is_caught_up,
                    response.is_fenced,
                    response.should_shut_down,
                )
            }
            _ => {
                let wait = backoff(RESEND_BACKOFF, self.config.session_timeout, self.failed_attempts, io);
                self.failed_attempts = self.failed_attempts.saturating_add(1);
                self.communicate_at_once = false;
                self.schedule(now, wait);
                None
            }
        }
    }

    /// The broker is ready to serve as soon as the controller lets it.
    pub fn set_ready_to_unfence(&mut self, now: Now) {
        self.ready_to_unfence = true;
        self.communicate_now(now);
    }

    /// Begins the controlled shutdown. A broker that does not serve has nothing to hand over and stops at once.
    pub fn begin_controlled_shutdown(&mut self, now: Now) -> Option<LifecycleEvent> {
        match self.state {
            BrokerState::Running => {
                self.state = BrokerState::PendingControlledShutdown;
                self.communicate_now(now);
                None
            }
            BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown => None,
            BrokerState::Starting | BrokerState::Recovery => {
                self.state = BrokerState::ShuttingDown;
                Some(LifecycleEvent::ShutDown)
            }
        }
    }

    /// The broker stops: nothing more is sent.
    pub fn stop(&mut self) {
        self.state = BrokerState::ShuttingDown;
    }

    /// When something is due; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        if self.state == BrokerState::ShuttingDown {
            return Time::MAX;
        }
        let communication = if self.in_flight { Time::MAX } else { self.next_communication };
        communication.min(self.registration_deadline).min(self.directory_failure_deadline)
    }

    fn heartbeat_answered(
        &mut self,
        now: Now,
        caught_up: bool,
        fenced: bool,
        shut_down: bool,
    ) -> Option<LifecycleEvent> {
        match self.state {
            BrokerState::Starting => {
                self.schedule(now, CATCH_UP_INTERVAL);
                caught_up.then(|| {
                    self.state = BrokerState::Recovery;
                    LifecycleEvent::CaughtUp
                })
            }
            BrokerState::Recovery => {
                self.schedule(now, self.config.heartbeat_interval);
                (!fenced).then(|| {
                    self.state = BrokerState::Running;
                    LifecycleEvent::Unfenced
                })
            }
            BrokerState::Running => {
                self.schedule(now, self.config.heartbeat_interval);
                None
            }
            BrokerState::PendingControlledShutdown if shut_down => {
                self.state = BrokerState::ShuttingDown;
                Some(LifecycleEvent::ShutDown)
            }
            BrokerState::PendingControlledShutdown => {
                let wait = match self.got_shutdown_response {
                    false => SHUTDOWN_INTERVAL,
                    true => self.config.heartbeat_interval,
                };
                self.got_shutdown_response = true;
                self.schedule(now, wait);
                None
            }
            BrokerState::ShuttingDown => None,
        }
    }

    /// Lets the next request go at once, or right after the one in flight.
    fn communicate_now(&mut self, now: Now) {
        if self.in_flight {
            self.communicate_at_once = true;
        } else {
            self.next_communication = now.mono;
        }
    }

    fn schedule(&mut self, now: Now, wait: Span) {
        let wait = if std::mem::take(&mut self.communicate_at_once) { Span::ZERO } else { wait };
        self.next_communication = now.mono + wait;
    }

    fn registration(&self) -> RequestKind {
        let Identity { node_id, cluster_id, log_dirs, previous_broker_epoch, endpoint, rack, features } =
            &self.identity;
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("PLAINTEXT"))
            .with_host(endpoint.host.clone())
            .with_port(endpoint.port)
            .with_security_protocol(0);
        let features = features.iter().map(|feature| {
            Feature::default()
                .with_name(feature.name.clone())
                .with_min_supported_version(feature.min_supported_version)
                .with_max_supported_version(feature.max_supported_version)
        });
        RequestKind::BrokerRegistration(
            BrokerRegistrationRequest::default()
                .with_broker_id(BrokerId(node_id.0))
                .with_cluster_id(cluster_id.clone())
                .with_incarnation_id(self.incarnation_id)
                .with_listeners(vec![listener])
                .with_features(features.collect())
                .with_rack(rack.clone())
                .with_log_dirs(log_dirs.clone())
                .with_previous_broker_epoch(*previous_broker_epoch),
        )
    }

    fn heartbeat(&self, metadata_offset: Offset) -> RequestKind {
        RequestKind::BrokerHeartbeat(
            BrokerHeartbeatRequest::default()
                .with_broker_id(BrokerId(self.identity.node_id.0))
                .with_broker_epoch(self.broker_epoch)
                .with_current_metadata_offset(metadata_offset.0)
                .with_want_fence(!self.ready_to_unfence)
                .with_want_shut_down(self.state == BrokerState::PendingControlledShutdown)
                .with_offline_log_dirs(self.offline_log_dirs.clone()),
        )
    }
}

/// A random (version 4) id.
pub(crate) fn random_uuid(io: &mut Io<'_>) -> Uuid {
    let mut bytes = [0; 16];
    io.rng.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Surroundings, at};
    use trial_wire::messages::{BrokerHeartbeatResponse, BrokerRegistrationResponse};

    struct Test {
        lifecycle: Lifecycle,
        around: Surroundings,
    }

    fn test() -> Test {
        let mut around = Surroundings::new();
        let identity = Identity {
            node_id: NodeId(3),
            cluster_id: StrBytes::from_static_str("cluster"),
            log_dirs: [9, 10].map(Uuid::from_u128).into(),
            previous_broker_epoch: -1,
            endpoint: Endpoint::new("broker-3".to_owned(), 9092),
            rack: None,
            features: Vec::new(),
        };
        let config = LifecycleConfig {
            heartbeat_interval: Span::from_secs(2),
            session_timeout: Span::from_secs(9),
            registration_timeout: Span::from_secs(60),
            log_dir_failure_timeout: Span::from_secs(30),
        };
        let (lifecycle, _) = around.call(|io| Lifecycle::new(identity, config, at(0), io));
        Test { lifecycle, around }
    }

    impl Test {
        fn answer(&mut self, ms: u64, response: Option<ResponseKind>) -> Option<LifecycleEvent> {
            self.around.call(|io| self.lifecycle.handle_response(at(ms), io, response)).0
        }

        fn heartbeat(&mut self, ms: u64) -> BrokerHeartbeatRequest {
            match self.lifecycle.poll_request(at(ms), Offset(40)) {
                Some(RequestKind::BrokerHeartbeat(heartbeat)) => heartbeat,
                other => panic!("not a heartbeat at {ms} ms: {other:?}"),
            }
        }

        fn running() -> Test {
            let mut test = test();
            assert!(test.lifecycle.poll_request(at(0), Offset(-1)).is_some());
            test.answer(10, registered(17));
            test.heartbeat(10);
            test.answer(11, alive(true, true, false));
            test.lifecycle.set_ready_to_unfence(at(11));
            test.heartbeat(11);
            assert_eq!(test.answer(12, alive(true, false, false)), Some(LifecycleEvent::Unfenced));
            test
        }
    }

    fn registered(broker_epoch: i64) -> Option<ResponseKind> {
        Some(BrokerRegistrationResponse::default().with_broker_epoch(broker_epoch).into())
    }

    fn alive(caught_up: bool, fenced: bool, shut_down: bool) -> Option<ResponseKind> {
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(caught_up)
            .with_is_fenced(fenced)
            .with_should_shut_down(shut_down);
        Some(response.into())
    }

    #[test]
    fn a_broker_registers_catches_up_and_is_unfenced() {
        let mut test = test();
        let Some(RequestKind::BrokerRegistration(request)) = test.lifecycle.poll_request(at(0), Offset(-1))
        else {
            panic!("it registers first");
        };
        assert_eq!((request.broker_id.0, request.listeners[0].port), (3, 9092));
        assert_eq!(test.lifecycle.poll_request(at(5), Offset(-1)), None);
        assert_eq!(test.answer(10, registered(17)), Some(LifecycleEvent::Registered { broker_epoch: 17 }));
        let heartbeat = test.heartbeat(10);
        assert_eq!((heartbeat.broker_epoch, heartbeat.current_metadata_offset), (17, 40));
        assert!(heartbeat.want_fence);
        assert_eq!(test.answer(11, alive(false, true, false)), None);
        assert_eq!(test.lifecycle.deadline(), at(21).mono);
        test.heartbeat(21);
        assert_eq!(test.answer(22, alive(true, true, false)), Some(LifecycleEvent::CaughtUp));
        test.lifecycle.set_ready_to_unfence(at(22));
        assert!(!test.heartbeat(22).want_fence);
        assert_eq!(test.answer(23, alive(true, false, false)), Some(LifecycleEvent::Unfenced));
        assert_eq!(test.lifecycle.state(), BrokerState::Running);
        assert_eq!(test.lifecycle.deadline(), at(2_023).mono);
    }

    #[test]
    fn failures_are_repeated_after_a_growing_wait() {
        let mut test = test();
        let mut now = 0;
        for wait in [80..=120, 160..=240, 320..=480] {
            assert!(test.lifecycle.poll_request(at(now), Offset(-1)).is_some());
            assert_eq!(test.answer(now, None), None);
            let next = test.lifecycle.deadline().since(at(now).mono).as_millis();
            assert!(wait.contains(&next), "{next} ms");
            now += next + 1;
        }
    }

    #[test]
    fn a_broker_that_cannot_register_stops() {
        let test = test();
        assert!(!test.lifecycle.registration_timed_out(at(59_999)));
        assert!(test.lifecycle.registration_timed_out(at(60_000)));
        assert!(!Test::running().lifecycle.registration_timed_out(at(60_000)));
    }

    #[test]
    fn a_failed_directory_is_told_at_once_and_again_until_the_controller_knows() {
        let mut test = Test::running();
        let failed = Uuid::from_u128(10);
        assert!(test.heartbeat(2_500).offline_log_dirs.is_empty());
        // While a heartbeat without it is in flight.
        test.lifecycle.directory_failed(at(2_501), failed);
        test.answer(2_502, alive(true, false, false));
        assert_eq!(test.lifecycle.deadline(), at(2_502).mono, "the next goes at once");
        assert_eq!(test.heartbeat(2_502).offline_log_dirs, [failed]);
        assert!(!test.lifecycle.directory_failure_timed_out(at(32_500)), "30 s after the failure");
        assert!(test.lifecycle.directory_failure_timed_out(at(32_501)));
        test.answer(2_503, alive(true, false, false));
        assert!(!test.lifecycle.directory_failure_timed_out(at(99_999)));
        assert_eq!(test.heartbeat(4_503).offline_log_dirs, [failed], "every heartbeat names it");
        // What was not registered is nobody's business.
        test.lifecycle.directory_failed(at(4_504), Uuid::nil());
        assert!(!test.lifecycle.directory_failure_timed_out(at(99_999)));
    }

    #[test]
    fn a_controlled_shutdown_waits_for_the_controller() {
        let mut test = Test::running();
        assert_eq!(test.lifecycle.begin_controlled_shutdown(at(100)), None);
        assert!(test.heartbeat(100).want_shut_down);
        assert_eq!(test.answer(101, alive(true, false, false)), None);
        assert_eq!(test.lifecycle.deadline(), at(151).mono);
        test.heartbeat(151);
        assert_eq!(test.answer(152, alive(true, false, false)), None);
        assert_eq!(test.lifecycle.deadline(), at(2_152).mono);
        test.heartbeat(2_152);
        assert_eq!(test.answer(2_153, alive(true, true, true)), Some(LifecycleEvent::ShutDown));
        assert_eq!(test.lifecycle.poll_request(at(9_999), Offset(40)), None);
    }

    #[test]
    fn a_broker_that_does_not_serve_stops_at_once() {
        let mut test = test();
        assert_eq!(test.lifecycle.begin_controlled_shutdown(at(1)), Some(LifecycleEvent::ShutDown));
    }
}
