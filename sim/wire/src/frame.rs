//! Frames: what a socket carries. Each is a length of four bytes, a header and a body; which header belongs to which API and
//! version is KIP-482's.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;

use crate::message::{
    MessageError, decode_request, decode_response, encode_request, encode_response, encode_response_around,
    request_api, response_api,
};
use crate::primitive::{ReadError, Reader};

/// What a frame may be large, in bytes, unless a listener is told otherwise: Kafka's default of `socket.request.max.bytes`.
pub const FRAME_MAX: usize = 100 << 20;

/// Bytes from a socket are not a frame that we understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field is negative, or more than the receiver accepts.
    #[error("a frame of {length} bytes is not between 0 and {max}")]
    Length {
        /// What the length field says.
        length: i32,
        /// What the receiver accepts.
        max: usize,
    },
    /// The header is malformed.
    #[error("the frame's header: {0}")]
    Header(#[from] ReadError),
    /// No such API.
    #[error("there is no API with the key {0}")]
    UnknownApi(i16),
    /// The body is malformed.
    #[error(transparent)]
    Body(#[from] MessageError),
}

/// A request's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api: ApiKey,
    /// The version, which may be one that nobody knows yet.
    pub version: i16,
    /// Chosen by the client, echoed by the response.
    pub correlation_id: i32,
    /// The client's self-chosen name.
    pub client_id: Option<StrBytes>,
}

/// Takes one whole frame, without its length field, from the front of what a socket has brought; `None` if more must come.
/// No memory is set apart for what a length promises: what is `received` grows only by what has come, and the caller need not
/// receive more than `max` and four bytes before it asks again.
///
/// # Errors
/// [`FrameError::Length`]; the connection is then good for nothing any more.
pub fn split(received: &mut BytesMut, max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = received.first_chunk() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let size = match usize::try_from(length) {
        Ok(size) if size <= max => size,
        _ => return Err(FrameError::Length { length, max }),
    };
    if received.len() - 4 < size {
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(received.split_to(size).freeze()))
}

/// Reads the header at the front of a request's frame and leaves the body in `frame`.
///
/// # Errors
/// [`FrameError::Header`], [`FrameError::UnknownApi`].
pub fn decode_request_header(frame: &mut Bytes) -> Result<RequestHeader, FrameError> {
    let mut reader = Reader::new(frame);
    let key = reader.i16()?;
    let api = ApiKey::try_from(key).map_err(|()| FrameError::UnknownApi(key))?;
    let version = reader.i16()?;
    let correlation_id = reader.i32()?;
    let client_id = reader.nullable_string()?.map(|id| StrBytes::from_string(id.to_owned()));
    if api.request_header_version(version) >= 2 {
        reader.skip_tagged_fields()?;
    }
    frame.advance(reader.position());
    Ok(RequestHeader { api, version, correlation_id, client_id })
}

/// Reads a request's whole frame. Records share its memory.
///
/// # Errors
/// [`FrameError`].
pub fn decode_request_frame(mut frame: Bytes) -> Result<(RequestHeader, RequestKind), FrameError> {
    let header = decode_request_header(&mut frame)?;
    let body = decode_request(header.api, header.version, frame)?;
    Ok((header, body))
}

/// Reads the response to a request of `api` and `version` from its whole frame: the correlation id and the body, whose
/// records share its memory.
///
/// # Errors
/// [`FrameError`].
pub fn decode_response_frame(
    api: ApiKey,
    version: i16,
    mut frame: Bytes,
) -> Result<(i32, ResponseKind), FrameError> {
    let mut reader = Reader::new(&frame);
    let correlation_id = reader.i32()?;
    if api.response_header_version(version) >= 1 {
        reader.skip_tagged_fields()?;
    }
    frame.advance(reader.position());
    Ok((correlation_id, decode_response(api, version, frame)?))
}

/// Appends a request's frame, its length field included.
///
/// # Errors
/// [`MessageError`]; `out` is then as it was.
pub fn encode_request_frame(
    correlation_id: i32,
    version: i16,
    client_id: &str,
    body: &RequestKind,
    out: &mut BytesMut,
) -> Result<(), MessageError> {
    let api = request_api(body);
    let Ok(client_id_len) = i16::try_from(client_id.len()) else {
        return Err(MessageError {
            api,
            version,
            what: "the client id is longer than 32767 bytes".to_owned(),
        });
    };
    framed(api, version, out, |out| {
        out.put_i16(api as i16);
        out.put_i16(version);
        out.put_i32(correlation_id);
        out.put_i16(client_id_len);
        out.put_slice(client_id.as_bytes());
        if api.request_header_version(version) >= 2 {
            out.put_u8(0);
        }
        encode_request(body, version, out).map(|()| 0)
    })
}

/// Appends a response's frame, its length field included.
///
/// # Errors
/// [`MessageError`]; `out` is then as it was.
pub fn encode_response_frame(
    correlation_id: i32,
    version: i16,
    body: &ResponseKind,
    out: &mut BytesMut,
) -> Result<(), MessageError> {
    response_frame(correlation_id, version, body, out, |out| encode_response(body, version, out).map(|()| 0))
}

