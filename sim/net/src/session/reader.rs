//! Reading a session's file.

use std::io::{self, Read};

use bytes::Bytes;

use super::entry::Entry;
use super::{MAGIC, VERSION};
use crate::socket::REQUEST_MAX;

/// The largest payload: a request of the largest size, and what is said of it.
const PAYLOAD_MAX: usize = REQUEST_MAX + 64;

/// A session's file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The operating system says no.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("this is no recorded session: it does not begin with \"TRIALSES\"")]
    NoSession,
    /// It was written by another version of this program.
    #[error("this session has version {found} of the format, and only version {VERSION} can be read")]
    Version {
        /// The version.
        found: u32,
    },
    /// An entry is not what was written.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A session's file, entry by entry.
#[derive(Debug)]
pub struct Session<R> {
    input: R,
    /// How much has been read.
    offset: u64,
    header: String,
}

impl<R: Read> Session<R> {
    /// Reads a file up to its header.
    ///
    /// # Errors
    /// [`SessionError`]: there is nothing to replay.
    pub fn open(mut input: R) -> Result<Session<R>, SessionError> {
        let mut start = Vec::new();
        (&mut input).take((MAGIC.len() + 4) as u64).read_to_end(&mut start)?;
        let Some((MAGIC, version)) = start.split_first_chunk() else { return Err(SessionError::NoSession) };
        let Ok(version) = version.try_into().map(u32::from_be_bytes) else {
            return Err(SessionError::Damaged { offset: MAGIC.len() as u64, what: "the file ends there" });
        };
        if version != VERSION {
            return Err(SessionError::Version { found: version });
        }
        let mut session = Session { input, offset: start.len() as u64, header: String::new() };
        let offset = session.offset;
        match session.next()? {
            Some(Entry::Header(header)) => session.header = header,
            Some(_) => {
                return Err(SessionError::Damaged { offset, what: "the header is not the first entry" });
            }
            None => return Err(SessionError::Damaged { offset, what: "the file ends before its header" }),
        }
        Ok(session)
    }

    /// What the cluster is made of.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry; `None` at the end of the file.
    ///
    /// # Errors
    /// [`SessionError::Damaged`], [`SessionError::Read`]; nothing behind it can be read.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is done then")]
    pub fn next(&mut self) -> Result<Option<Entry>, SessionError> {
        let offset = self.offset;
        let damaged = |what| Err(SessionError::Damaged { offset, what });
        let prefix = self.take(8)?;
        if prefix.is_empty() {
            return Ok(None);
        }
        let Some((length, crc)) = prefix.split_first_chunk() else {
            return damaged("the file ends within an entry");
        };
        let Ok(crc) = crc.try_into().map(u32::from_be_bytes) else {
            return damaged("the file ends within an entry");
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PAYLOAD_MAX {
            return damaged("the entry's length is impossible");
        }
        let payload = self.take(length)?;
        if payload.len() < length {
            return damaged("the file ends within an entry");
        }
        if crc32c::crc32c(&payload) != crc {
            return damaged("the entry's checksum is wrong");
        }
        match Entry::decode(Bytes::from(payload)) {
            Some(entry) => Ok(Some(entry)),
            None => damaged("the entry makes no sense"),
        }
    }

    /// Reads so many bytes, or fewer at the end of the file. No memory is set apart for more than there is.
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(length as u64).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}
