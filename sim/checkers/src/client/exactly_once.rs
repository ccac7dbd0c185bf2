//! A pipeline writes what it has read as often as it promises.

use std::collections::BTreeMap;

use trial_node::{Content, Offset, Time, TopicPartition};

use crate::client::transactions::{State, Transaction};
use crate::client::{Concerns, History};
use crate::load::{Pipeline, PipelineCounts, Promise};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "exactly-once",
    about: "When everything is over, each record below the committed offset of an exactly-once pipeline's group has exactly \
            one committed output, and none above has one. Of an at-least-once pipeline none is lost, of an at-most-once \
            pipeline none is written twice.",
    source: "KIP-98; KIP-129; KIP-447",
};

#[derive(Default)]
pub(crate) struct ExactlyOnce;

/// One record that a pipeline read or should have read.
#[derive(Clone, Copy, Debug, Default)]
struct Input {
    exists: bool,
    outputs: u64,
    /// There may have been an output that is compacted away.
    perhaps_compacted: bool,
}

/// What each pipeline made of each offset of the partitions that it reads.
type Inputs = BTreeMap<(u32, Offset), Input>;

fn inputs(pipeline: &Pipeline, history: &History) -> Inputs {
    let mut inputs = Inputs::new();
    for (slot, _, known) in history.partitions_of(pipeline.from.as_str()) {
        for (offset, _) in known.audited.iter() {
            inputs.entry((slot, *offset)).or_default().exists = true;
        }
    }
    // An output that is in the log twice counts twice, whoever is to blame.
    for (_, _, known) in history.partitions_of(pipeline.to.as_str()) {
        for id in known.audited.iter().filter_map(|(_, id)| *id) {
            let Some(Content::Copy { source, offset }) = history.contents().get(&id) else { continue };
            if let Some(slot) = history.slot(source).filter(|_| source.topic == pipeline.from) {
                inputs.entry((slot, *offset)).or_default().outputs += 1;
            }
        }
    }
    if history.load().is_topic_compacted(&pipeline.to) {
        note_compacted(pipeline, history, &mut inputs);
    }
    inputs
}

/// Outputs that the audit has not found, and that may have been compacted away all the same: of some nobody was told where they
/// are.
fn note_compacted(pipeline: &Pipeline, history: &History, inputs: &mut Inputs) {
    for (id, content) in history.contents() {
        let Content::Copy { source, offset } = content else { continue };
        let Some(sent) = history.sent(*id).filter(|sent| !sent.refused && sent.audited().is_none()) else {
            continue;
        };
        let gone = |(slot, offset)| history.partition(slot).1.gone.has(offset);
        let is_aborted = |transaction: &Transaction| transaction.state == State::Aborted;
        if history.transaction_of(sent).is_some_and(is_aborted) {
            continue;
        }
        if sent.acked().is_none_or(gone)
            && let Some(slot) = history.slot(source).filter(|_| source.topic == pipeline.from)
        {
            inputs.entry((slot, *offset)).or_default().perhaps_compacted = true;
        }
    }
}

/// The group's committed offset in the partition; nothing is committed if there is none.
fn committed(pipeline: &Pipeline, history: &History, tp: &TopicPartition) -> Offset {
    history.committed_offset(&pipeline.group, tp).unwrap_or(Offset::ZERO)
}

/// What became of the records that a pipeline read.
pub(crate) fn count(pipeline: &Pipeline, history: &History) -> PipelineCounts {
    let mut counts = PipelineCounts::default();
    for ((slot, offset), input) in inputs(pipeline, history) {
        let below = offset < committed(pipeline, history, history.partition(slot).0);
        counts.inputs += u64::from(input.exists);
        counts.committed += u64::from(input.exists && below);
        counts.outputs += input.outputs;
        counts.lost += u64::from(input.exists && below && input.outputs == 0 && !input.perhaps_compacted);
        counts.duplicated += u64::from(input.outputs > 1);
        counts.early += u64::from(!below && input.outputs > 0);
    }
    counts
}

impl ClientProperty for ExactlyOnce {
    fn concerns(&self) -> Concerns {
        Concerns::NONE
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        for pipeline in &history.load().pipelines {
            let topics = [pipeline.from.as_str(), pipeline.to.as_str()];
            if let Some(topic) = topics.into_iter().find(|topic| !history.is_topic_audited(topic)) {
                let what = format!(
                    "{topic} could not be read to its end: nobody knows what group {} did",
                    pipeline.group
                );
                out.report(at, vec![what]);
                continue;
            }
            for ((slot, offset), input) in inputs(pipeline, history) {
                let tp = history.partition(slot).0;
                let end = committed(pipeline, history, tp);
                let what = match (pipeline.promise, input.outputs) {
                    (_, outputs) if !input.exists && outputs > 0 => "holds no record".to_owned(),
                    (Promise::ExactlyOnce | Promise::AtLeastOnce, 0)
                        if offset < end && !input.perhaps_compacted =>
                    {
                        "has none".to_owned()
                    }
                    (Promise::ExactlyOnce | Promise::AtMostOnce, outputs) if outputs > 1 => {
                        format!("has {outputs}")
                    }
                    (Promise::ExactlyOnce, 1) if offset >= end => "has one already".to_owned(),
                    _ => continue,
                };
                out.report(
                    at,
                    vec![
                        format!(
                            "{tp} offset {offset} {what}: committed outputs of it in {}",
                            pipeline.to.as_str()
                        ),
                        format!("group {} has committed offset {end}", pipeline.group),
                    ],
                );
            }
        }
    }
}
