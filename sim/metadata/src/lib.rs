//! The quorum controller, its records, and the metadata image that brokers build from them.
