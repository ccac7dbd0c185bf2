//! The classic protocol and offsets, through the coordinator's own front door.

mod driver;
mod membership;
mod offsets;
mod protocols;
mod random;
mod static_members;
