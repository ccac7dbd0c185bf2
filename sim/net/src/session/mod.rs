//! A session of outside clients as a file: everything that came in from outside, and when, so that it can be run again
//! without any client.
//!
//! - [`Journal`] writes such a file, [`Recorded`] is a cluster that writes down what is done to it;
//! - [`Session`] reads one, [`replay`] does to another cluster what it says.
//!
//! The file is the eight bytes `TRIALSES`, a version (four bytes, [`VERSION`]), and entries. An entry is the length of its
//! payload and the payload's CRC-32C, four bytes each, and the payload: a byte that says what it is, and its fields. All
//! numbers are big-endian. Instants are virtual nanoseconds, eight bytes; connections have the cluster's own ids.
//!
//! | byte | what | fields |
//! |---|---|---|
//! | 1 | the header: always the first entry, and only that | JSON, for whoever makes the cluster |
//! | 2 | a client connected | instant, connection (8 bytes), which broker from 0 (4), which port of it (2) |
//! | 3 | a request | instant, connection, the frame without its length (rest) |
//! | 4 | a client closed its connection | instant, connection |
//! | 5 | an order was carried out | instant, 1 and a fault's JSON, or 2 and an id (8 bytes), or 3 (heal all), or 4 (call off) |
//! | 6 | a checkpoint of the trace hash | number of the event (8), instant, hash (16) |
//! | 7 | all clients are gone, what is left of the run follows | instant |
//! | 8 | what came of it | number of events (8), trace hash (16), 1 if all held, else 0 |
//!
//! A file whose last entries are missing, because the process died, is a session that ended there.

mod entry;
mod reader;
mod recorded;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::{Checkpoint, Entry, Outcome};
pub use reader::{Session, SessionError};
pub use recorded::{RecordError, Recorded};
pub use replay::{Ending, ReplayError, Replayed, replay};
pub use writer::Journal;

/// How a session's file begins.
const MAGIC: &[u8; 8] = b"TRIALSES";
/// The version of the format.
pub const VERSION: u32 = 1;
