//! The disks that implement [`trial_node::Disk`].

pub mod file;
pub mod sim;
