//! Loads scenario files and runs them.
