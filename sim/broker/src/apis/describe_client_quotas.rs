//! DescribeClientQuotas (KIP-546): the quotas of the entities that a filter lets pass.

use std::collections::BTreeMap;

use trial_metadata::{QuotaEntity, QuotaName};
use trial_node::Io;
use trial_wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use trial_wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;

const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;
const MATCH_SPECIFIED: i8 = 2;

/// What a filter asks of one part of an entity: a name, or `None` for any.
type Wanted = Option<QuotaName>;

pub(super) fn serve(
    broker: &mut Broker,
    io: &mut Io<'_>,
    caller: Caller,
    request: &DescribeClientQuotasRequest,
) {
    let response = match filter(request) {
        Ok(wanted) => {
            let quotas = broker.published.image.quotas().iter();
            let matching = quotas.filter(|(entity, _)| matches(entity, &wanted, request.strict));
            let entries = matching.map(|(entity, quotas)| {
                let values = quotas.iter().map(|(key, value)| {
                    ValueData::default().with_key(key.clone()).with_value(value.to_wire())
                });
                EntryData::default().with_entity(shown(entity)).with_values(values.collect())
            });
            DescribeClientQuotasResponse::default().with_entries(Some(entries.collect()))
        }
        Err((error, message)) => DescribeClientQuotasResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from(message)))
            .with_entries(None),
    };
    broker.connections.respond(io, caller.token, ResponseKind::DescribeClientQuotas(response));
}

/// What is asked of each part, by its type.
fn filter(request: &DescribeClientQuotasRequest) -> Result<BTreeMap<&str, Wanted>, (ErrorCode, String)> {
    let invalid = |what: String| Err((ErrorCode::InvalidRequest, what));
    let mut wanted = BTreeMap::new();
    for component in &request.components {
        let entity_type = component.entity_type.as_str();
        if QuotaEntity::default().part_mut(entity_type).is_none() {
            return match entity_type {
                "" => invalid("Invalid empty entity type.".to_owned()),
                _ => Err((ErrorCode::UnsupportedVersion, format!("Unsupported entity type {entity_type}"))),
            };
        }
        let name = match (component.match_type, &component._match) {
            (MATCH_EXACT, Some(name)) => Some(QuotaName::Named(name.clone())),
            (MATCH_DEFAULT, None) => Some(QuotaName::Default),
            (MATCH_SPECIFIED, None) => None,
            (MATCH_EXACT..=MATCH_SPECIFIED, _) => {
                return invalid("The match string and the match type do not go together.".to_owned());
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        if wanted.insert(entity_type, name).is_some() {
            return invalid(format!("Entity type {entity_type} cannot appear more than once in the filter."));
        }
    }
    if wanted.contains_key(QuotaEntity::IP) && wanted.len() > 1 {
        let what = "Invalid entity filter component combination: an IP goes with no user and no client id.";
        return invalid(what.to_owned());
    }
    Ok(wanted)
}

fn matches(entity: &QuotaEntity, wanted: &BTreeMap<&str, Wanted>, strict: bool) -> bool {
    if strict && entity.parts().count() != wanted.len() {
        return false;
    }
    wanted.iter().all(|(wanted_type, wanted)| {
        let mut parts = entity.parts();
        parts.any(|(entity_type, name)| {
            entity_type == *wanted_type && wanted.as_ref().is_none_or(|wanted| wanted == name)
        })
    })
}

fn shown(entity: &QuotaEntity) -> Vec<EntityData> {
    let parts = entity.parts().map(|(entity_type, name)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_static_str(entity_type))
            .with_entity_name(name.to_wire())
    });
    parts.collect()
}
