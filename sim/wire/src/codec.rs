//! The compression codecs of record batches.

mod gzip;
mod lz4_frame;
mod snappy;
mod zstd_frame;

use std::io::{self, Read};

use bytes::Bytes;

/// What the output of a decompression begins with, in bytes.
const FIRST_ALLOCATION: usize = 4096;

/// How a batch's records are compressed; the number is the one in the batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// Snappy, in the framing of snappy-java (`\x82SNAPPY\0`), as Kafka's clients write it.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard (KIP-110).
    Zstd = 4,
}

/// Bytes could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// They are not what the codec writes.
    #[error("{codec:?}: {what}")]
    Corrupt {
        /// The codec.
        codec: Compression,
        /// What the codec said.
        what: String,
    },
    /// They expand to more than the caller allows.
    #[error("{codec:?}: expands to more than {limit} bytes")]
    TooLarge {
        /// The codec.
        codec: Compression,
        /// The caller's limit.
        limit: usize,
    },
}

impl Compression {
    /// The codec with this number in a batch's attributes.
    pub fn from_id(id: u8) -> Option<Compression> {
        Some(match id {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => return None,
        })
    }

    /// The codec that `compression.type` names.
    pub fn from_name(name: &str) -> Option<Compression> {
        Some(match name {
            "none" | "uncompressed" => Compression::None,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => return None,
        })
    }

    /// The name that `compression.type` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// The level that Kafka's clients and brokers use if nobody chooses another (KIP-390); 0 for codecs without levels.
    pub const fn default_level(self) -> i32 {
        match self {
            Compression::None | Compression::Snappy => 0,
            Compression::Gzip => -1,
            Compression::Lz4 => 9,
            Compression::Zstd => zstd_frame::LEVEL,
        }
    }

    /// Appends the compressed form of `input` to `out`.
    pub fn compress(self, input: &[u8], out: &mut Vec<u8>) {
        self.compress_at(self.default_level(), input, out);
    }

    /// As [`Compression::compress`], at a level: gzip −1 (the codec's own) to 9, LZ4 1 to 17 (9 is the fast mode, all others
    /// the thorough one), zstd up to 22. One that the codec does not have is the nearest that it has.
    pub fn compress_at(self, level: i32, input: &[u8], out: &mut Vec<u8>) {
        match self {
            Compression::None => out.extend_from_slice(input),
            Compression::Gzip => gzip::compress(level, input, out),
            Compression::Snappy => snappy::compress(input, out),
            Compression::Lz4 => lz4_frame::compress(level, input, out),
            Compression::Zstd => zstd_frame::compress(level, input, out),
        }
    }

    /// The decompressed form of `input`, shared if there is nothing to do.
    ///
    /// # Errors
    /// [`CodecError`]; the output never takes more than `limit` bytes of memory, and grows only as far as the input really
    /// expands. (A codec's own state comes on top: at most 4 MiB for LZ4; for zstd the larger of `limit` and 8 MiB.)
    pub fn decompress(self, input: &Bytes, limit: usize) -> Result<Bytes, CodecError> {
        let slice: &[u8] = input;
        match self {
            Compression::None => Ok(input.clone()),
            Compression::Gzip => gzip::decompress(slice, limit),
            Compression::Snappy => snappy::decompress(slice, limit),
            Compression::Lz4 => lz4_frame::decompress(slice, limit),
            Compression::Zstd => zstd_frame::decompress(slice, limit),
        }
    }

    fn corrupt(self, what: impl ToString) -> CodecError {
        CodecError::Corrupt { codec: self, what: what.to_string() }
    }

    /// Reads `reader` to its end into memory that doubles up to `limit`.
    fn drain(self, reader: &mut impl Read, input_len: usize, limit: usize) -> Result<Bytes, CodecError> {
        let mut output = Vec::new();
        let mut filled = 0;
        loop {
            if filled == output.len() {
                if filled == limit {
                    let more = read(reader, &mut [0]).map_err(|error| self.corrupt(error))?;
                    if more > 0 {
                        return Err(CodecError::TooLarge { codec: self, limit });
                    }
                    break;
                }
                let target = filled.max(input_len).saturating_mul(2).max(FIRST_ALLOCATION).min(limit);
                output.reserve_exact(target - filled);
                output.resize(target, 0);
            }
            let n = read(reader, &mut output[filled..]).map_err(|error| self.corrupt(error))?;
            if n == 0 {
                break;
            }
            filled += n;
        }
        output.truncate(filled);
        Ok(Bytes::from(output))
    }
}

/// Makes room for `more` bytes by doubling, but not beyond `limit`, which leaves room for them.
fn make_room(output: &mut Vec<u8>, more: usize, limit: usize) {
    let length = output.len();
    if output.capacity() - length < more {
        output.reserve_exact(more.max(length).min(limit - length));
    }
}

fn read(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
