//! What clients did and saw, as files that other tools read.

mod edn;
mod ndjson;

pub use edn::history_edn;
pub use ndjson::history_ndjson;
