//! Money is neither made nor lost.

use std::collections::BTreeMap;

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
        // By topic: the sum, and how many sides there are. A topic that could not be read to its end is not judged.
        let mut sums: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
        for (id, content) in history.contents() {
            let Content::Transfer { amount, .. } = content else { continue };
            let Some((slot, _)) = history.sent(*id).and_then(|sent| sent.audited) else { continue };
            let sum = sums.entry(history.partition(slot).0.topic.as_str()).or_default();
            *sum = (sum.0 + amount, sum.1 + 1);
        }
        for (topic, (sum, sides)) in sums {
            if sum != 0 && history.is_topic_audited(topic) {
                out.report(
                    at,
                    vec![format!("the {sides} sides of transfers in {topic} add up to {sum}, not to 0")],
                );
            }
        }
    }
}
