//! Transactions read only what was written before them.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::Time;

use crate::client::transactions::State;
use crate::client::{Concerns, Event, History, Seen, Sent};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "write-read-cycle",
    about: "No transaction reads, directly or through others, what was written by one that has read what it wrote itself. \
            (The order of writes is left out: Kafka does not isolate them.)",
    source: "Adya, G1c; Jepsen's Kafka workload",
};

#[derive(Default)]
pub(crate) struct WriteReadCycle {
    /// By transaction: those that have read what it wrote.
    readers: BTreeMap<u32, BTreeSet<u32>>,
}

impl ClientProperty for WriteReadCycle {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED_TRANSACTED
    }

    fn event(&mut self, Seen { event, sent, .. }: Seen<'_>, history: &History, _: &mut Findings) {
        let Event::Polled { consumer, .. } = event else { return };
        let Some(reader) = history.transactions().reading(consumer) else { return };
        if let Some(writer) = sent.and_then(Sent::transaction) {
            self.readers.entry(writer).or_default().insert(reader);
        }
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        let transactions = history.transactions();
        let took_effect = |index: &u32| transactions.get(*index).state != State::Aborted;
        self.readers.retain(|writer, _| took_effect(writer));
        for readers in self.readers.values_mut() {
            readers.retain(took_effect);
        }
        if let Some(cycle) = find_cycle(&self.readers) {
            let mut evidence = vec![format!("a cycle of {} transactions", cycle.len())];
            for (nth, &writer) in cycle.iter().enumerate() {
                let (writer, reader) =
                    (transactions.get(writer).id, transactions.get(cycle[(nth + 1) % cycle.len()]).id);
                evidence.push(format!(
                    "transaction {} of producer {} read what transaction {} of producer {} wrote",
                    reader.number, reader.producer, writer.number, writer.producer
                ));
            }
            out.report(at, evidence);
        }
    }
}

/// A cycle in a graph, if it has one: its nodes, each with an edge to the next and the last to the first.
fn find_cycle(edges: &BTreeMap<u32, BTreeSet<u32>>) -> Option<Vec<u32>> {
    let mut done = BTreeSet::new();
    for &root in edges.keys() {
        // The way from the root, each node with the edges that are left to follow.
        let next = |node: &u32| edges.get(node).into_iter().flatten().copied().collect::<Vec<u32>>();
        let mut path = vec![(root, next(&root))];
        if done.contains(&root) {
            continue;
        }
        while let Some((node, left)) = path.last_mut() {
            let Some(to) = left.pop() else {
                done.insert(*node);
                path.pop();
                continue;
            };
            if let Some(begin) = path.iter().position(|(on_path, _)| *on_path == to) {
                return Some(path[begin..].iter().map(|(node, _)| *node).collect());
            }
            if !done.contains(&to) {
                path.push((to, next(&to)));
            }
        }
    }
    None
}
