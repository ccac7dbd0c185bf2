//! What must hold: one file per property.
