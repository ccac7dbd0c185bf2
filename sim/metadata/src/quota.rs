//! What quotas there are, and whose counts for whom (`QuotaConfig`, `ClientQuotaManager` in Kafka's source).

use trial_wire::StrBytes;

use crate::image::MetadataImage;
use crate::record::{QuotaEntity, QuotaName, QuotaValue};

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaKey {
    /// `producer_byte_rate`: bytes of Produce requests a second, on each broker (KIP-13).
    ProducerByteRate,
    /// `consumer_byte_rate`: bytes of Fetch responses a second, on each broker (KIP-13).
    ConsumerByteRate,
    /// `controller_mutation_rate`: partitions created and deleted a second, in the cluster (KIP-599).
    ControllerMutationRate,
    /// `request_percentage`: the share of the time of a broker's threads (KIP-124). It is kept and described, and limits nobody: a
    /// node that sees time as an argument cannot measure it.
    RequestPercentage,
}

/// Which numbers a quota may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaNumber {
    /// Whole numbers.
    Long,
    /// All above 0.
    Double,
}

impl QuotaKey {
    /// All of them.
    pub const ALL: &[QuotaKey] = &[
        QuotaKey::ProducerByteRate,
        QuotaKey::ConsumerByteRate,
        QuotaKey::ControllerMutationRate,
        QuotaKey::RequestPercentage,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            QuotaKey::ProducerByteRate => "producer_byte_rate",
            QuotaKey::ConsumerByteRate => "consumer_byte_rate",
            QuotaKey::ControllerMutationRate => "controller_mutation_rate",
            QuotaKey::RequestPercentage => "request_percentage",
        }
    }

    /// Which numbers it may be.
    pub fn number(self) -> QuotaNumber {
        match self {
            QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => QuotaNumber::Long,
            QuotaKey::ControllerMutationRate | QuotaKey::RequestPercentage => QuotaNumber::Double,
        }
    }

    /// The quota that has this name.
    ///
    /// # Errors
    /// That there is none, in words.
    pub fn named(name: &str) -> Result<QuotaKey, String> {
        let found = QuotaKey::ALL.iter().copied().find(|key| key.name() == name);
        found.ok_or_else(|| format!("Invalid configuration key {name}"))
    }
}

/// Whose use counts together, for one quota: that of a user, of a client id, or of a client id of a user.
pub type QuotaClient = (Option<StrBytes>, Option<StrBytes>);

/// The quota that counts for a client, and with whom it shares it; the nearest one counts (`DefaultQuotaCallback`).
pub fn quota_of(
    image: &MetadataImage,
    key: QuotaKey,
    user: &StrBytes,
    client_id: &StrBytes,
) -> Option<(QuotaClient, QuotaValue)> {
    if image.quotas().is_empty() {
        return None;
    }
    let name = |name: &StrBytes| Some(QuotaName::Named(name.clone()));
    let (named_user, named_client) = (name(user), name(client_id));
    let default = Some(QuotaName::Default);
    let lookup = |user: &Option<QuotaName>, client_id: &Option<QuotaName>| {
        let entity = QuotaEntity { user: user.clone(), client_id: client_id.clone(), ip: None };
        image.quotas().get(&entity)?.get(key.name().as_bytes()).copied()
    };
    let levels = [
        (&named_user, &named_client),
        (&named_user, &default),
        (&named_user, &None),
        (&default, &named_client),
        (&default, &default),
        (&default, &None),
        (&None, &named_client),
        (&None, &default),
    ];
    levels.into_iter().find_map(|(of_user, of_client)| {
        let value = lookup(of_user, of_client)?;
        let client = (of_user.as_ref().map(|_| user.clone()), of_client.as_ref().map(|_| client_id.clone()));
        Some((client, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MetadataDelta;
    use crate::record::MetadataRecord;

    #[test]
    fn the_nearest_quota_counts() {
        let mut image = MetadataImage::default();
        let quota = |image: &MetadataImage| {
            let (user, client) = (StrBytes::from_static_str("alice"), StrBytes::from_static_str("app"));
            let found = quota_of(image, QuotaKey::ProducerByteRate, &user, &client);
            found.map(|((user, client), value)| (user.is_some(), client.is_some(), value.to_wire()))
        };
        let named = |name| Some(QuotaName::Named(StrBytes::from_static_str(name)));
        let default = || Some(QuotaName::Default);
        let mut set = |user, client_id, value| {
            let record = MetadataRecord::ClientQuota {
                entity: QuotaEntity { user, client_id, ip: None },
                key: StrBytes::from_static_str("producer_byte_rate"),
                value: Some(QuotaValue::from_wire(value)),
            };
            image.replay(&record, &mut MetadataDelta::default()).unwrap();
            quota(&image)
        };
        assert_eq!(set(named("bob"), named("app"), 0.5), None);
        assert_eq!(set(None, default(), 1.0), Some((false, true, 1.0)));
        assert_eq!(set(None, named("app"), 2.0), Some((false, true, 2.0)));
        assert_eq!(set(default(), None, 3.0), Some((true, false, 3.0)));
        assert_eq!(set(default(), default(), 4.0), Some((true, true, 4.0)));
        assert_eq!(set(default(), named("app"), 5.0), Some((true, true, 5.0)));
        assert_eq!(set(named("alice"), None, 6.0), Some((true, false, 6.0)));
        assert_eq!(set(named("alice"), default(), 7.0), Some((true, true, 7.0)));
        assert_eq!(set(named("alice"), named("app"), 8.0), Some((true, true, 8.0)));
    }
}
