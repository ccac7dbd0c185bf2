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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    const MIB: usize = 1 << 20;

    fn compressed(codec: Compression, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        codec.compress(input, &mut out);
        out
    }

    /// Bytes of which some repeat, so that codecs find something to do.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (prop::collection::vec(any::<u8>(), 1..40), 0usize..5000)
                .prop_map(|(part, times)| part.repeat(times)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_compressed_decompresses(input in content(), before in prop::collection::vec(any::<u8>(), 0..9)) {
            for codec in CODECS {
                let mut out = before.clone();
                codec.compress(&input, &mut out);
                prop_assert_eq!(&out[..before.len()], &before[..]);
                let output = codec.decompress(&Bytes::from(out).slice(before.len()..), input.len()).unwrap();
                prop_assert_eq!(&output[..], &input[..]);
            }
        }

        #[test]
        fn a_limit_one_below_the_content_is_an_error(input in content().prop_filter("not empty", |c| !c.is_empty())) {
            for codec in &CODECS[1..] {
                let limit = input.len() - 1;
                prop_assert_eq!(
                    codec.decompress(&Bytes::from(compressed(*codec, &input)), limit),
                    Err(CodecError::TooLarge { codec: *codec, limit })
                );
            }
        }

        #[test]
        fn truncation_is_an_error(input in content(), cut in any::<prop::sample::Index>()) {
            for codec in &CODECS[1..] {
                let whole = Bytes::from(compressed(*codec, &input));
                let cut = cut.index(whole.len());
                match codec.decompress(&whole.slice(..cut), MIB) {
                    Err(CodecError::Corrupt { .. }) => {}
                    // Cut between two chunks, which snappy's framing cannot tell from the end; and an empty stream is empty.
                    Ok(output) if *codec == Compression::Snappy || cut == 0 => {
                        prop_assert!(output.len() < input.len().max(1) && input.starts_with(&output));
                    }
                    other => prop_assert!(false, "{codec:?} cut at {cut} of {}: {other:?}", whole.len()),
                }
            }
        }

        #[test]
        fn corruption_never_panics_or_exceeds_the_limit(
            input in content(),
            position in any::<prop::sample::Index>(),
            xor in 1u8..,
        ) {
            for codec in CODECS {
                let mut bytes = compressed(codec, &input);
                if bytes.is_empty() {
                    continue;
                }
                let position = position.index(bytes.len());
                bytes[position] ^= xor;
                if let Ok(output) = codec.decompress(&Bytes::from(bytes), MIB) {
                    prop_assert!(output.len() <= MIB);
                    // gzip alone has a checksum of the content; ten bytes of its header tell nothing of it.
                    prop_assert!(codec != Compression::Gzip || position < 10 || output == input);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = Bytes::from(bytes);
            let framed = Bytes::from([&SNAPPY_HEADER[..], &bytes].concat());
            for codec in CODECS {
                for input in [&bytes, &framed] {
                    if let Ok(output) = codec.decompress(input, 4096) {
                        prop_assert!(output.len() <= 4096);
                    }
                }
            }
        }
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![0; 64 * MIB];
        for codec in &CODECS[1..] {
            let bomb = Bytes::from(compressed(*codec, &zeros));
            assert!(bomb.len() < 4 * MIB, "{codec:?}: {}", bomb.len());
            assert_eq!(codec.decompress(&bomb, MIB), Err(CodecError::TooLarge { codec: *codec, limit: MIB }));
        }
    }

    #[test]
    fn a_raw_snappy_block_that_lies_about_its_length_allocates_nothing() {
        // 2³¹ as a varint, then nothing.
        let lie = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x08]);
        assert!(matches!(
            Compression::Snappy.decompress(&lie, usize::MAX >> 1),
            Err(CodecError::Corrupt { codec: Compression::Snappy, .. })
        ));
    }

    /// Bytes that Kafka's Java client wrote.
    #[test]
    fn snappy_is_framed_as_snappy_java_does() {
        let content = b"\x18\0\0\0\x01\x0csdfdsf\0";
        let framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x0f\x0d\x30\x18\0\0\0\x01\x0csdfdsf\0";
        assert_eq!(compressed(Compression::Snappy, content), framed);
        let twice = [&framed[..], &framed[..]].concat();
        let output = Compression::Snappy.decompress(&Bytes::from(twice), 1000).unwrap();
        assert_eq!(output, [&content[..], &content[..]].concat());
    }

    #[test]
    fn raw_snappy_is_read() {
        let content =
            b"raw snappy without a frame, long enough to be longer than the frame's header".repeat(3);
        let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
        assert_eq!(Compression::Snappy.decompress(&Bytes::from(raw), 1000).unwrap(), content);
    }

    #[test]
    fn snappy_of_a_newer_framing_is_refused() {
        let newer = Bytes::from_static(b"\x82SNAPPY\0\0\0\0\x02\0\0\0\x02\0\0\0\0");
        assert!(matches!(Compression::Snappy.decompress(&newer, 1000), Err(CodecError::Corrupt { .. })));
    }

    /// Kafka's clients need version 01, independent blocks of 64 KiB, and cope with no checksums.
    #[test]
    fn lz4_frames_say_what_clients_expect() {
        let frame = compressed(Compression::Lz4, &vec![7; 200_000]);
        assert_eq!(frame[..4], 0x184D_2204_u32.to_le_bytes());
        assert_eq!(frame[4], 0b0110_0000, "FLG");
        assert_eq!(frame[5], 0b0100_0000, "BD");
    }

    #[test]
    fn names_and_numbers_lead_back() {
        for codec in CODECS {
            assert_eq!(Compression::from_name(codec.name()), Some(codec));
            assert_eq!(Compression::from_id(codec as u8), Some(codec));
        }
        assert_eq!(Compression::from_id(5), None);
        assert_eq!(Compression::from_name("lzma"), None);
    }
}
