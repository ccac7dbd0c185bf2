//! The other voters as destinations: one request at a time to each, and a pause after a failure.

use trial_node::{NodeId, Rng, Time};

use crate::config::RaftConfig;
use crate::output::RequestId;

/// What a request asks, for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Vote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    id: RequestId,
    ask: Ask,
    deadline: Time,
}

#[derive(Clone, Debug)]
struct Peer {
    id: NodeId,
    in_flight: Option<InFlight>,
    paused_until: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Peers {
    peers: Vec<Peer>,
    last_id: u64,
}

impl Peers {
    pub fn new(config: &RaftConfig) -> Peers {
        let others = config.voters.iter().map(|(id, _)| *id).filter(|id| *id != config.node_id);
        Peers {
            peers: others.map(|id| Peer { id, in_flight: None, paused_until: Time::ZERO }).collect(),
            last_id: 0,
        }
    }

    /// Forgets what is in flight and every pause: after a change of role all is asked anew.
    pub fn reset(&mut self) {
        for peer in &mut self.peers {
            peer.in_flight = None;
            peer.paused_until = Time::ZERO;
        }
    }

    fn get(&self, id: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    fn get_mut(&mut self, id: NodeId) -> &mut Peer {
        self.peers.iter_mut().find(|peer| peer.id == id).expect("requests go to voters alone")
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().map(|peer| peer.id)
    }

    pub fn is_ready(&self, id: NodeId, now: Time) -> bool {
        self.get(id).is_some_and(|peer| peer.in_flight.is_none() && peer.paused_until <= now)
    }

    /// When something could next be sent to this voter; `None` while a request is in flight.
    pub fn ready_at(&self, id: NodeId) -> Option<Time> {
        let peer = self.get(id)?;
        peer.in_flight.is_none().then_some(peer.paused_until)
    }

    pub fn any_in_flight(&self) -> bool {
        self.peers.iter().any(|peer| peer.in_flight.is_some())
    }

    /// A ready voter, drawn.
    pub fn any_ready(&self, now: Time, rng: &mut Rng) -> Option<NodeId> {
        let ready = |peer: &&Peer| peer.in_flight.is_none() && peer.paused_until <= now;
        let count = self.peers.iter().filter(ready).count();
        if count == 0 {
            return None;
        }
        let chosen = usize::try_from(rng.below(count as u64)).expect("an index fits");
        self.peers.iter().filter(ready).nth(chosen).map(|peer| peer.id)
    }

    /// Notes a request that is being sent.
    pub fn sent(&mut self, to: NodeId, ask: Ask, deadline: Time) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.get_mut(to).in_flight = Some(InFlight { id, ask, deadline });
        id
    }

    /// Ends a request; `None` if nobody waits for it any more.
    pub fn answered(&mut self, id: RequestId) -> Option<(NodeId, Ask)> {
        let peer = self.peers.iter_mut().find(|peer| peer.in_flight.is_some_and(|sent| sent.id == id))?;
        let ask = peer.in_flight.take()?.ask;
        Some((peer.id, ask))
    }

    /// Leaves a voter alone for a while.
    pub fn pause(&mut self, id: NodeId, until: Time) {
        self.get_mut(id).paused_until = until;
    }

    /// Ends a request that has waited too long.
    pub fn expire(&mut self, now: Time) -> Option<(NodeId, RequestId)> {
        let late = |sent: InFlight| sent.deadline <= now;
        let peer = self.peers.iter_mut().find(|peer| peer.in_flight.is_some_and(late))?;
        let sent = peer.in_flight.take()?;
        Some((peer.id, sent.id))
    }

    /// When the first request in flight will have waited too long.
    pub fn next_expiry(&self) -> Option<Time> {
        self.peers.iter().filter_map(|peer| peer.in_flight.map(|sent| sent.deadline)).min()
    }

    /// When the first pause ends of a voter that nothing is in flight to.
    pub fn next_ready(&self) -> Option<Time> {
        self.peers.iter().filter(|peer| peer.in_flight.is_none()).map(|peer| peer.paused_until).min()
    }
}
