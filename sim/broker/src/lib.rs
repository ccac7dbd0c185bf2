//! A Kafka broker as a state machine without I/O: APIs, replication, purgatories.
