//! The compression codecs of record batches.

mod lz4_frame;
mod snappy;

use std::io::{self, Read, Write};

use bytes::Bytes;

/// The level at which zstd compresses by default, as Kafka's clients use it.
const ZSTD_LEVEL: i32 = 3;
/// The smallest window (as a power of two) that we let a zstd frame ask for however small the caller's limit: encoders
/// announce up to this much at levels up to 19 even for small content.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
/// The largest window that we let a zstd frame ask for; zstd's own default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// A frame that says that it expands by more than this is decompressed step by step, not into memory taken on its word.
const ZSTD_BELIEVABLE_EXPANSION: usize = 100;
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

    /// Appends the compressed form of `input` to `out`.
    pub fn compress(self, input: &[u8], out: &mut Vec<u8>) {
        match self {
            Compression::None => out.extend_from_slice(input),
            Compression::Gzip => gzip(input, out).expect("memory takes every write"),
            Compression::Snappy => snappy::compress(input, out),
            Compression::Lz4 => lz4_frame::compress(input, out),
            Compression::Zstd => zstd(input, out).expect("the bound of the compressed size is right"),
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
            Compression::Gzip => {
                self.drain(&mut flate2::bufread::MultiGzDecoder::new(slice), slice.len(), limit)
            }
            Compression::Snappy => snappy::decompress(slice, limit),
            Compression::Lz4 => lz4_frame::decompress(slice, limit),
            Compression::Zstd => unzstd(slice, limit),
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

fn gzip(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

fn zstd(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + zstd::zstd_safe::compress_bound(input.len()), 0);
    let written = zstd::bulk::compress_to_buffer(input, &mut out[start..], ZSTD_LEVEL)?;
    out.truncate(start + written);
    Ok(())
}

fn unzstd(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let codec = Compression::Zstd;
    if let Some(size) = believable_size(input)
        && size <= limit
    {
        let mut output = vec![0; size];
        if zstd::bulk::decompress_to_buffer(input, &mut output[..]).is_ok_and(|written| written == size) {
            return Ok(Bytes::from(output));
        }
        // More than one frame, or corrupt: what follows tells.
    }
    let mut decoder = zstd::Decoder::with_buffer(input).map_err(|error| codec.corrupt(error))?;
    let window_log = (usize::BITS - limit.leading_zeros()).clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX);
    decoder.window_log_max(window_log).map_err(|error| codec.corrupt(error))?;
    codec.drain(&mut decoder, input.len(), limit)
}

/// The size of the content as the first frame gives it, if it gives it and it is not a bomb's.
fn believable_size(input: &[u8]) -> Option<usize> {
    let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(input).ok()??).ok()?;
    (size <= input.len().saturating_mul(ZSTD_BELIEVABLE_EXPANSION)).then_some(size)
}

#[cfg(test)]
mod tests;
