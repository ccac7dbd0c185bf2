//! JoinGroup: a member joins a classic group, or its next generation.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use super::coordinated::Keyed;

impl Keyed for JoinGroupRequest {
    type Response = JoinGroupResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Group;

    fn key(&self) -> &str {
        &self.group_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> JoinGroupResponse {
        JoinGroupResponse::default().with_member_id(self.member_id.clone()).with_error_code(error.code())
    }
}
