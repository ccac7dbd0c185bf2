//! gzip (RFC 1952) as Kafka's clients write it: one member, no name, no time.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::{Compress, Crc, FlushCompress, Status};

use super::{CodecError, Compression};

/// Magic, deflate, no flags, no time, no extra flags, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// How much room for output is made at least before each step, in bytes.
const STEP: usize = 4096;

thread_local! {
    /// Setting up a compressor means some hundred KiB of memory, which costs more than most batches. It is reset before each
    /// use, so that nothing of one use shows in the next.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(flate2::Compression::default(), false));
}

/// Appends the compressed form of `input` to `out`.
pub(super) fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    match u32::try_from(level) {
        Ok(level) => {
            let mut deflate = Compress::new(flate2::Compression::new(level.min(9)), false);
            compress_with(&mut deflate, input, out);
        }
        Err(_) => DEFLATE.with_borrow_mut(|deflate| {
            deflate.reset();
            compress_with(deflate, input, out);
        }),
    }
    let mut crc = Crc::new();
    crc.update(input);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
}

fn compress_with(deflate: &mut Compress, input: &[u8], out: &mut Vec<u8>) {
    loop {
        let read = usize::try_from(deflate.total_in()).expect("no more than the input was read");
        let rest = &input[read..];
        out.reserve((rest.len() / 2).max(STEP));
        let status = deflate.compress_vec(rest, out, FlushCompress::Finish);
        if status.expect("deflate takes any input") == Status::StreamEnd {
            break;
        }
    }
}

/// The content of one or more members.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    Compression::Gzip.drain(&mut MultiGzDecoder::new(input), input.len(), limit)
}
