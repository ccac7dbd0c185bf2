//! The coordinator of consumer groups: offsets, the classic protocol, and KIP-848's.
