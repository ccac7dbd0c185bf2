//! Properties of the KRaft metadata quorum, judged after every event.

pub(crate) mod committed;
pub(crate) mod metadata_agreement;
pub(crate) mod monotonic;
pub(crate) mod one_leader;

#[cfg(test)]
mod tests;
