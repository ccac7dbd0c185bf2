//! What this broker asks the coordinators of transactions before it appends the first record of a transaction to a partition
//! (KIP-890; `AddPartitionsToTxnManager` in Kafka's source).

use std::collections::BTreeMap;

use trial_node::{NodeId, ProducerEpoch, ProducerId, TopicPartition};
use trial_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use trial_wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TransactionalId};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use crate::replica::VerificationId;

/// The version of AddPartitionsToTxn that brokers use among themselves: it knows TRANSACTION_ABORTABLE.
const VERSION: i16 = 5;

/// Who asks.
pub(crate) type Asker = VerificationId;

/// An answer for who asked: per partition `Ok`, or an error.
pub(crate) type Verdict = (Asker, Vec<(TopicPartition, Result<(), ErrorCode>)>);

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Who asks.
    pub asker: Asker,
    /// The transactional id.
    pub transactional_id: StrBytes,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// Whether they are to be added to the transaction; else whether they are in it.
    pub add: bool,
}

impl Question {
    /// The same error for each of its partitions.
    pub fn all(self, error: ErrorCode) -> Verdict {
        (self.asker, self.partitions.into_iter().map(|tp| (tp, Err(error))).collect())
    }
}

/// The questions for one broker: those of the request that is in flight, and those that go with the next one, one for each
/// transactional id.
#[derive(Clone, Debug, Default)]
struct Queue {
    in_flight: Option<Vec<Question>>,
    next: BTreeMap<StrBytes, Question>,
}

/// Gathers questions by broker; one request is in flight to each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verifier {
    queues: BTreeMap<NodeId, Queue>,
}

impl Verifier {
    /// Takes a question for the coordinator on broker `to`. Gives an answer if another question about the same transactional
    /// id, or this one, is settled by that.
    pub fn ask(&mut self, to: NodeId, question: Question) -> Option<Verdict> {
        let queue = self.queues.entry(to).or_default();
        let mut settled = None;
        if let Some(earlier) = queue.next.get(&question.transactional_id) {
            if earlier.producer_epoch > question.producer_epoch {
                return Some(question.all(ErrorCode::InvalidProducerEpoch));
            }
            // Of one producer in one epoch, the client must have given up the earlier request.
            let error = match earlier.producer_epoch < question.producer_epoch {
                true => ErrorCode::InvalidProducerEpoch,
                false => ErrorCode::NetworkException,
            };
            settled = queue.next.remove(&question.transactional_id).map(|earlier| earlier.all(error));
        }
        queue.next.insert(question.transactional_id.clone(), question);
        settled
    }

    /// The next request to send to broker `to`, with its version, unless one is in flight.
    pub fn next_request(&mut self, to: NodeId) -> Option<(i16, RequestKind)> {
        let queue = self.queues.get_mut(&to)?;
        if queue.in_flight.is_some() || queue.next.is_empty() {
            return None;
        }
        let questions: Vec<Question> = std::mem::take(&mut queue.next).into_values().collect();
        let transactions = questions.iter().map(|question| {
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(TransactionalId(question.transactional_id.clone()))
                .with_producer_id(question.producer_id.0.into())
                .with_producer_epoch(question.producer_epoch.0)
                .with_verify_only(!question.add)
                .with_topics(by_topic(&question.partitions))
        });
        let body = AddPartitionsToTxnRequest::default().with_transactions(transactions.collect()).into();
        queue.in_flight = Some(questions);
        Some((VERSION, body))
    }

    /// What became of the request in flight to broker `to`; `None` if there was no response.
    pub fn answered(&mut self, to: NodeId, response: Option<ResponseKind>) -> Vec<Verdict> {
        let questions = self.queues.get_mut(&to).and_then(|queue| queue.in_flight.take()).unwrap_or_default();
        let all = |error: ErrorCode| questions.iter().cloned().map(|question| question.all(error)).collect();
        let response = match response {
            Some(ResponseKind::AddPartitionsToTxn(response)) => response,
            Some(_) | None => return all(ErrorCode::NetworkException),
        };
        match ErrorCode::try_from_code(response.error_code) {
            Some(error) => all(error),
            None => questions.into_iter().map(|question| verdict(question, &response)).collect(),
        }
    }
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<AddPartitionsToTxnTopic> {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for tp in partitions {
        match topics.iter_mut().find(|topic| topic.name == tp.topic) {
            Some(topic) => topic.partitions.push(tp.partition),
            None => topics.push(
                AddPartitionsToTxnTopic::default()
                    .with_name(tp.topic.clone())
                    .with_partitions(vec![tp.partition]),
            ),
        }
    }
    topics
}

fn verdict(question: Question, response: &AddPartitionsToTxnResponse) -> Verdict {
    let mut results = response.results_by_transaction.iter();
    let Some(result) = results.find(|result| *result.transactional_id == question.transactional_id) else {
        return question.all(ErrorCode::UnknownServerError);
    };
    let mut results = Vec::new();
    for topic in &result.topic_results {
        for partition in &topic.results_by_partition {
            let tp = TopicPartition { topic: topic.name.clone(), partition: partition.partition_index };
            results.push((
                tp,
                match ErrorCode::try_from_code(partition.partition_error_code) {
                    None => Ok(()),
                    // What producers expect here.
                    Some(ErrorCode::ProducerFenced) => Err(ErrorCode::InvalidProducerEpoch),
                    Some(error) => Err(error),
                },
            ));
        }
    }
    (question.asker, results)
}

#[cfg(test)]
mod tests {
    use trial_wire::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    };

