//! A producer's configs.

use std::collections::BTreeMap;

use trial_node::{OpenError, Span};
use trial_wire::{Compression, StrBytes};

use crate::network::NetworkConfig;
use crate::properties::{Properties, invalid};

/// What a producer can be told, with the defaults of Kafka 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// What all clients have in common.
    pub network: NetworkConfig,
    /// `acks`: 0, 1 or −1 (`all`).
    pub acks: i16,
    /// `enable.idempotence`.
    pub idempotence: bool,
    /// `retries`: attempts after the first.
    pub retries: u32,
    /// `batch.size`: bytes of a partition's batch; a larger record gets a batch of its own.
    pub batch_size: usize,
    /// `linger.ms`: how long a batch waits for more records.
    pub linger: Span,
    /// `buffer.memory`: bytes for all batches that are not yet acknowledged.
    pub buffer_memory: usize,
    /// `max.block.ms`: how long a send waits for metadata or memory before it fails.
    pub max_block: Span,
    /// `max.request.size`: bytes of a request's batches, and of a record.
    pub max_request_size: usize,
    /// `delivery.timeout.ms`: from when a batch is begun until it is acknowledged or given up.
    pub delivery_timeout: Span,
    /// `compression.type`.
    pub compression: Compression,
    /// `transactional.id`: the producer is transactional (KIP-98).
    pub transactional_id: Option<StrBytes>,
    /// `transaction.timeout.ms`: the coordinator aborts a transaction that is open for longer.
    pub transaction_timeout: Span,
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            network: NetworkConfig { max_in_flight: 5, ..NetworkConfig::default() },
            acks: -1,
            idempotence: true,
            retries: i32::MAX as u32,
            batch_size: 16_384,
            linger: Span::from_millis(5),
            buffer_memory: 32 << 20,
            max_block: Span::from_secs(60),
            max_request_size: 1 << 20,
            delivery_timeout: Span::from_secs(120),
            compression: Compression::None,
            transactional_id: None,
            transaction_timeout: Span::from_secs(60),
        }
    }
}

impl ProducerConfig {
    /// Reads configs by their Kafka names.
    ///
    /// # Errors
    /// [`OpenError::Config`] for a name that is not one, a value that is not allowed, or values that exclude each other.
    pub fn from_properties(given: &BTreeMap<String, String>) -> Result<ProducerConfig, OpenError> {
        let mut properties = Properties::new(given);
        let mut config =
            ProducerConfig { network: NetworkConfig::read(&mut properties)?, ..Default::default() };
        let mut max_in_flight = 5;
        properties.number("max.in.flight.requests.per.connection", 1, 1_000_000, &mut max_in_flight)?;
        config.network.max_in_flight = max_in_flight;
        properties.choice("acks", &[("all", -1), ("-1", -1), ("0", 0), ("1", 1)], &mut config.acks)?;
        properties.number("retries", 0, i32::MAX as u32, &mut config.retries)?;
        properties.number("batch.size", 0, i32::MAX as usize, &mut config.batch_size)?;
        properties.millis("linger.ms", &mut config.linger)?;
        properties.number("buffer.memory", 0, usize::MAX, &mut config.buffer_memory)?;
        properties.millis("max.block.ms", &mut config.max_block)?;
        properties.number("max.request.size", 0, i32::MAX as usize, &mut config.max_request_size)?;
        properties.millis("delivery.timeout.ms", &mut config.delivery_timeout)?;
        properties.flag("enable.idempotence", &mut config.idempotence)?;
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        let codecs = codecs.map(|name| (name, Compression::from_name(name).unwrap_or_default()));
        properties.choice("compression.type", &codecs, &mut config.compression)?;
        config.transactional_id =
            properties.text("transactional.id").map(|id| StrBytes::from_string(id.to_owned()));
        properties.millis("transaction.timeout.ms", &mut config.transaction_timeout)?;
        properties.finish()?;
        config.settle_idempotence(given.contains_key("enable.idempotence"))?;
        config.settle_delivery_timeout(given.contains_key("delivery.timeout.ms"))?;
        if config.transactional_id.is_some() && !config.idempotence {
            return Err(invalid("transactional.id", "transactions need idempotence".to_owned()));
        }
        Ok(config)
    }

    /// Idempotence needs acknowledgements by all, retries, and no more batches in flight than brokers remember. It gives
    /// way to other configs unless it was asked for (KAFKA-13598).
    fn settle_idempotence(&mut self, explicit: bool) -> Result<(), OpenError> {
        let obstacle = if self.acks != -1 {
            "acks=all"
        } else if self.retries == 0 {
            "retries of at least 1"
        } else if self.network.max_in_flight > 5 {
            "max.in.flight.requests.per.connection of at most 5"
        } else {
            return Ok(());
        };
        if self.idempotence && explicit {
            return Err(invalid("enable.idempotence", format!("idempotence needs {obstacle}")));
        }
        self.idempotence = false;
        Ok(())
    }

    fn settle_delivery_timeout(&mut self, explicit: bool) -> Result<(), OpenError> {
        let least = self.linger + self.network.request_timeout;
        if self.delivery_timeout < least {
            if explicit {
                let what = format!(
                    "must be at least linger.ms + request.timeout.ms, which is {}",
                    least.as_millis()
                );
                return Err(invalid("delivery.timeout.ms", what));
            }
            self.delivery_timeout = least;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<ProducerConfig, OpenError> {
        let given = entries.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        ProducerConfig::from_properties(&given)
    }

    #[test]
    fn defaults_are_those_of_kafka_4() {
        let config = read(&[]).unwrap();
        assert_eq!(config, ProducerConfig::default());
        assert!(config.idempotence && config.acks == -1 && config.linger == Span::from_millis(5));
    }

    #[test]
    fn idempotence_gives_way_unless_asked_for() {
        assert!(!read(&[("acks", "1")]).unwrap().idempotence);
        assert!(!read(&[("max.in.flight.requests.per.connection", "6")]).unwrap().idempotence);
        let error = read(&[("acks", "1"), ("enable.idempotence", "true")]).unwrap_err();
        assert_eq!(error.to_string(), "config enable.idempotence: idempotence needs acks=all");
    }

    #[test]
    fn delivery_timeout_covers_linger_and_a_request() {
        assert_eq!(read(&[("linger.ms", "200000")]).unwrap().delivery_timeout, Span::from_secs(230));
        let error = read(&[("delivery.timeout.ms", "1000")]).unwrap_err();
        assert!(error.to_string().contains("which is 30005"), "{error}");
    }
}
