//! The compression codecs of record batches.

use std::io::{self, Read, Write};

use bytes::Bytes;

/// What snappy-java puts before its chunks: a magic, its version, and the oldest version that can read it.
const SNAPPY_HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// How much of that tells framed snappy from raw snappy.
const SNAPPY_MAGIC: &[u8] = SNAPPY_HEADER.first_chunk::<8>().expect("it is longer").as_slice();
/// How much input goes into one chunk of framed snappy; snappy-java's default.
const SNAPPY_CHUNK: usize = 32 * 1024;
/// No snappy stream expands by more: a copy of 64 bytes takes three.
const SNAPPY_EXPANSION_MAX: usize = 22;
/// The level at which zstd compresses by default, as Kafka's clients use it.
const ZSTD_LEVEL: i32 = 3;
/// The smallest window (as a power of two) that we let a zstd frame ask for however small the caller's limit: encoders
/// announce up to this much at levels up to 19 even for small content.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
/// The largest window that we let a zstd frame ask for; zstd's own default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
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
            Compression::Snappy => snappy(input, out),
            Compression::Lz4 => lz4(input, out).expect("memory takes every write"),
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
            Compression::Snappy => unsnappy(slice, limit),
            Compression::Lz4 => {
                let mut decoder = lz4::Decoder::new(slice).map_err(|error| self.corrupt(error))?;
                let output = self.drain(&mut decoder, slice.len(), limit)?;
                let (_, finished) = decoder.finish();
                finished.map_err(|error| self.corrupt(error))?;
                Ok(output)
            }
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(slice).map_err(|error| self.corrupt(error))?;
                let window_log = usize::BITS - limit.leading_zeros();
                decoder
                    .window_log_max(window_log.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX))
                    .map_err(|error| self.corrupt(error))?;
                self.drain(&mut decoder, slice.len(), limit)
            }
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

fn lz4(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // As Kafka's Java client writes it: clients need not support linked blocks, larger blocks, or checksums.
    let mut encoder = lz4::EncoderBuilder::new()
        .block_size(lz4::BlockSize::Max64KB)
        .block_mode(lz4::BlockMode::Independent)
        .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
        .checksum(lz4::ContentChecksum::NoChecksum)
        .build(out)?;
    encoder.write_all(input)?;
    encoder.finish().1
}

fn zstd(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + zstd::zstd_safe::compress_bound(input.len()), 0);
    let written = zstd::bulk::compress_to_buffer(input, &mut out[start..], ZSTD_LEVEL)?;
    out.truncate(start + written);
    Ok(())
}

fn snappy(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(SNAPPY_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(SNAPPY_CHUNK) {
        let start = out.len() + 4;
        out.resize(start + snap::raw::max_compress_len(chunk.len()), 0);
        let written =
            encoder.compress(chunk, &mut out[start..]).expect("the bound of the compressed size is right");
        out.truncate(start + written);
        let length = u32::try_from(written).expect("a chunk is small");
        out[start - 4..start].copy_from_slice(&length.to_be_bytes());
    }
}

fn unsnappy(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let mut decoder = snap::raw::Decoder::new();
    let mut output = Vec::new();
    if !input.starts_with(SNAPPY_MAGIC) {
        unsnap(&mut decoder, input, &mut output, limit)?;
        return Ok(Bytes::from(output));
    }
    let corrupt = |what| Compression::Snappy.corrupt(what);
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may follow one another, each with its header.
        if rest.starts_with(SNAPPY_MAGIC) {
            let header = rest.get(..SNAPPY_HEADER.len()).ok_or_else(|| corrupt("the header is cut off"))?;
            if header[12..] != SNAPPY_HEADER[12..] {
                return Err(corrupt("its framing needs a newer version than 1"));
            }
            rest = &rest[SNAPPY_HEADER.len()..];
            continue;
        }
        let (length, after) =
            rest.split_first_chunk().ok_or_else(|| corrupt("a chunk's length is cut off"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (chunk, after) = after.split_at_checked(length).ok_or_else(|| corrupt("a chunk is cut off"))?;
        unsnap(&mut decoder, chunk, &mut output, limit)?;
        rest = after;
    }
    Ok(Bytes::from(output))
}

/// Appends one raw snappy block's content to `output`, which must not grow beyond `limit`.
fn unsnap(
    decoder: &mut snap::raw::Decoder,
    block: &[u8],
    output: &mut Vec<u8>,
    limit: usize,
) -> Result<(), CodecError> {
    let codec = Compression::Snappy;
    let length = snap::raw::decompress_len(block).map_err(|error| codec.corrupt(error))?;
    if length > limit - output.len() {
        return Err(CodecError::TooLarge { codec, limit });
    }
    if length > block.len().saturating_mul(SNAPPY_EXPANSION_MAX) {
        return Err(codec.corrupt("it claims more content than it can hold"));
    }
    let start = output.len();
    if output.capacity() - start < length {
        output.reserve_exact(length.max(start).min(limit - start));
    }
    output.resize(start + length, 0);
    let written = decoder.decompress(block, &mut output[start..]).map_err(|error| codec.corrupt(error))?;
    output.truncate(start + written);
    Ok(())
}
