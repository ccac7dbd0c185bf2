//! Which APIs we speak, in which versions, on which listener.

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;

/// Who serves an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Brokers, on the client and inter-broker listener.
    Broker,
    /// Controllers, on the quorum's listener.
    Controller,
    /// Both.
    Both,
}

/// One line of the API table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// The versions that we speak.
    pub versions: VersionRange,
    /// Who serves it.
    pub listener: Listener,
}

/// Every API that we speak, in the order of the keys.
pub const APIS: &[Api] = &[];

/// The line of `key`.
pub fn lookup(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

/// The newest version that we speak; what our own nodes use among themselves.
pub fn latest(key: ApiKey) -> i16 {
    lookup(key).map_or(0, |api| api.versions.max)
}
