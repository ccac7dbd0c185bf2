//! The fields of the records about users' credentials and ACLs.

use bytes::Bytes;
use trial_security::acl::{Acl, AclOperation, AclPermission, PatternType, ResourceType};
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::Uuid;
use trial_wire::primitive::{Reader, put_compact_bytes, put_compact_string, put_uuid, put_uvarint};

use super::MetadataRecord;
use super::decode::{FieldsError, read_string};

pub(super) fn put_scram_credential(
    out: &mut Vec<u8>,
    name: &str,
    mechanism: ScramMechanism,
    credential: &ScramCredential,
) {
    put_compact_string(out, Some(name));
    out.extend_from_slice(&mechanism.id().to_be_bytes());
    put_compact_bytes(out, Some(&credential.salt));
    put_compact_bytes(out, Some(&credential.stored_key));
    put_compact_bytes(out, Some(&credential.server_key));
    out.extend_from_slice(&credential.iterations.to_be_bytes());
    put_uvarint(out, 0);
}

pub(super) fn put_acl(out: &mut Vec<u8>, id: Uuid, acl: &Acl) {
    put_uuid(out, id);
    out.extend_from_slice(&acl.resource_type.code().to_be_bytes());
    put_compact_string(out, Some(&acl.resource_name));
    out.extend_from_slice(&acl.pattern_type.code().to_be_bytes());
    put_compact_string(out, Some(&acl.principal));
    put_compact_string(out, Some(&acl.host));
    out.extend_from_slice(&acl.operation.code().to_be_bytes());
    out.extend_from_slice(&acl.permission.code().to_be_bytes());
    put_uvarint(out, 0);
}

/// All but the tagged fields.
pub(super) fn read_scram_credential(reader: &mut Reader<'_>) -> Result<MetadataRecord, FieldsError> {
    let name = read_string(reader)?;
    let mechanism = read_mechanism(reader)?;
    let mut bytes = || reader.compact_bytes().map(Bytes::copy_from_slice);
    let (salt, stored_key, server_key) = (bytes()?, bytes()?, bytes()?);
    let credential = ScramCredential { salt, stored_key, server_key, iterations: reader.i32()? };
    Ok(MetadataRecord::UserScramCredential { name, mechanism, credential })
}

pub(super) fn read_mechanism(reader: &mut Reader<'_>) -> Result<ScramMechanism, FieldsError> {
    ScramMechanism::from_id(reader.i8()?).ok_or(FieldsError::Value("Mechanism"))
}

/// All but the tagged fields.
pub(super) fn read_acl(reader: &mut Reader<'_>) -> Result<MetadataRecord, FieldsError> {
    fn known<T>(value: Option<T>, field: &'static str) -> Result<T, FieldsError> {
        value.ok_or(FieldsError::Value(field))
    }
    let id = reader.uuid()?;
    let acl = Acl {
        resource_type: known(ResourceType::from_code(reader.i8()?), "ResourceType")?,
        resource_name: read_string(reader)?,
        pattern_type: known(PatternType::from_code(reader.i8()?), "PatternType")?,
        principal: read_string(reader)?,
        host: read_string(reader)?,
        operation: known(AclOperation::from_code(reader.i8()?), "Operation")?,
        permission: known(AclPermission::from_code(reader.i8()?), "PermissionType")?,
    };
    Ok(MetadataRecord::AccessControlEntry { id, acl })
}
