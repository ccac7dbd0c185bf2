//! What a node's thread needs for a message.

use trial_node::{Effect, Input, Message, Span};
use trial_wire::RequestKind;

use crate::config::CpuProfile;

/// Where a record batch (format v2) keeps the low byte of its attributes; its last three bits are the codec.
const ATTRIBUTES: usize = 22;

impl CpuProfile {
    /// What taking an input of so many bytes costs.
    pub(crate) fn input(&self, input: &Input, bytes: u32) -> Span {
        match input {
            Input::Request { request, .. } => {
                self.per_message_in + self.body(bytes) + self.batches(&request.body)
            }
            Input::Response { .. } => self.per_message_in + self.body(bytes),
            _ => Span::ZERO,
        }
    }

    /// What an effect costs whose message, if it is one, has so many bytes.
    pub(crate) fn effect(&self, effect: &Effect, bytes: u32) -> Span {
        match effect {
            Effect::Send { message: Message::Request(request), .. } => {
                self.per_message_out + self.body(bytes) + self.batches(&request.body)
            }
            Effect::Send { .. } => self.per_message_out + self.body(bytes),
            _ => Span::ZERO,
        }
    }

    fn body(&self, bytes: u32) -> Span {
        Span(u64::from(bytes) * self.ns_per_kib / 1024)
    }

    fn batches(&self, body: &RequestKind) -> Span {
        let RequestKind::Produce(produce) = body else { return Span::ZERO };
        let partitions = produce.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let costs = partitions.filter_map(|partition| {
            let records = partition.records.as_ref()?;
            let codec = usize::from(records.get(ATTRIBUTES)? & 7);
            let ns_per_kib = self.codec_ns_per_kib.get(codec)?;
            Some(records.len() as u64 * ns_per_kib / 1024)
        });
        Span(costs.sum())
    }
}
