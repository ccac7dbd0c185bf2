//! Nothing is lost track of, whatever happens.

use proptest::prelude::*;
use trial_faults::{Fault, Hosts, Links, ResolvedFault};
use trial_node::{Endpoint, Input, Io, Node, Now, OpenError, Request, Response, Span, Time};
use trial_wire::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

use crate::config::{HostSpec, Latency, LinkProfile, MachineProfile, WorldConfig};
use crate::observer::Ignore;
use crate::world::{HostId, World};

const HOSTS: [&str; 3] = ["a", "b", "c"];

/// Connects to its peer every 300 ms, sends requests of all sizes, closes now and then; answers every other request.
#[derive(Clone)]
struct Chatter {
    peer: &'static str,
    next: Time,
    sent: i32,
}

impl Node for Chatter {
    type Config = &'static str;

    fn open(peer: &'static str, _io: &mut Io<'_>, now: Now) -> Result<Self, OpenError> {
        Ok(Chatter { peer, next: now.mono, sent: 0 })
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        match input {
            Input::Timeout => {
                self.next = now.mono + Span::from_millis(300);
                let conn = io.connect(Endpoint::new(self.peer, 9092));
                if io.rng.chance(1, 8) {
                    io.close(conn);
                }
            }
            Input::Connected { conn } | Input::Response { conn, .. } => {
                for _ in 0..io.rng.between(0, 2) {
                    self.sent += 1;
                    let bytes = vec![0; io.rng.between(0, 2_000) as usize];
                    let body = SaslAuthenticateRequest::default().with_auth_bytes(bytes.into());
                    let (correlation_id, client_id) = (self.sent, StrBytes::from_static_str("chatter"));
                    let body = RequestKind::SaslAuthenticate(body);
                    io.request(
                        conn,
                        Request { correlation_id, api_version: 2, client_id, body: body.into() },
                    );
                }
                if io.rng.chance(1, 16) {
                    io.close(conn);
                }
            }
            Input::Request { conn, request } if request.correlation_id % 2 == 0 => {
                let body = ResponseKind::SaslAuthenticate(SaslAuthenticateResponse::default());
                io.respond(
                    conn,
                    Response { correlation_id: request.correlation_id, api_version: 2, body: body.into() },
                );
            }
            _ => {}
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        Some(self.next)
    }
}

fn chatting(seed: u64, narrow: bool) -> World<Chatter> {
    let latency = Latency::LongTail { median: Span::from_millis(2) };
    let link = LinkProfile { latency, bytes_per_s: if narrow { 200_000 } else { 0 } };
    let config = WorldConfig { link, window_bytes: 3_000, ..WorldConfig::new(seed) };
    let mut world = World::new(config);
    let rate = if narrow { 300_000 } else { 0 };
    let profile =
        MachineProfile { nic_in_bytes_per_s: rate, nic_out_bytes_per_s: rate, ..MachineProfile::default() };
    for (i, name) in HOSTS.into_iter().enumerate() {
        let config = HOSTS[(i + 1) % HOSTS.len()];
        let spec = HostSpec { name: name.to_owned(), ports: vec![9092], profile, config };
        let host = world.add_host(spec);
        world.start(host, &mut Ignore);
    }
    world
}

fn fault(kind: u8, host: usize) -> ResolvedFault {
    let on = Hosts::new(vec![HOSTS[host].to_owned()]);
    match kind {
        0 => Fault::Kill(on),
        1 => Fault::PowerOff(on),
        2 => Fault::Pause(on),
        3 => Fault::Partition(Links::Around(on)),
        4 => Fault::Partition(Links::OutOf(on)),
        5 => Fault::Partition(Links::Into(on)),
        6 => Fault::LinkDelay { on: Links::Around(on), add: Span::from_millis(400), jitter: Span(1_000_000) },
        _ => Fault::LinkBandwidth { on: Links::Around(on), limit: 50_000 },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_message_and_connection_is_accounted_for(
        seed in any::<u64>(),
        narrow in any::<bool>(),
        faults in prop::collection::vec((0u64..5_000, 0u8..8, 0usize..3, 1u64..4_000), 0..12),
    ) {
        let mut world = chatting(seed, narrow);
        let mut moments: Vec<(u64, bool, ResolvedFault)> = vec![];
        for (at, kind, host, lasts) in faults {
            moments.push((at, true, fault(kind, host)));
            moments.push((at + lasts, false, fault(kind, host)));
        }
        moments.sort_by_key(|(at, inject, _)| (*at, *inject));
        for (at, inject, fault) in moments {
            world.run_until(Time(at * 1_000_000), &mut Ignore).unwrap();
            match inject {
                true => world.apply(&fault, &mut Ignore).unwrap(),
                false => world.heal(&fault, &mut Ignore).unwrap(),
            }
        }
        world.run_until(Time(10_000_000_000), &mut Ignore).unwrap();
        prop_assert!(world.counters().messages > 0);
        for host in 0..3 {
            world.kill(HostId(host), &mut Ignore);
        }
        // What the dead have left in their kernels is delivered or given up.
        world.run_until(Time(2_000_000_000_000), &mut Ignore).unwrap();
        let net = &world.sim.net;
        let left: Vec<_> = net.conns.iter().filter(|conn| conn.epoch != 0).collect();
        prop_assert!(left.is_empty(), "a connection has no end: {left:?}");
        prop_assert_eq!(net.free.len(), net.conns.len());
        prop_assert_eq!(net.messages.len(), 0, "a message has no end");
        prop_assert!(net.links.iter().flatten().all(|link| !link.is_cut()));
    }
}
