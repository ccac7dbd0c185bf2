//! What an operator asks of a cluster while it is served.

/// A fault that was injected by hand or that comes from the scenario, as [`crate::Cluster::state`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(pub u64);

/// Something that an operator wants done to a cluster now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Inject a fault: JSON in the form of a scenario's `[[fault]]`, without `at`.
    Fault(String),
    /// Heal a fault that is in force.
    Heal(FaultId),
    /// Heal every fault that is in force.
    HealAll,
    /// Heal the faults that were injected by hand, and inject them no more: nobody is there any more who would. A server's owner
    /// says so at the end.
    CallOff,
}
