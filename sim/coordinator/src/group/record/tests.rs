//! What is written is read, hostile bytes are errors, and the bytes are Kafka's.
