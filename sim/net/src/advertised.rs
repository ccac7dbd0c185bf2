//! Where brokers are, in the words of those outside.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use trial_wire::{ResponseKind, StrBytes};

use crate::peers::Doors;

/// The real addresses of brokers, by what they call themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Advertised {
    addresses: BTreeMap<(StrBytes, u16), (StrBytes, u16)>,
}

impl Advertised {
    /// Each broker is at the address of the same place in `addresses`.
    pub(crate) fn new(doors: &Doors, addresses: &[SocketAddr]) -> Advertised {
        let mut known = BTreeMap::new();
        for (broker, address) in doors.brokers.iter().zip(addresses) {
            let host = StrBytes::from_string(address.ip().to_string());
            for port in doors.other_ports.iter().chain([&broker.port]) {
                known.insert((broker.host.clone(), *port), (host.clone(), address.port()));
            }
        }
        Advertised { addresses: known }
    }

    /// Replaces brokers' names for themselves by their real addresses, in every response that tells them to clients.
    pub(crate) fn translate(&self, body: &mut ResponseKind) {
        match body {
            ResponseKind::Metadata(metadata) => {
                metadata.brokers.iter_mut().for_each(|b| self.replace(&mut b.host, &mut b.port));
            }
            ResponseKind::FindCoordinator(found) => {
                self.replace(&mut found.host, &mut found.port);
                found.coordinators.iter_mut().for_each(|c| self.replace(&mut c.host, &mut c.port));
            }
            ResponseKind::DescribeCluster(cluster) => {
                cluster.brokers.iter_mut().for_each(|b| self.replace(&mut b.host, &mut b.port));
            }
            ResponseKind::Produce(produce) => {
                produce.node_endpoints.iter_mut().for_each(|n| self.replace(&mut n.host, &mut n.port));
            }
            ResponseKind::Fetch(fetch) => {
                fetch.node_endpoints.iter_mut().for_each(|n| self.replace(&mut n.host, &mut n.port));
            }
            _ => {}
        }
    }

    fn replace(&self, host: &mut StrBytes, port: &mut i32) {
        let Ok(old_port) = u16::try_from(*port) else { return };
        if let Some((new_host, new_port)) = self.addresses.get(&(host.clone(), old_port)) {
            (*host, *port) = (new_host.clone(), i32::from(*new_port));
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_node::Endpoint;
    use trial_wire::messages::metadata_response::MetadataResponseBroker;
    use trial_wire::messages::{FindCoordinatorResponse, MetadataResponse};

    use super::*;

    fn advertised() -> Advertised {
        let brokers = [Endpoint::new("broker-1", 9092), Endpoint::new("broker-2", 9092)];
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Advertised::new(&Doors::open(brokers.to_vec()), &[at(4001), at(4002)])
    }

    #[test]
    fn known_brokers_are_translated_and_others_left() {
        let broker = |host: &str, port| {
            MetadataResponseBroker::default()
                .with_host(StrBytes::from_string(host.to_owned()))
                .with_port(port)
        };
        let brokers = vec![broker("broker-2", 9092), broker("broker-1", 9093), broker("elsewhere", 9092)];
        let mut body = ResponseKind::Metadata(MetadataResponse::default().with_brokers(brokers));
        advertised().translate(&mut body);
        let brokers = vec![broker("127.0.0.1", 4002), broker("broker-1", 9093), broker("elsewhere", 9092)];
        assert_eq!(body, ResponseKind::Metadata(MetadataResponse::default().with_brokers(brokers)));
    }

    #[test]
    fn no_coordinator_stays_none() {
        let none = ResponseKind::FindCoordinator(FindCoordinatorResponse::default().with_port(-1));
        let mut body = none.clone();
        advertised().translate(&mut body);
        assert_eq!(body, none);
    }
}
