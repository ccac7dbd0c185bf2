//! EndTxn (KIP-98): a producer commits or aborts its transaction.

use trial_node::view::CoordinatorKind;
use trial_wire::ErrorCode;
use trial_wire::messages::{EndTxnRequest, EndTxnResponse};

use super::coordinated::Keyed;

impl Keyed for EndTxnRequest {
    type Response = EndTxnResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Transaction;

    fn key(&self) -> &str {
        &self.transactional_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> EndTxnResponse {
        EndTxnResponse::default().with_error_code(error.code())
    }
}
