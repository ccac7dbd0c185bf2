//! Where each consumer is, as its own events tell.

use trial_node::{ClientEvent, Offset};

use crate::client::Event;

/// What a consumer should read next in each of its partitions: by consumer, then by partition's slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions(Vec<Vec<Option<Offset>>>);

impl Positions {
    pub(crate) fn get(&self, consumer: u32, slot: u32) -> Option<Offset> {
        self.0.get(consumer as usize)?.get(slot as usize).copied().flatten()
    }

    /// Whether consumers with a number below `end` have positions in the partition, and all are beyond `offset`.
    pub(crate) fn all_beyond(&self, end: u32, slot: u32, offset: Offset) -> bool {
        let consumers = self.0.iter().take(end as usize);
        let mut positions =
            consumers.filter_map(|slots| slots.get(slot as usize).copied().flatten()).peekable();
        positions.peek().is_some() && positions.all(|position| position > offset)
    }

    /// Takes an event about the partition in `slot`.
    pub(crate) fn advance(&mut self, event: &Event<'_>, slot: u32) {
        match event {
            Event::Polled { consumer, offset, .. } => self.set(*consumer, slot, *offset + 1),
            Event::Single(ClientEvent::PositionReset { consumer, to, .. }) => self.set(*consumer, slot, *to),
            Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) => {
                self.0.iter_mut().skip(*first as usize).take(*count as usize).for_each(Vec::clear);
            }
            Event::Acked { .. } | Event::Failed { .. } | Event::Single(_) => {}
        }
    }

    /// The consumer has the partition no more.
    pub(crate) fn forget(&mut self, consumer: u32, slot: u32) {
        if let Some(position) =
            self.0.get_mut(consumer as usize).and_then(|slots| slots.get_mut(slot as usize))
        {
            *position = None;
        }
    }

    fn set(&mut self, consumer: u32, slot: u32, offset: Offset) {
        let (consumer, slot) = (consumer as usize, slot as usize);
        if self.0.len() <= consumer {
            self.0.resize_with(consumer + 1, Vec::new);
        }
        let positions = &mut self.0[consumer];
        if positions.len() <= slot {
            positions.resize(slot + 1, None);
        }
        positions[slot] = Some(offset);
    }
}
