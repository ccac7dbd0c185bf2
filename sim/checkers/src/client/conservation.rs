//! Money is neither made nor lost.

use std::collections::BTreeSet;

use trial_node::{Content, Time};

use crate::client::{Concerns, History};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "conservation",
    about: "The sides of all transfers between accounts that can be read with isolation.level=read_committed at the end add \
            up to nothing.",
    source: "Jepsen's bank workload",
};

#[derive(Default)]
pub(crate) struct Conservation;

impl ClientProperty for Conservation {
    fn concerns(&self) -> Concerns {
        Concerns::NONE
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        let transfers = history.contents().iter().filter(|(_, c)| matches!(c, Content::Transfer { .. }));
        let topics = transfers.filter_map(|(id, _)| history.sent(*id)?.acked());
        let topics: BTreeSet<&str> =
            topics.map(|(slot, _)| history.partition(slot).0.topic.as_str()).collect();
        for topic in topics {
            if !history.is_topic_audited(topic) {
                let what =
                    format!("{topic} could not be read to its end: nobody knows what its sides add up to");
                out.report(at, vec![what]);
                continue;
            }
            // A side that is in the log twice counts twice.
            let there = history.partitions_of(topic).flat_map(|(_, _, known)| known.audited.iter());
            let amounts = there.filter_map(|(_, id)| match history.contents().get(&(*id)?)? {
                Content::Transfer { amount, .. } => Some(*amount),
                _ => None,
            });
            let (sum, sides) = amounts.fold((0, 0), |(sum, sides), amount| (sum + amount, sides + 1));
            if sum != 0 {
                out.report(
                    at,
                    vec![format!("the {sides} sides of transfers in {topic} add up to {sum}, not to 0")],
                );
            }
        }
    }
}
