//! The sockets that stand, and what each is owed.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use trial_node::{ConnId, Endpoint, Input, Request};
use trial_wire::frame::encode_request_frame;

use crate::cluster::Cluster;
use crate::edge::is_answered;
use crate::limits::Limits;
use crate::socket::{Event, Link, PeerId, Queued};
use crate::tally::Tally;

/// How many bytes may wait for a broker on a connection before its client is held back, where no response says that a
/// request is done.
const UNREAD_MAX: u64 = 1 << 20;

#[derive(Debug)]
struct Peer {
    conn: ConnId,
    link: Link,
    /// What the requests cost that are going to be answered, in their order.
    owed: VecDeque<u32>,
    /// What those cost that are not.
    silent: VecDeque<u32>,
    /// How many of the next responses are not the client's: they answer what was sent in its name.
    unasked: usize,
}

/// Where clients of each broker come in, within the cluster.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The brokers' listeners for clients, by the names that the brokers tell.
    pub brokers: Vec<Endpoint>,
    /// Other ports by which brokers tell where they are.
    pub other_ports: Vec<u16>,
    /// Where somebody is known by the subject of a certificate, if clients are known at all.
    pub certified: Option<Certified>,
    /// How much each broker's listener takes.
    pub limits: Limits,
}

/// The way in for those who have shown a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Certified {
    /// The port.
    pub port: u16,
    /// What to say there first, of the certificate's subject. The two responses are not the client's.
    pub login: fn(&str) -> [Request; 2],
}

impl Doors {
    /// Those of brokers whose clients all come in the same way.
    pub fn open(brokers: Vec<Endpoint>) -> Doors {
        Doors { brokers, other_ports: Vec::new(), certified: None, limits: Limits::NONE }
    }
}

/// Every socket and its connection within the cluster.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    by_conn: BTreeMap<ConnId, PeerId>,
    /// Those with requests that get no response.
    silent: Vec<PeerId>,
    /// The places in the queue of the requests that the cluster has got since it last ran.
    queued: Vec<Queued>,
    pub(crate) tally: Tally,
}

impl Peers {
    /// Lets what happened at a socket happen within the cluster. False if the server is to end.
    pub(crate) fn take(&mut self, event: Event, doors: &Doors, cluster: &mut impl Cluster) -> bool {
        match event {
            Event::Opened { peer, broker, subject, link } => {
                self.tally.connections += 1;
                let mut to = doors.brokers[broker].clone();
                let certified = subject.zip(doors.certified);
                if let Some((_, door)) = &certified {
                    to.port = door.port;
                }
                let Some(conn) = cluster.connect(&to) else {
                    self.tally.ended += 1;
                    return true;
                };
                let (owed, silent) = Default::default();
                self.by_conn.insert(conn, peer);
                self.peers.insert(peer, Peer { conn, link, owed, silent, unasked: 0 });
                if let Some((subject, door)) = certified {
                    self.introduce(peer, (door.login)(&subject), cluster);
                }
            }
            Event::Refused { why } => {
                self.tally.connections += 1;
                self.tally.refuse(why);
            }
            Event::Request { peer, request, frame, cost, queued } => {
                self.queued.push(queued);
                self.request(peer, request, frame, cost, cluster);
            }
            Event::Unsent { why } => self.tally.not_sent(why),
            Event::Closed { peer, refused } => {
                if let Some(why) = refused {
                    self.tally.refuse(why);
                }
                self.close(peer, cluster);
            }
            // Who has gone does not want an answer any more.
            Event::Look { answer } => drop(answer.send(cluster.state())),
            Event::Order { order, answer } => drop(answer.send(cluster.order(&order))),
            Event::Stop => return false,
        }
        true
    }

    /// Says who a client is, in its name.
    fn introduce(&mut self, id: PeerId, requests: [Request; 2], cluster: &mut impl Cluster) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for request in requests {
            let (correlation_id, version) = (request.correlation_id, request.api_version);
            let mut frame = BytesMut::new();
            encode_request_frame(correlation_id, version, &request.client_id, &request.body, &mut frame)
                .and_then(|()| cluster.request(peer.conn, request, frame.split_off(4).freeze()))
                .expect("its version is one that can be encoded");
            peer.unasked += 1;
        }
    }

    fn request(&mut self, id: PeerId, request: Request, frame: Bytes, cost: u32, cluster: &mut impl Cluster) {
        // The cluster may have closed the connection since.
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let answered = is_answered(&request);
        if let Err(error) = cluster.request(peer.conn, request, frame) {
            self.tally.refuse(error.to_string());
            return self.close(id, cluster);
        }
        self.tally.requests += 1;
        if answered {
            peer.owed.push_back(cost);
        } else {
            peer.silent.push_back(cost);
            if peer.silent.len() == 1 {
                self.silent.push(id);
            }
        }
    }

    /// Hands out what arrived from the cluster, which has run.
    pub(crate) fn deliver(&mut self, cluster: &mut impl Cluster) {
        self.queued.clear();
        for input in cluster.arrivals() {
            match input {
                Input::Response { conn, response } => {
                    let peer = self.by_conn.get(&conn).and_then(|id| self.peers.get_mut(id));
                    let Some(peer) = peer else { continue };
                    if peer.unasked > 0 {
                        peer.unasked -= 1;
                        continue;
                    }
                    self.tally.responses += 1;
                    let cost = peer.owed.pop_front().expect("a request is answered once");
                    peer.link.respond(response, cost);
                }
                Input::Closed { conn, .. } => {
                    if let Some(id) = self.by_conn.remove(&conn) {
                        self.tally.ended += 1;
                        self.peers.remove(&id);
                    }
                }
                _ => {}
            }
        }
        let peers = &mut self.peers;
        self.silent.retain(|id| {
            let Some(peer) = peers.get_mut(id) else { return false };
            if cluster.unread(peer.conn) > UNREAD_MAX {
                return true;
            }
            peer.silent.drain(..).for_each(|cost| peer.link.done(cost));
            false
        });
    }

    fn close(&mut self, id: PeerId, cluster: &mut impl Cluster) {
        if let Some(peer) = self.peers.remove(&id) {
            self.by_conn.remove(&peer.conn);
            cluster.close(peer.conn);
        }
    }

    /// Closes everything.
    pub(crate) fn close_all(&mut self, cluster: &mut impl Cluster) {
        while let Some((&id, _)) = self.peers.first_key_value() {
            self.close(id, cluster);
        }
    }
}
