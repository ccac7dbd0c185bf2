//! Who waits for a step, and what is answered.

use trial_node::TraceEvent;
use trial_wire::messages::{
    AddOffsetsToTxnResponse, EndTxnResponse, InitProducerIdResponse, ProducerId as WireProducerId,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::TransactionCoordinator;
use super::metadata::{ProducerIdAndEpoch, TransactionMetadata};
use crate::{CallId, Output};

/// Who is to be told what became of a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// Nobody: the coordinator took it by itself.
    Nobody,
    /// An InitProducerId that gets a producer id and epoch.
    InitProducerId { call: CallId, version: i16 },
    /// An InitProducerId whose predecessor's transaction is aborted: it has to come again when that is over.
    Fence { call: CallId, version: i16 },
    /// One transaction of an AddPartitionsToTxn.
    AddPartitions { call: CallId, index: usize },
    /// An AddOffsetsToTxn.
    AddOffsets { call: CallId, version: i16 },
    /// An EndTxn.
    EndTxn { call: CallId, version: i16 },
}

impl TransactionCoordinator {
    /// Tells `caller` that a step was taken, with what is known now, or why it was not.
    pub(super) fn answer(&mut self, caller: Caller, result: Result<Option<&TransactionMetadata>, ErrorCode>) {
        let code = result.err().map_or(0, |error| error.code());
        let known = result.ok().flatten();
        let (call, body) = match caller {
            Caller::Nobody => return,
            Caller::AddPartitions { call, index } => return self.answer_partitions(call, index, code),
            Caller::InitProducerId { call, version } => (call, init_producer_id(version, code, known)),
            Caller::Fence { call, version } => {
                let again = ErrorCode::ConcurrentTransactions.code();
                (call, init_producer_id(version, if code == 0 { again } else { code }, None))
            }
            Caller::AddOffsets { call, version } => {
                let response =
                    AddOffsetsToTxnResponse::default().with_error_code(fencing_code(code, version, 2));
                (call, ResponseKind::AddOffsetsToTxn(response))
            }
            Caller::EndTxn { call, version } => (call, end_txn(version, code, known)),
        };
        self.outputs.push_back(Output::Respond { call, body });
    }

    /// Tells who reads the run of a producer that was refused because there is a newer one.
    pub(super) fn trace_refusal(&mut self, id: &StrBytes, producer: ProducerIdAndEpoch, error: ErrorCode) {
        if error == ErrorCode::ProducerFenced {
            let ProducerIdAndEpoch { producer_id, producer_epoch } = producer;
            let transactional_id = id.clone();
            self.outputs.push_back(Output::Trace(TraceEvent::ProducerFenced {
                transactional_id,
                producer_id,
                producer_epoch,
            }));
        }
    }
}

/// Clients of versions before `since` do not know PRODUCER_FENCED (KIP-588).
pub(super) fn fencing_code(code: i16, version: i16, since: i16) -> i16 {
    if version < since && code == ErrorCode::ProducerFenced.code() {
        return ErrorCode::InvalidProducerEpoch.code();
    }
    code
}

fn init_producer_id(version: i16, code: i16, known: Option<&TransactionMetadata>) -> ResponseKind {
    let (producer_id, epoch) =
        known.map_or((-1, -1), |known| (known.log.producer_id.0, known.log.producer_epoch.0));
    ResponseKind::InitProducerId(
        InitProducerIdResponse::default()
            .with_error_code(fencing_code(code, version, 4))
            .with_producer_id(WireProducerId(producer_id))
            .with_producer_epoch(epoch),
    )
}

fn end_txn(version: i16, code: i16, known: Option<&TransactionMetadata>) -> ResponseKind {
    let mut response = EndTxnResponse::default()
        .with_error_code(fencing_code(code, version, 2))
        .with_producer_id(WireProducerId(-1))
        .with_producer_epoch(-1);
    // KIP-890: the producer goes on with these.
    if let Some(known) = known.filter(|_| version >= 5) {
        let after = known.after_completion();
        response.producer_id = WireProducerId(after.producer_id.0);
        response.producer_epoch = after.producer_epoch.0;
    }
    ResponseKind::EndTxn(response)
}
