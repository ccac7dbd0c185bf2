//! Faults, fault plans and the random nemesis.
