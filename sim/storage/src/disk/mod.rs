//! The disks that implement [`trial_node::Disk`].

pub mod file;
mod mirror;
mod rope;
pub mod sim;
#[cfg(test)]
mod tests;
