//! What the controller knows of brokers only from their heartbeats (`BrokerHeartbeatManager` in Kafka's source). It is not
//! in the log: a new controller starts with fresh sessions.

use std::collections::BTreeMap;

use trial_node::{NodeId, Offset, Span, Time};

use crate::image::MetadataImage;

/// One registered broker's session. It counts only while the broker is not fenced.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// When the broker was last heard of.
    pub(super) last_contact: Time,
    /// The last metadata record that the broker has applied, by its last heartbeat.
    pub(super) metadata_offset: Offset,
    /// In controlled shutdown: what the others must have applied before the broker may go, the last record that moved its
    /// leaderships away.
    pub(super) controlled_shutdown_offset: Option<Offset>,
}

impl Session {
    pub(super) fn new(now: Time) -> Session {
        Session { last_contact: now, metadata_offset: Offset::UNKNOWN, controlled_shutdown_offset: None }
    }
}

/// The sessions of all registered brokers.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    sessions: BTreeMap<NodeId, Session>,
    timeout: Span,
    /// When the first session ends, and whose it is.
    next_end: Option<(Time, NodeId)>,
}

impl Sessions {
    /// A fresh session for every registered broker.
    pub(super) fn new(now: Time, timeout: Span, image: &MetadataImage) -> Sessions {
        let sessions = image.brokers().keys().map(|id| (*id, Session::new(now))).collect();
        let mut sessions = Sessions { sessions, timeout, next_end: None };
        sessions.refresh(image);
        sessions
    }

    /// A registered broker's session.
    pub(super) fn get(&self, broker: NodeId) -> &Session {
        &self.sessions[&broker]
    }

    /// Changes a registered broker's session. [`Sessions::refresh`] must follow.
    pub(super) fn get_mut(&mut self, broker: NodeId) -> &mut Session {
        self.sessions.get_mut(&broker).expect("every registered broker has a session")
    }

    /// Begins a session. [`Sessions::refresh`] must follow.
    pub(super) fn start(&mut self, broker: NodeId, now: Time) {
        self.sessions.insert(broker, Session::new(now));
    }

    /// Ends a session for good. [`Sessions::refresh`] must follow.
    pub(super) fn remove(&mut self, broker: NodeId) {
        self.sessions.remove(&broker);
    }

    /// When the session of a broker that is not fenced ends.
    pub(super) fn end(&self, broker: NodeId) -> Time {
        self.get(broker).last_contact + self.timeout
    }

    /// When the first session ends, and whose it is.
    pub(super) fn next_end(&self) -> Option<(Time, NodeId)> {
        self.next_end
    }

    /// Works out anew which session ends first.
    pub(super) fn refresh(&mut self, image: &MetadataImage) {
        let unfenced = image.brokers().values().filter(|broker| !broker.fenced);
        self.next_end = unfenced.map(|broker| (self.end(broker.broker_id), broker.broker_id)).min();
    }

    /// The least that any active broker has applied; `None` if no broker is active.
    pub(super) fn lowest_active_offset(&self, image: &MetadataImage) -> Option<Offset> {
        let sessions =
            image.brokers().values().filter(|broker| !broker.fenced).map(|broker| self.get(broker.broker_id));
        sessions
            .filter(|session| session.controlled_shutdown_offset.is_none())
            .map(|session| session.metadata_offset)
            .min()
    }
}
