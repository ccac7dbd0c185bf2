//! What unit tests of state machines need: surroundings, and the effects of one call.

use trial_node::{Effect, Io, Now, Rng, Time};
use trial_storage::SimDisk;

/// The surroundings of a node in a test.
pub(crate) struct Surroundings {
    disk: SimDisk,
    rng: Rng,
    last_conn: u64,
}

impl Surroundings {
    pub fn new() -> Surroundings {
        Surroundings { disk: SimDisk::new(), rng: Rng::named(1, "test"), last_conn: 0 }
    }

    /// Makes a call and gives its result and its effects.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Io<'_>) -> T) -> (T, Vec<Effect>) {
        let mut effects = Vec::new();
        let mut io = Io {
            disk: &mut self.disk,
            rng: &mut self.rng,
            effects: &mut effects,
            last_conn: &mut self.last_conn,
        };
        let result = call(&mut io);
        (result, effects)
    }
}

/// The instant `ms` milliseconds after the start.
pub(crate) fn at(ms: u64) -> Now {
    Now { mono: Time(ms * 1_000_000), wall_ms: 0 }
}
