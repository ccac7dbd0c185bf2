//! The deterministic world: events, network, machines, trace hash.
