//! A consumer leaves nothing out.

use trial_node::{ClientEvent, Offset, RecordId, Time};

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "consumer-skip",
    about: "A consumer that goes on from one offset to a later one passes no offset that holds a record, nor does the reset \
            of a position.",
    source: "Jepsen's Kafka workload: poll skip",
};

/// A jump, judged at the end, when it is known which offsets hold records.
#[derive(Clone, Copy)]
struct Gap {
    at: Time,
    consumer: u32,
    slot: u32,
    from: Offset,
    to: Offset,
}

#[derive(Default)]
pub(crate) struct ConsumerSkip {
    gaps: Vec<Gap>,
}

impl ClientProperty for ConsumerSkip {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED.and(Concerns::OTHER)
    }

    fn event(&mut self, Seen { at, event, slot, .. }: Seen<'_>, history: &History, _: &mut Findings) {
        let (consumer, from, to) = match event {
            Event::Polled { consumer, offset, .. } => (consumer, history.position(consumer, slot), offset),
            Event::Single(ClientEvent::PositionReset { consumer, from, to, .. })
                if *from != Offset::UNKNOWN =>
            {
                (*consumer, Some(*from), *to)
            }
            _ => return,
        };
        if let Some(from) = from.filter(|from| *from < to) {
            let from = from.max(history.partition(slot).1.gone.below).min(to);
            self.gaps.push(Gap { at, consumer, slot, from, to });
        }
    }

    fn finish(&mut self, _: Time, history: &History, out: &mut Findings) {
        for gap in &self.gaps {
            let (name, partition) = history.partition(gap.slot);
            let end = gap.to.0.min(partition.values.len() as i64);
            // What is not committed takes up offsets, but is not handed out; nor is it to a consumer that might see it, where
            // only what the log has kept can be known.
            let shown = |id: Option<RecordId>| id.is_some_and(|id| !history.may_be_hidden(id));
            let compacted = |offset: Offset| partition.gone.superseded.contains(&offset);
            let read = (gap.from.0..end)
                .find(|offset| shown(partition.value(Offset(*offset))) && !compacted(Offset(*offset)));
            let mut unread = partition.acked.range(gap.from..gap.to);
            let acked = unread
                .find(|(offset, id)| shown(Some(**id)) && !compacted(**offset))
                .map(|(offset, _)| offset.0);
            if let Some(offset) = read.or(acked) {
                out.report(
                    gap.at,
                    vec![
                        format!(
                            "consumer {} went on from {name} offset {} to {}",
                            gap.consumer, gap.from, gap.to
                        ),
                        format!(
                            "offset {offset} holds a record, {}",
                            if read.is_some() { "read at another time" } else { "acknowledged" }
                        ),
                    ],
                );
            }
        }
    }
}
