//! AddOffsetsToTxn (KIP-98): a group's partition of `__consumer_offsets` becomes part of a transaction.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::coordinated::Keyed;

impl Keyed for AddOffsetsToTxnRequest {
    type Response = AddOffsetsToTxnResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Transaction;

    fn key(&self) -> &str {
        &self.transactional_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> AddOffsetsToTxnResponse {
        AddOffsetsToTxnResponse::default().with_error_code(error.code())
    }
}
