//! The KRaft quorum as a state machine without I/O.
