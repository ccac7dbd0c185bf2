//! Corpora, and the benchmarks of the project itself.
