//! Snappy in the framing of snappy-java, as Kafka's clients write it; raw snappy is read too, as some write that.

use bytes::Bytes;

use super::{CodecError, Compression, make_room};

/// What snappy-java puts before its chunks: a magic, its version, and the oldest version that can read it.
pub(super) const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// How much of that tells framed snappy from raw snappy.
const MAGIC: &[u8] = HEADER.first_chunk::<8>().expect("it is longer").as_slice();
/// How much input goes into one chunk; snappy-java's default.
const CHUNK: usize = 32 * 1024;
/// No snappy stream expands by more: a copy of 64 bytes takes three.
const EXPANSION_MAX: usize = 22;

/// Appends the framed form of `input` to `out`.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(CHUNK) {
        let start = out.len() + 4;
        out.resize(start + snap::raw::max_compress_len(chunk.len()), 0);
        let written =
            encoder.compress(chunk, &mut out[start..]).expect("the bound of the compressed size is right");
        out.truncate(start + written);
        let length = u32::try_from(written).expect("a chunk is small");
        out[start - 4..start].copy_from_slice(&length.to_be_bytes());
    }
}

/// The content of framed or raw snappy.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let mut decoder = snap::raw::Decoder::new();
    let mut output = Vec::new();
    if !input.starts_with(MAGIC) {
        unsnap(&mut decoder, input, &mut output, limit)?;
        return Ok(Bytes::from(output));
    }
    let corrupt = |what| Compression::Snappy.corrupt(what);
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may follow one another, each with its header.
        if rest.starts_with(MAGIC) {
            let header = rest.get(..HEADER.len()).ok_or_else(|| corrupt("the header is cut off"))?;
            if header[12..] != HEADER[12..] {
                return Err(corrupt("its framing needs a newer version than 1"));
            }
            rest = &rest[HEADER.len()..];
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
    if length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(codec.corrupt("it claims more content than it can hold"));
    }
    let start = output.len();
    make_room(output, length, limit);
    output.resize(start + length, 0);
    let written = decoder.decompress(block, &mut output[start..]).map_err(|error| codec.corrupt(error))?;
    output.truncate(start + written);
    Ok(())
}
