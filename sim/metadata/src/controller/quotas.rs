//! Quotas of clients (`ClientQuotaControlManager` in Kafka's source; KIP-546).

use std::collections::{BTreeMap, BTreeSet};

use trial_wire::messages::alter_client_quotas_request::{EntryData, OpData};
use trial_wire::messages::alter_client_quotas_response::{EntityData, EntryData as EntryResult};
use trial_wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::{ApiError, ControllerResult, QuorumController};
use crate::quota::{QuotaKey, QuotaNumber};
use crate::record::{MetadataRecord, QuotaEntity, QuotaName, QuotaValue};

impl QuorumController {
    /// AlterClientQuotas. An entity's quotas change wholly or not at all.
    pub fn alter_client_quotas(
        &self,
        request: &AlterClientQuotasRequest,
    ) -> ControllerResult<AlterClientQuotasResponse> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let results = request.entries.iter().map(|entry| {
            let entity = entry.entity.iter().map(|part| {
                EntityData::default()
                    .with_entity_type(part.entity_type.clone())
                    .with_entity_name(part.entity_name.clone())
            });
            let result = EntryResult::default().with_entity(entity.collect());
            match self.alter_entity(entry, &mut seen) {
                Ok(changed) => {
                    records.extend(changed);
                    result
                }
                Err(error) => result.with_error_code(error.code()).with_error_message(error.message()),
            }
        });
        let response = AlterClientQuotasResponse::default().with_entries(results.collect());
        if request.validate_only {
            records.clear();
        }
        ControllerResult::atomic(records, response)
    }

    fn alter_entity(
        &self,
        entry: &EntryData,
        seen: &mut BTreeSet<QuotaEntity>,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let entity = entity_of(entry)?;
        if !seen.insert(entity.clone()) {
            return Err(invalid(format!("The entity {entity} appears more than once.")));
        }
        let none = BTreeMap::new();
        let current = self.image.quotas().get(&entity).unwrap_or(&none);
        let mut records = Vec::new();
        let mut keys = BTreeSet::new();
        for op in &entry.ops {
            if !keys.insert(&op.key) {
                return Err(invalid(format!("The quota {} of {entity} appears more than once.", op.key)));
            }
            let value = if op.remove { None } else { Some(checked(op)?) };
            if value.as_ref() != current.get(&op.key) {
                let (entity, key) = (entity.clone(), op.key.clone());
                records.push(MetadataRecord::ClientQuota { entity, key, value });
            }
        }
        Ok(records)
    }
}

fn invalid(what: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, what)
}

fn entity_of(entry: &EntryData) -> Result<QuotaEntity, ApiError> {
    let mut entity = QuotaEntity::default();
    for part in &entry.entity {
        let name = part.entity_name.as_ref().map(StrBytes::as_str);
        let known = entity.part_mut(&part.entity_type);
        let place = known.ok_or_else(|| invalid(format!("Unknown entity type {}.", part.entity_type)))?;
        if name == Some("") {
            return Err(invalid(format!("An empty {} is not supported.", part.entity_type)));
        }
        if place.replace(QuotaName::from_wire(part.entity_name.clone())).is_some() {
            return Err(invalid(format!("The entity type {} appears more than once.", part.entity_type)));
        }
    }
    match entity {
        QuotaEntity { user: None, client_id: None, ip: None } => {
            Err(invalid("A quota needs a user, a client id, or both.".to_owned()))
        }
        QuotaEntity { ip: Some(_), .. } => Err(invalid(
            "Quotas of addresses are not supported: a broker does not see its clients'.".to_owned(),
        )),
        entity => Ok(entity),
    }
}

fn checked(op: &OpData) -> Result<QuotaValue, ApiError> {
    let key = QuotaKey::named(&op.key).map_err(invalid)?;
    // Also not what is no number.
    if op.value.is_nan() || op.value <= 0.0 {
        return Err(invalid(format!("Quota {} must be greater than 0.", op.key)));
    }
    if key.number() == QuotaNumber::Long {
        if op.value > i64::MAX as f64 {
            return Err(invalid(format!("The value of {} is too large for a 64-bit number.", op.key)));
        }
        if op.value % 1.0 > 1e-6 {
            return Err(invalid(format!("{} cannot be a fractional value.", op.key)));
        }
    }
    Ok(QuotaValue::from_wire(op.value))
}
