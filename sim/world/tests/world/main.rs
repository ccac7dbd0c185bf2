//! The world seen from outside: what nodes get, when, and that it repeats.

mod determinism;
mod faults;
mod machine;
mod network;
mod outside;
mod probe;
