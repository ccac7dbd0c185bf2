//! Carrying out faults.

use trial_faults::ResolvedFault;
use trial_node::Node;

use crate::observer::Observer;
use crate::world::World;

/// A fault that the world cannot carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No host has that name.
    #[error("there is no host called {0:?}")]
    NoSuchHost(String),
    /// An admin client must do it.
    #[error("{0}: an admin client must ask the cluster for it")]
    NotOfTheWorld(String),
}

impl<N: Node> World<N> {
    /// Injects a fault now. What is already so stays so: killing a dead process only means that it stays dead until both
    /// faults have healed.
    ///
    /// # Errors
    /// [`FaultError`]; nothing has happened then.
    pub fn apply(
        &mut self,
        fault: &ResolvedFault,
        observer: &mut impl Observer<N>,
    ) -> Result<(), FaultError> {
        unimplemented!("{fault} {}", std::mem::size_of_val(observer))
    }

    /// Heals a fault that [`World::apply`] injected, now: the dead start again, what is cut is joined.
    ///
    /// # Errors
    /// As [`World::apply`].
    pub fn heal(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        unimplemented!("{fault} {}", std::mem::size_of_val(observer))
    }
}
