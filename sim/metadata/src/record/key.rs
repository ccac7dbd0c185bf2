//! The records' api keys, and the versions that we know of each.

pub(super) const FRAME_VERSION: u32 = 1;

pub(super) const REGISTER_BROKER: u32 = 0;
pub(super) const UNREGISTER_BROKER: u32 = 1;
pub(super) const TOPIC: u32 = 2;
pub(super) const PARTITION: u32 = 3;
pub(super) const CONFIG: u32 = 4;
pub(super) const PARTITION_CHANGE: u32 = 5;
pub(super) const FENCE_BROKER: u32 = 7;
pub(super) const UNFENCE_BROKER: u32 = 8;
pub(super) const REMOVE_TOPIC: u32 = 9;
pub(super) const USER_SCRAM_CREDENTIAL: u32 = 11;
pub(super) const FEATURE_LEVEL: u32 = 12;
pub(super) const CLIENT_QUOTA: u32 = 14;
pub(super) const PRODUCER_IDS: u32 = 15;
pub(super) const BROKER_REGISTRATION_CHANGE: u32 = 17;
pub(super) const ACCESS_CONTROL_ENTRY: u32 = 18;
pub(super) const REMOVE_ACCESS_CONTROL_ENTRY: u32 = 19;
pub(super) const NO_OP: u32 = 20;
pub(super) const REMOVE_USER_SCRAM_CREDENTIAL: u32 = 22;
pub(super) const CLEAR_ELR: u32 = 28;

/// The newest version of each record that we know.
pub(super) fn newest_version(key: u32) -> Option<u32> {
    match key {
        REGISTER_BROKER => Some(3),
        PARTITION | PARTITION_CHANGE | BROKER_REGISTRATION_CHANGE => Some(2),
        UNREGISTER_BROKER
        | TOPIC
        | CONFIG
        | FENCE_BROKER
        | UNFENCE_BROKER
        | REMOVE_TOPIC
        | FEATURE_LEVEL
        | CLIENT_QUOTA
        | PRODUCER_IDS
        | NO_OP
        | CLEAR_ELR
        | USER_SCRAM_CREDENTIAL
        | REMOVE_USER_SCRAM_CREDENTIAL
        | ACCESS_CONTROL_ENTRY
        | REMOVE_ACCESS_CONTROL_ENTRY => Some(0),
        _ => None,
    }
}
