//! Zstandard frames.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name, get_frame_content_size};

use super::{CodecError, Compression};

/// The level at which Kafka's clients compress by default.
pub(super) const LEVEL: i32 = 3;
/// The smallest window (as a power of two) that we let a frame ask for however small the caller's limit: encoders announce up
/// to this much at levels up to 19 even for small content.
const WINDOW_LOG_MIN: u32 = 23;
/// The largest window that we let a frame ask for; zstd's own default.
const WINDOW_LOG_MAX: u32 = 27;
/// A frame that says that it expands by more than this is decompressed step by step, not into memory taken on its word.
const BELIEVABLE_EXPANSION: usize = 100;

thread_local! {
    /// Setting up a context asks the processor for its features, which takes microseconds on a virtual machine. Each use
    /// begins a new frame, so that nothing of one use shows in the next.
    static CONTEXTS: RefCell<(CCtx<'static>, DCtx<'static>)> = RefCell::new((CCtx::create(), DCtx::create()));
}

/// Appends the frame of `input` to `out`.
pub(super) fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + compress_bound(input.len()), 0);
    let written = CONTEXTS.with_borrow_mut(|(context, _)| context.compress(&mut out[start..], input, level));
    out.truncate(start + written.map_err(get_error_name).expect("the bound of the compressed size is right"));
}

/// The content of one or more frames.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let codec = Compression::Zstd;
    if let Some(size) = believable_size(input)
        && size <= limit
    {
        let mut output = vec![0; size];
        let written = CONTEXTS.with_borrow_mut(|(_, context)| context.decompress(&mut output[..], input));
        if written == Ok(size) {
            return Ok(Bytes::from(output));
        }
        // More than one frame, or corrupt: what follows tells.
    }
    let mut decoder = zstd::Decoder::with_buffer(input).map_err(|error| codec.corrupt(error))?;
    let window_log = (usize::BITS - limit.leading_zeros()).clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
    decoder.window_log_max(window_log).map_err(|error| codec.corrupt(error))?;
    codec.drain(&mut decoder, input.len(), limit)
}

/// The size of the content as the first frame gives it, if it gives it and it is not a bomb's.
fn believable_size(input: &[u8]) -> Option<usize> {
    let size = usize::try_from(get_frame_content_size(input).ok()??).ok()?;
    (size <= input.len().saturating_mul(BELIEVABLE_EXPANSION)).then_some(size)
}
