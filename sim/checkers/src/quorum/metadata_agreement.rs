//! Equal offsets, equal metadata.

use std::collections::BTreeMap;

use trial_node::view::MetadataView;
use trial_node::{NodeId, Offset, Time};

use crate::PropertyInfo;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "metadata-agreement",
    about: "Two brokers that have applied the metadata log up to one offset have the same image of the cluster.",
    source: "KIP-631",
};

/// Which digest was seen first at each offset, and where.
#[derive(Default)]
pub(crate) struct MetadataAgreement {
    digests: BTreeMap<Offset, (u128, NodeId)>,
}

impl MetadataAgreement {
    pub(crate) fn seen(&mut self, at: Time, node: NodeId, view: MetadataView, out: &mut Findings) {
        let (digest, first) = *self.digests.entry(view.offset).or_insert((view.digest, node));
        if digest != view.digest {
            out.report(
                at,
                vec![format!(
                    "at metadata offset {} node {first} has digest {digest:032x}, node {node} has {:032x}",
                    view.offset, view.digest
                )],
            );
        }
    }
}
