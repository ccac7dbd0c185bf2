//! The coordinator of transactions (KIP-98).
