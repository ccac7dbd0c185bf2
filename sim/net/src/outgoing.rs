//! Responses on their way to a socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use trial_node::Response;
use trial_wire::frame::encode_response_frame_around;
use trial_wire::message::MessageError;

/// How much memory is kept for the next responses.
const KEPT_MAX: usize = 2 << 20;

/// Frames of responses. Large records are not copied into them but shared with the logs that they come from.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    frames: BytesMut,
    /// Records, and where in `frames` they belong.
    apart: Vec<(usize, Bytes)>,
    len: usize,
}

impl Outgoing {
    /// How many bytes there are to be written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends a response.
    pub(crate) fn put(&mut self, response: &Response) -> Result<(), MessageError> {
        let (frames, apart) = (self.frames.len(), self.apart.len());
        let Response { correlation_id, api_version, body, .. } = response;
        encode_response_frame_around(*correlation_id, *api_version, body, &mut self.frames, &mut self.apart)?;
        let records: usize = self.apart[apart..].iter().map(|(_, records)| records.len()).sum();
        self.len += self.frames.len() - frames + records;
        Ok(())
    }

    /// Takes out everything, to be written.
    pub(crate) fn take(&mut self) -> Pieces {
        let mut frames = self.frames.split().freeze();
        let mut pieces = VecDeque::with_capacity(2 * self.apart.len() + 1);
        let mut done = 0;
        for (position, records) in self.apart.drain(..) {
            pieces.push_back(frames.split_to(position - done));
            pieces.push_back(records);
            done = position;
        }
        if !frames.is_empty() {
            pieces.push_back(frames);
        }
        Pieces { pieces, remaining: std::mem::take(&mut self.len) }
    }

    /// Gives memory back that a few large responses took, after what was taken out has been written.
    pub(crate) fn shrink(&mut self) {
        // Only then it is known how much there is: until then the memory belongs to what was taken out as well.
        self.frames.reserve(1);
        if self.frames.capacity() > KEPT_MAX {
            self.frames = BytesMut::new();
        }
    }
}

/// What is written, one piece after the other.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// None is empty.
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        for (slice, piece) in out.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        out.len().min(self.pieces.len())
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.checked_sub(count).expect("no more was written than there was");
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_wire::ResponseKind;
    use trial_wire::frame::encode_response_frame;
    use trial_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use trial_wire::messages::{FetchResponse, MetadataResponse};

    use super::*;

    fn fetched(lens: &[usize]) -> Response {
        let records = lens.iter().map(|len| Bytes::from(vec![*len as u8; *len]));
        let partitions = records.map(|records| PartitionData::default().with_records(Some(records)));
        let topic = FetchableTopicResponse::default().with_partitions(partitions.collect());
        let body = FetchResponse::default().with_responses(vec![topic]);
        Response { correlation_id: 7, api_version: 11, body: Box::new(ResponseKind::Fetch(body)) }
    }

    #[test]
    fn large_records_are_shared_and_every_byte_is_written_once() {
        let metadata = Response {
            correlation_id: 8,
            api_version: 12,
            body: Box::new(ResponseKind::Metadata(MetadataResponse::default())),
        };
        let responses = [fetched(&[20_000, 10, 30_000]), metadata, fetched(&[40_000])];
        let (mut out, mut expected) = (Outgoing::default(), BytesMut::new());
        for round in [1, 77, 20_000, usize::MAX] {
            expected.clear();
            for response in &responses {
                out.put(response).expect("it can be encoded");
                let Response { correlation_id, api_version, body, .. } = response;
                encode_response_frame(*correlation_id, *api_version, body, &mut expected).expect("as well");
            }
            assert_eq!(out.len(), expected.len());
            let mut pieces = out.take();
            assert_eq!((out.len(), pieces.remaining(), pieces.pieces.len()), (0, expected.len(), 6));
            let mut slices = [IoSlice::new(&[]); 5];
            assert_eq!(pieces.chunks_vectored(&mut slices), 5);
            assert_eq!(slices[3].len(), 30_000);
            let mut written = Vec::new();
            while pieces.has_remaining() {
                let count = pieces.chunk().len().min(round);
                written.extend_from_slice(&pieces.chunk()[..count]);
                pieces.advance(count);
            }
            assert!(written == expected, "{round}");
        }
    }

    #[test]
    fn what_cannot_be_encoded_leaves_what_was_there() {
        let mut out = Outgoing::default();
        out.put(&fetched(&[20_000])).expect("it can be encoded");
        let before = out.len();
        let unknown = Response { api_version: 99, ..fetched(&[20_000]) };
        assert!(out.put(&unknown).is_err());
        assert_eq!((out.len(), out.take().remaining()), (before, before));
    }

    #[test]
    fn memory_is_used_again_unless_it_is_much() {
        let mut out = Outgoing::default();
        out.put(&fetched(&[1000])).expect("it can be encoded");
        let first = out.take();
        let place = first.chunk().as_ptr();
        drop(first);
        out.shrink();
        out.put(&fetched(&[1000])).expect("it can be encoded");
        assert_eq!(out.take().chunk().as_ptr(), place);
        out.put(&fetched(&[15_000; 200])).expect("it can be encoded");
        drop(out.take());
        out.shrink();
        assert!(out.frames.capacity() <= KEPT_MAX, "{}", out.frames.capacity());
    }
}
