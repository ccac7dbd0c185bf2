//! SyncGroup: a member of a classic group asks for its assignment, its leader brings everybody's.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::coordinated::Keyed;

impl Keyed for SyncGroupRequest {
    type Response = SyncGroupResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Group;

    fn key(&self) -> &str {
        &self.group_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> SyncGroupResponse {
        SyncGroupResponse::default().with_error_code(error.code())
    }
}
