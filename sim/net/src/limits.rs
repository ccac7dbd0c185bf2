//! How much a listener takes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What each broker's listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max.connections`: whoever is above it waits to be accepted until somebody goes.
    pub connections: usize,
    /// `max.connections.per.ip`: whoever is above it is accepted and closed.
    pub connections_per_ip: usize,
    /// `sasl.server.max.receive.size`: the largest request before a client has logged in, in bytes, if it has to. SCRAM
    /// has to succeed in both its steps.
    pub before_login: Option<usize>,
}

impl Limits {
    /// None.
    pub const NONE: Limits =
        Limits { connections: usize::MAX, connections_per_ip: usize::MAX, before_login: None };
}

/// So many addresses are remembered before those are forgotten from which there is no connection any more.
const ADDRESSES: usize = 1000;

/// A connection's place at its broker's listener; free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _of_broker: OwnedSemaphorePermit,
    _of_address: OwnedSemaphorePermit,
}

/// The places at one broker's listener.
#[derive(Debug)]
pub(crate) struct Seats {
    limits: Limits,
    of_broker: Arc<Semaphore>,
    of_addresses: BTreeMap<IpAddr, Arc<Semaphore>>,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Seats {
        let of_broker = Arc::new(semaphore(limits.connections));
        Seats { limits, of_broker, of_addresses: BTreeMap::new() }
    }

    /// Waits until somebody may be let in.
    pub(crate) async fn one(&self) -> OwnedSemaphorePermit {
        self.of_broker.clone().acquire_owned().await.expect("it is never closed")
    }

    /// The place of somebody from an address.
    ///
    /// # Errors
    /// Why that address gets no more.
    pub(crate) fn take(&mut self, of_broker: OwnedSemaphorePermit, from: IpAddr) -> Result<Seat, String> {
        let most = self.limits.connections_per_ip;
        if self.of_addresses.len() >= ADDRESSES {
            // Each place that is taken refers to its address's.
            self.of_addresses.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = self.of_addresses.entry(from).or_insert_with(|| Arc::new(semaphore(most)));
        match places.clone().try_acquire_owned() {
            Ok(of_address) => Ok(Seat { _of_broker: of_broker, _of_address: of_address }),
            Err(_) => Err(format!("{from} has {most} connections already (max.connections.per.ip)")),
        }
    }
}

fn semaphore(places: usize) -> Semaphore {
    Semaphore::new(places.min(Semaphore::MAX_PERMITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, connections_per_ip: usize) -> Seats {
        Seats::new(Limits { connections, connections_per_ip, ..Limits::NONE })
    }

    fn from(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([127, 0, high, low])
    }

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more() {
        let mut seats = seats(10, 2);
        let first = seats.take(seats.one().await, from(1)).expect("it is the first");
        let second = seats.take(seats.one().await, from(1));
        let why = seats.take(seats.one().await, from(1)).expect_err("it is the third");
        assert_eq!(why, "127.0.0.1 has 2 connections already (max.connections.per.ip)");
        assert!(seats.take(seats.one().await, from(2)).is_ok());
        drop(first);
        assert!(seats.take(seats.one().await, from(1)).is_ok());
        drop(second);
        assert_eq!(seats.of_broker.available_permits(), 10);
    }

    #[tokio::test]
    async fn a_full_broker_lets_nobody_in_until_somebody_goes() {
        let mut seats = seats(1, 5);
        let only = seats.take(seats.one().await, from(1)).expect("there is room");
        assert!(seats.of_broker.clone().try_acquire_owned().is_err());
        drop(only);
        assert!(seats.take(seats.one().await, from(1)).is_ok());
    }

    #[tokio::test]
    async fn addresses_without_connections_are_forgotten() {
        let mut seats = seats(usize::MAX, usize::MAX);
        let stays = seats.take(seats.one().await, from(0)).expect("there is room");
        for last in 1..=2000 {
            assert!(seats.take(seats.one().await, from(last)).is_ok());
        }
        assert!(seats.of_addresses.len() <= ADDRESSES);
        assert!(seats.of_addresses.contains_key(&from(0)), "it has {stays:?}");
    }
}
