//! The shapes of control records' values.

use super::Shape::{Array, Fixed, Str, Struct};
use super::{Body, fields};
use crate::control::ControlType;

const LEADER_CHANGE_VOTER: Body = fields(&[(0, 1, Fixed(4)), (1, 1, Fixed(16))]);
const LEADER_CHANGE: Body =
    fields(&[(0, 1, Fixed(6)), (0, 1, Array(&LEADER_CHANGE_VOTER)), (0, 1, Array(&LEADER_CHANGE_VOTER))]);
const SNAPSHOT_HEADER: Body = fields(&[(0, 0, Fixed(10))]);
const SNAPSHOT_FOOTER: Body = fields(&[(0, 0, Fixed(2))]);
const KRAFT_VERSION: Body = fields(&[(0, 0, Fixed(4))]);
const VOTERS_ENDPOINT: Body = fields(&[(0, 0, Str), (0, 0, Str), (0, 0, Fixed(2))]);
const VOTERS_FEATURE: Body = fields(&[(0, 0, Fixed(4))]);
const VOTERS_VOTER: Body =
    fields(&[(0, 0, Fixed(20)), (0, 0, Array(&VOTERS_ENDPOINT)), (0, 0, Struct(&VOTERS_FEATURE))]);
const VOTERS: Body = fields(&[(0, 0, Fixed(2)), (0, 0, Array(&VOTERS_VOTER))]);

/// The shape of the value of a control record; a transaction's marker is a number and has none.
pub(super) fn shape(kind: ControlType) -> Option<&'static Body> {
    match kind {
        ControlType::Abort | ControlType::Commit => None,
        ControlType::LeaderChange => Some(&LEADER_CHANGE),
        ControlType::SnapshotHeader => Some(&SNAPSHOT_HEADER),
        ControlType::SnapshotFooter => Some(&SNAPSHOT_FOOTER),
        ControlType::KRaftVersion => Some(&KRAFT_VERSION),
        ControlType::KRaftVoters => Some(&VOTERS),
    }
}
