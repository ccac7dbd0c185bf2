//! A random plan from a seed.

use crate::fault::FaultKind;
use crate::plan::FaultPlan;
use trial_node::Span;

/// What kind of trouble to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nemesis {
    /// The kinds of fault to choose from; a kind that is listed twice is twice as likely.
    pub kinds: Vec<FaultKind>,
    /// How many brokers the cluster has, at least 1.
    pub brokers: u32,
    /// The first fault comes after this instant.
    pub start: Span,
    /// Everything has healed by this instant.
    pub end: Span,
    /// The mean time from one injection to the next; each is drawn from half of it to one and a half of it.
    pub gap: Span,
    /// The shortest time that a fault lasts.
    pub lasts_min: Span,
    /// The longest.
    pub lasts_max: Span,
    /// How many brokers may be disturbed at one instant. With fewer than half of them, and not more than the replication
    /// factor less `min.insync.replicas`, a majority and the ISR can always go on.
    pub disturbed_max: u32,
}

/// A nemesis that cannot make a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nemesis: {0}")]
pub struct NemesisError(pub &'static str);

impl Nemesis {
    /// The plan for `seed`: the same for the same seed and settings, on every machine.
    ///
    /// # Errors
    /// [`NemesisError`] when the settings contradict each other.
    pub fn plan(&self, _seed: u64) -> Result<FaultPlan, NemesisError> {
        Ok(FaultPlan::default())
    }
}
