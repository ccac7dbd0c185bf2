//! Committed metadata never changes.

use std::collections::BTreeMap;

use trial_node::{NodeId, Offset, Time};

use crate::model::{QuorumChange, QuorumModel, first_difference, show};
use crate::violation::Findings;
use crate::{PropertyInfo, QuorumProperty};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "quorum-committed",
    about: "What a node of the quorum holds below its high watermark is what was committed there first; a new leader holds \
            everything committed; and no node cuts its log below what it knew as committed.",
    source: "KIP-595; Raft (Ongaro 2014) §3.6",
};

#[derive(Default)]
pub(crate) struct QuorumCommitted {
    matched: BTreeMap<NodeId, Offset>,
}

impl QuorumProperty for QuorumCommitted {
    fn changed(&mut self, at: Time, _: &QuorumModel, change: &QuorumChange<'_>, out: &mut Findings) {
        let (now, committed) = (change.now.view, change.committed);
        let matched = self.matched.entry(change.node).or_insert(Offset::ZERO);
        if let Some(cut) = change.truncated_to {
            if cut < *matched {
                out.report(
                    at,
                    vec![format!(
                        "node {} cut its log to {cut}, but everything below {matched} was committed there",
                        change.node
                    )],
                );
            }
            *matched = (*matched).min(cut);
        }
        let began =
            now.is_leader && !(change.was_up && change.before.is_leader && change.before.epoch == now.epoch);
        let claimed = now.high_watermark.unwrap_or(Offset::ZERO);
        let to = if began { committed.end } else { claimed.min(committed.end) };
        if to <= *matched {
            return;
        }
        let from = (*matched).max(now.log_start_offset);
        if let Some((here, there)) = first_difference(&change.now.batches, &committed.batches, from, to) {
            out.report(
                at,
                vec![
                    format!(
                        "node {} ({}, epoch {}, high watermark {claimed}) differs from what is committed below {to}",
                        change.node,
                        if now.is_leader { "leader" } else { "follower" },
                        now.epoch
                    ),
                    format!("its log has {}", show(here)),
                    format!("committed was {}", show(there)),
                ],
            );
        }
        *matched = to;
    }
}
