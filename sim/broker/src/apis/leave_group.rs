//! LeaveGroup: members leave a classic group.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::coordinated::Keyed;

impl Keyed for LeaveGroupRequest {
    type Response = LeaveGroupResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Group;

    fn key(&self) -> &str {
        &self.group_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> LeaveGroupResponse {
        LeaveGroupResponse::default().with_error_code(error.code())
    }
}
