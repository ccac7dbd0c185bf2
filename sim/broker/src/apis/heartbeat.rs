//! Heartbeat: a member of a classic group is alive.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::coordinated::Keyed;

impl Keyed for HeartbeatRequest {
    type Response = HeartbeatResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Group;

    fn key(&self) -> &str {
        &self.group_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> HeartbeatResponse {
        match error {
            // While its group is being loaded, a member is taken to be fine.
            ErrorCode::CoordinatorLoadInProgress => HeartbeatResponse::default(),
            error => HeartbeatResponse::default().with_error_code(error.code()),
        }
    }
}
