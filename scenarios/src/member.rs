//! The two kinds of node that a scenario's world holds.

use trial_broker::{Broker, BrokerConfig};
use trial_client::{ClientConfig, ClientNode};
use trial_node::{Input, Io, Node, Now, OpenError, Time};

/// A broker or a client.
#[derive(Clone, Debug)]
pub enum Member {
    /// A broker, with its controller.
    Broker(Box<Broker>),
    /// A client process.
    Client(Box<ClientNode>),
}

/// What a [`Member`] is opened with.
#[derive(Clone, Debug)]
pub enum MemberConfig {
    /// A broker's.
    Broker(BrokerConfig),
    /// A client process's.
    Client(ClientConfig),
}

impl Node for Member {
    type Config = MemberConfig;

    fn open(config: MemberConfig, io: &mut Io<'_>, now: Now) -> Result<Self, OpenError> {
        Ok(match config {
            MemberConfig::Broker(config) => Member::Broker(Box::new(Broker::open(config, io, now)?)),
            MemberConfig::Client(config) => Member::Client(Box::new(ClientNode::open(config, io, now)?)),
        })
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        match self {
            Member::Broker(node) => node.handle(now, input, io),
            Member::Client(node) => node.handle(now, input, io),
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self {
            Member::Broker(node) => node.poll_timeout(),
            Member::Client(node) => node.poll_timeout(),
        }
    }
}
