//! Who a quota is for, and how much it allows (KIP-546).

use std::fmt;

use trial_wire::StrBytes;

/// One part of a quota's entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaName {
    /// Whoever has no quota of its own.
    Default,
    /// The user, client id or address of this name.
    Named(StrBytes),
}

impl QuotaName {
    /// The name on the wire, where null is the default.
    pub fn from_wire(name: Option<StrBytes>) -> QuotaName {
        name.map_or(QuotaName::Default, QuotaName::Named)
    }

    /// The name on the wire.
    pub fn to_wire(&self) -> Option<StrBytes> {
        match self {
            QuotaName::Default => None,
            QuotaName::Named(name) => Some(name.clone()),
        }
    }
}

/// Who a quota is for. A part that is missing does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity {
    /// The user.
    pub user: Option<QuotaName>,
    /// The client id.
    pub client_id: Option<QuotaName>,
    /// The client's address.
    pub ip: Option<QuotaName>,
}

impl QuotaEntity {
    /// The entity type `user` on the wire.
    pub const USER: &str = "user";
    /// The entity type `client-id` on the wire.
    pub const CLIENT_ID: &str = "client-id";
    /// The entity type `ip` on the wire.
    pub const IP: &str = "ip";

    /// The part that a type on the wire names; `None` if there is no such type.
    pub fn part_mut(&mut self, entity_type: &str) -> Option<&mut Option<QuotaName>> {
        match entity_type {
            QuotaEntity::USER => Some(&mut self.user),
            QuotaEntity::CLIENT_ID => Some(&mut self.client_id),
            QuotaEntity::IP => Some(&mut self.ip),
            _ => None,
        }
    }

    /// The parts that are there, each with its type on the wire.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &QuotaName)> {
        let parts = [
            (QuotaEntity::CLIENT_ID, &self.client_id),
            (QuotaEntity::IP, &self.ip),
            (QuotaEntity::USER, &self.user),
        ];
        parts.into_iter().filter_map(|(entity_type, name)| Some((entity_type, name.as_ref()?)))
    }
}

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (entity_type, name)) in self.parts().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match name {
                QuotaName::Default => write!(f, "{comma}default {entity_type}")?,
                QuotaName::Named(name) => write!(f, "{comma}{entity_type} {}", name.as_str())?,
            }
        }
        Ok(())
    }
}

/// How much a quota allows a second: bytes, or mutations. Kafka's log and protocol have it as a floating-point number, which it
/// stays until it is used: nothing is computed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaValue(u64);

impl QuotaValue {
    /// From the number on the wire.
    pub fn from_wire(value: f64) -> QuotaValue {
        QuotaValue(value.to_bits())
    }

    /// The number on the wire.
    pub fn to_wire(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// In millionths, at least one.
    pub fn millionths(self) -> u64 {
        // Saturates, and a NaN, which no controller lets in, becomes 0.
        ((self.to_wire() * 1e6) as u64).max(1)
    }
}
