//! The classic protocol, offsets, and groups that change their protocol, through the coordinator's own front door.

mod driver;
mod membership;
mod migration;
mod offsets;
mod protocols;
mod random;
mod static_members;