    use super::*;

    const TO: NodeId = NodeId(2);

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("orders".to_owned(), partition)
    }

    fn question(asker: u64, id: &str, epoch: i16, partitions: &[i32]) -> Question {
        Question {
            asker: VerificationId(asker),
            transactional_id: StrBytes::from(id.to_owned()),
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(epoch),
            partitions: partitions.iter().map(|partition| tp(*partition)).collect(),
            add: true,
        }
    }

    /// The transactional ids of the next request.
    fn next(verifier: &mut Verifier) -> Option<Vec<String>> {
        let (version, body) = verifier.next_request(TO)?;
        assert_eq!(version, 5);
        let RequestKind::AddPartitionsToTxn(request) = body else { panic!("{body:?}") };
        Some(
            request.transactions.iter().map(|transaction| transaction.transactional_id.to_string()).collect(),
        )
    }

    fn answer(results: &[(&str, i32, i16)]) -> Option<ResponseKind> {
        let results = results.iter().map(|(id, partition, error)| {
            let partition = AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(*error);
            let topic = AddPartitionsToTxnTopicResult::default()
                .with_name(tp(0).topic)
                .with_results_by_partition(vec![partition]);
            AddPartitionsToTxnResult::default()
                .with_transactional_id(TransactionalId(StrBytes::from((*id).to_owned())))
                .with_topic_results(vec![topic])
        });
        Some(AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect()).into())
    }

    #[test]
    fn what_is_asked_while_a_request_is_in_flight_goes_with_the_next() {
        let mut verifier = Verifier::default();
        assert_eq!(verifier.ask(TO, question(1, "a", 0, &[0])), None);
        assert_eq!(next(&mut verifier), Some(vec!["a".to_owned()]));
        assert_eq!(verifier.ask(TO, question(2, "b", 0, &[0])), None);
        assert_eq!(verifier.ask(TO, question(3, "c", 0, &[1])), None);
        assert_eq!(next(&mut verifier), None);
        let verdicts = verifier.answered(TO, answer(&[("a", 0, 0)]));
        assert_eq!(verdicts, [(VerificationId(1), vec![(tp(0), Ok(()))])]);
        assert_eq!(next(&mut verifier), Some(vec!["b".to_owned(), "c".to_owned()]));
        let fenced = ErrorCode::ProducerFenced.code();
        let verdicts = verifier.answered(TO, answer(&[("c", 1, 0), ("b", 0, fenced)]));
        let invalid = (VerificationId(2), vec![(tp(0), Err(ErrorCode::InvalidProducerEpoch))]);
        assert_eq!(verdicts, [invalid, (VerificationId(3), vec![(tp(1), Ok(()))])]);
    }

    #[test]
    fn a_lost_request_is_an_error_for_each_of_its_partitions() {
        let mut verifier = Verifier::default();
        verifier.ask(TO, question(1, "a", 0, &[0, 1]));
        assert!(next(&mut verifier).is_some());
        let error = Err(ErrorCode::NetworkException);
        let verdicts = verifier.answered(TO, None);
        assert_eq!(verdicts, [(VerificationId(1), vec![(tp(0), error), (tp(1), error)])]);
    }

    #[test]
    fn of_two_questions_about_one_transactional_id_the_newer_epoch_counts() {
        let mut verifier = Verifier::default();
        verifier.ask(TO, question(1, "a", 3, &[0]));
        let retried = (VerificationId(1), vec![(tp(0), Err(ErrorCode::NetworkException))]);
        assert_eq!(verifier.ask(TO, question(2, "a", 3, &[0])), Some(retried));
        let fenced = |asker| (VerificationId(asker), vec![(tp(0), Err(ErrorCode::InvalidProducerEpoch))]);
        assert_eq!(verifier.ask(TO, question(3, "a", 2, &[0])), Some(fenced(3)));
        assert_eq!(verifier.ask(TO, question(4, "a", 4, &[0])), Some(fenced(2)));
        assert_eq!(next(&mut verifier), Some(vec!["a".to_owned()]));
    }
}