/// As [`encode_response_frame`], around the records of a large Fetch response: they go to `apart`, in their order, each with the
/// position in `out` at which it belongs.
///
/// # Errors
/// [`MessageError`]; `out` and `apart` are then as they were.
pub fn encode_response_frame_around(
    correlation_id: i32,
    version: i16,
    body: &ResponseKind,
    out: &mut BytesMut,
    apart: &mut Vec<(usize, Bytes)>,
) -> Result<(), MessageError> {
    let before = apart.len();
    let result = response_frame(correlation_id, version, body, out, |out| {
        encode_response_around(body, version, out, apart)?;
        Ok(apart[before..].iter().map(|(_, records)| records.len()).sum())
    });
    if result.is_err() {
        apart.truncate(before);
    }
    result
}

fn response_frame(
    correlation_id: i32,
    version: i16,
    body: &ResponseKind,
    out: &mut BytesMut,
    encode: impl FnOnce(&mut BytesMut) -> Result<usize, MessageError>,
) -> Result<(), MessageError> {
    let api = response_api(body);
    framed(api, version, out, |out| {
        out.put_i32(correlation_id);
        if api.response_header_version(version) >= 1 {
            out.put_u8(0);
        }
        encode(out)
    })
}

/// Puts the length before what `content` appends; it returns how many bytes belong to it besides.
fn framed(
    api: ApiKey,
    version: i16,
    out: &mut BytesMut,
    content: impl FnOnce(&mut BytesMut) -> Result<usize, MessageError>,
) -> Result<(), MessageError> {
    let start = out.len();
    out.put_i32(0);
    let length = content(out).and_then(|besides| {
        i32::try_from(out.len() - start - 4 + besides).map_err(|_| MessageError {
            api,
            version,
            what: "the frame is larger than 2 GiB".to_owned(),
        })
    });
    match length {
        Ok(length) => {
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header_of(bytes: &'static [u8]) -> Result<RequestHeader, FrameError> {
        decode_request_header(&mut Bytes::from_static(bytes))
    }

    #[test]
    fn hostile_frames_are_errors() {
        let truncated = |position, needed, available| {
            Err(FrameError::Header(ReadError::Truncated { position, needed, available }))
        };
        assert_eq!(header_of(b""), truncated(0, 2, 0));
        assert_eq!(header_of(b"\0\x03"), truncated(2, 2, 0));
        assert_eq!(header_of(b"\x7f\xff\0\0"), Err(FrameError::UnknownApi(0x7fff)));
        // A client id of 32767 bytes, and one of −2.
        assert_eq!(header_of(b"\0\x03\0\0\0\0\0\x01\x7f\xff"), truncated(10, 0x7fff, 0));
        assert_eq!(
            header_of(b"\0\x03\0\0\0\0\0\x01\xff\xfe"),
            Err(FrameError::Header(ReadError::Length { position: 8, length: -2 }))
        );
        // 2³² − 1 tagged fields.
        assert_eq!(header_of(b"\0\x03\0\x0c\0\0\0\x01\xff\xff\xff\xff\xff\xff\x0f"), truncated(15, 1, 0));
    }

    #[test]
    fn a_header_without_a_client_and_of_an_unknown_version_is_read() {
        let mut frame = Bytes::from_static(b"\0\x12\0\x63\0\0\0\x09\xff\xff\0body");
        let header = decode_request_header(&mut frame).unwrap();
        let expected =
            RequestHeader { api: ApiKey::ApiVersions, version: 99, correlation_id: 9, client_id: None };
        assert_eq!(header, expected);
        assert_eq!(frame, "body");
    }

    #[test]
    fn frames_are_split_off_when_they_are_whole() {
        let mut received = BytesMut::from(&b"\0\0\0\x02ab\0\0\0"[..]);
        assert_eq!(split(&mut received, 10), Ok(Some(Bytes::from_static(b"ab"))));
        assert_eq!(split(&mut received, 10), Ok(None));
        received.extend_from_slice(b"\x0a123456789");
        assert_eq!(split(&mut received, 10), Ok(None));
        received.extend_from_slice(b"0");
        assert_eq!(split(&mut received, 10), Ok(Some(Bytes::from_static(b"1234567890"))));
        received.extend_from_slice(b"\0\0\0\x0b");
        assert_eq!(split(&mut received, 10), Err(FrameError::Length { length: 11, max: 10 }));
        let mut negative = BytesMut::from(&[0xff; 4][..]);
        assert_eq!(split(&mut negative, 10), Err(FrameError::Length { length: -1, max: 10 }));
    }

    #[test]
    fn a_promised_length_takes_no_memory() {
        let mut received = BytesMut::from(&b"\x06\x40\0\0"[..]);
        let info = allocation_counter::measure(|| assert_eq!(split(&mut received, FRAME_MAX), Ok(None)));
        assert_eq!(info.count_total, 0);
    }

    /// ApiVersions responses keep the old header in every version, so that any client can read them (KIP-511).
    #[test]
    fn api_versions_responses_have_the_old_header() {
        for version in 0..=4 {
            assert_eq!(crate::message::response_overhead(ApiKey::ApiVersions, version), 8);
        }
    }

    proptest! {
        #[test]
        fn reading_headers_of_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut frame = Bytes::from(bytes.clone());
            if let Ok(header) = decode_request_header(&mut frame) {
                prop_assert_eq!(header.api as i16, i16::from_be_bytes([bytes[0], bytes[1]]));
                prop_assert!(bytes.ends_with(&frame));
            }
        }
    }
}
