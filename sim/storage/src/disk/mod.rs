//! The disks that implement [`trial_node::Disk`].

pub mod fault;
#[cfg(test)]
mod fault_tests;
mod faulty;
pub mod file;
mod mirror;
mod rope;
pub mod sim;
mod spares;
#[cfg(test)]
mod tests;

pub use faulty::NodeDisk;
