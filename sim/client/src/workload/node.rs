//! The client process as a node.

use trial_node::{Input, Io, Node, Now, OpenError, Time};

use super::config::ClientConfig;
use super::view::ClientView;

/// A client process. Its clients know nothing of each other; each has its own connections, as in Kafka.
#[derive(Clone, Debug)]
pub struct ClientNode {
    config: ClientConfig,
}

impl Node for ClientNode {
    type Config = ClientConfig;

    fn open(config: ClientConfig, _io: &mut Io<'_>, _now: Now) -> Result<ClientNode, OpenError> {
        Ok(ClientNode { config })
    }

    fn handle(&mut self, _now: Now, _input: Input, _io: &mut Io<'_>) {}

    fn poll_timeout(&self) -> Option<Time> {
        self.config.stop_at
    }
}

impl ClientNode {
    /// Whether all that ends by itself has ended: topics are created, producers have stopped and every record of theirs is
    /// acknowledged or given up. Consumers do not count.
    pub fn is_done(&self) -> bool {
        false
    }

    /// Records handed to this process's producers that are neither acknowledged nor given up. O(producers).
    pub fn outstanding_sends(&self) -> u64 {
        0
    }

    /// The process seen from outside. Allocates; not for every event.
    pub fn view(&self) -> ClientView {
        ClientView::default()
    }
}
