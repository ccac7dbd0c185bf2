//! The quorum's tests: single transitions by their exact effects, and whole quorums under faults.

mod cluster;
mod disk;
mod follower;
mod leader;
mod log;
mod member;
mod snapshot;
mod state;
mod vote;
