//! The configs that every client has.

use trial_node::{OpenError, Span};

use crate::properties::Properties;

use super::backoff::ExponentialBackoff;
use super::sasl::Login;

/// What Kafka's clients have in common, with Kafka's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// `request.timeout.ms`: a request that is not answered in this time costs its connection.
    pub request_timeout: Span,
    /// `socket.connection.setup.timeout.ms` and `.max.ms` (KIP-601).
    pub connection_setup: ExponentialBackoff,
    /// `reconnect.backoff.ms` and `.max.ms`.
    pub reconnect: ExponentialBackoff,
    /// `retry.backoff.ms` and `.max.ms` (KIP-580).
    pub retry: ExponentialBackoff,
    /// `metadata.max.age.ms`: metadata is asked for again when it is this old.
    pub metadata_max_age: Span,
    /// `metadata.recovery.rebootstrap.trigger.ms` (KIP-1102): after so long without metadata the client goes back to its
    /// bootstrap list.
    pub rebootstrap_trigger: Span,
    /// `connections.max.idle.ms`: a connection that has carried nothing for this long is closed.
    pub connections_max_idle: Span,
    /// `max.in.flight.requests.per.connection`; 1 and up. Only producers can set it.
    pub max_in_flight: usize,
    /// `security.protocol` and what goes with it: who the client logs in as, if it does.
    pub login: Option<Login>,
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        let backoff = |initial, max| ExponentialBackoff {
            initial: Span::from_millis(initial),
            max: Span::from_millis(max),
        };
        NetworkConfig {
            request_timeout: Span::from_secs(30),
            connection_setup: backoff(10_000, 30_000),
            reconnect: backoff(50, 1_000),
            retry: backoff(100, 1_000),
            metadata_max_age: Span::from_secs(300),
            rebootstrap_trigger: Span::from_secs(300),
            connections_max_idle: Span::from_secs(540),
            max_in_flight: 100,
            login: None,
        }
    }
}

impl NetworkConfig {
    /// Takes the common configs out of `properties`.
    ///
    /// # Errors
    /// [`OpenError::Config`] for a value that is no number or out of range.
    pub fn read(properties: &mut Properties<'_>) -> Result<NetworkConfig, OpenError> {
        let mut config = NetworkConfig::default();
        properties.millis("request.timeout.ms", &mut config.request_timeout)?;
        properties.millis("socket.connection.setup.timeout.ms", &mut config.connection_setup.initial)?;
        properties.millis("socket.connection.setup.timeout.max.ms", &mut config.connection_setup.max)?;
        properties.millis("reconnect.backoff.ms", &mut config.reconnect.initial)?;
        properties.millis("reconnect.backoff.max.ms", &mut config.reconnect.max)?;
        properties.millis("retry.backoff.ms", &mut config.retry.initial)?;
        properties.millis("retry.backoff.max.ms", &mut config.retry.max)?;
        properties.millis("metadata.max.age.ms", &mut config.metadata_max_age)?;
        let trigger = "metadata.recovery.rebootstrap.trigger.ms";
        properties.millis(trigger, &mut config.rebootstrap_trigger)?;
        properties.millis("connections.max.idle.ms", &mut config.connections_max_idle)?;
        config.login = Login::read(properties)?;
        Ok(config)
    }
}
