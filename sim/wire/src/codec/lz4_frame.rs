//! LZ4 frames. Those that Kafka's clients write (independent blocks of 64 KiB, no checksums) are put together and taken apart
//! here, block by block, because the library's way sets up a large context for each frame; others go that way.

use std::cell::RefCell;

use bytes::Bytes;
use lz4::block::{self, CompressionMode};

use super::{CodecError, Compression, make_room};

/// Magic; version 01, independent blocks, no checksums; blocks of 64 KiB; the checksum of the last two.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// What a block holds at most.
const BLOCK: usize = 64 * 1024;
/// The bit of a block's length that says that the block is stored as it is.
const STORED: u32 = 1 << 31;
/// The library's most thorough level.
const LEVEL_MAX: i32 = 12;

/// Appends the frame of `input` to `out`.
pub(super) fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) {
    // Kafka's clients take its default level for the fast compressor.
    let thorough = level != Compression::Lz4.default_level();
    let mode = thorough.then(|| CompressionMode::HIGHCOMPRESSION(level.clamp(1, LEVEL_MAX)));
    COMPRESSED.with_borrow_mut(|scratch| compress_with(scratch, mode, input, out));
}

fn compress_with(scratch: &mut Vec<u8>, mode: Option<CompressionMode>, input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    for chunk in input.chunks(BLOCK) {
        let bound = block::compress_bound(chunk.len()).expect("a chunk is small");
        if scratch.len() < bound {
            scratch.resize(bound, 0);
        }
        let length = block::compress_to_buffer(chunk, mode, false, scratch)
            .expect("the bound of the compressed size is right");
        let (content, flag) = if length < chunk.len() { (&scratch[..length], 0) } else { (chunk, STORED) };
        let length = u32::try_from(content.len()).expect("a chunk is small") | flag;
        // Exactly what is needed: logs keep batches for long.
        out.reserve_exact(4 + content.len() + 4);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(content);
    }
    out.extend_from_slice(&[0; 4]);
}

/// The content of a frame.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    match input.strip_prefix(&HEADER) {
        Some(blocks) => decompress_blocks(blocks, limit),
        None => decompress_any(input, limit),
    }
}

thread_local! {
    /// Where a block is taken apart. Kept, because clearing 64 KiB costs more than most blocks; only what was just written to it
    /// is ever read.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BLOCK]);
    /// Where a block is compressed, for the same reason.
    static COMPRESSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn decompress_blocks(rest: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    SCRATCH.with_borrow_mut(|scratch| decompress_into(scratch, rest, limit))
}

fn decompress_into(scratch: &mut [u8], mut rest: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let codec = Compression::Lz4;
    let mut output = Vec::new();
    loop {
        let (length, after) =
            rest.split_first_chunk().ok_or_else(|| codec.corrupt("the frame has no end mark"))?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return Ok(Bytes::from(output));
        }
        let size = usize::try_from(length & !STORED).expect("a usize has at least 32 bits");
        if size > BLOCK {
            return Err(codec.corrupt("a block is larger than 64 KiB"));
        }
        let (block, after) =
            after.split_at_checked(size).ok_or_else(|| codec.corrupt("a block is cut off"))?;
        rest = after;
        let content = if length & STORED != 0 {
            block
        } else {
            let bound = i32::try_from(BLOCK).expect("a block is small");
            let written = block::decompress_to_buffer(block, Some(bound), scratch)
                .map_err(|error| codec.corrupt(error))?;
            &scratch[..written]
        };
        if content.len() > limit - output.len() {
            return Err(CodecError::TooLarge { codec, limit });
        }
        make_room(&mut output, content.len(), limit);
        output.extend_from_slice(content);
    }
}

fn decompress_any(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let codec = Compression::Lz4;
    let mut decoder = lz4::Decoder::new(input).map_err(|error| codec.corrupt(error))?;
    let output = codec.drain(&mut decoder, input.len(), limit)?;
    let (_, finished) = decoder.finish();
    finished.map_err(|error| codec.corrupt(error))?;
    Ok(output)
}
