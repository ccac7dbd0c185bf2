//! Turns the record of a run into HTML, CSV and JSON.

mod record;

pub use record::*;
