//! Kafka's producer, consumer and admin clients without I/O, and the workloads built on them.
