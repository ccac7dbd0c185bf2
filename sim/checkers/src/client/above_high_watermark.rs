//! Nothing is served that is not committed.

use trial_node::{ClientEvent, Time};

use crate::PropertyInfo;
use crate::model::ClusterModel;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "above-high-watermark",
    about: "No consumer reads an offset that is above every high watermark that any replica of the partition has had.",
    source: "Kafka documentation, Replication",
};

/// Judges what a consumer read.
pub(crate) fn judge(at: Time, event: &ClientEvent, model: &mut ClusterModel, out: &mut Findings) {
    let ClientEvent::Polled { consumer, tp, records } = event else { return };
    let (Some(last), Some(committed)) = (records.last(), model.committed_end(tp)) else { return };
    if last.offset >= committed {
        out.report(
            at,
            vec![format!(
                "consumer {consumer} read {tp} offset {}; the highest high watermark so far is {committed}",
                last.offset
            )],
        );
    }
}
