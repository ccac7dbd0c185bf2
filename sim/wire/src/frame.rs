//! Frames: what a socket carries. Each is a length of four bytes, a header and a body; which header belongs to which API and
//! version is KIP-482's.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;

use crate::message::{
    MessageError, decode_request, decode_response, encode_request, encode_response, request_api, response_api,
};
use crate::primitive::{ReadError, Reader};

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
        encode_request(body, version, out)
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
    let api = response_api(body);
    framed(api, version, out, |out| {
        out.put_i32(correlation_id);
        if api.response_header_version(version) >= 1 {
            out.put_u8(0);
        }
        encode_response(body, version, out)
    })
}

/// Puts the length before what `content` appends.
fn framed(
    api: ApiKey,
    version: i16,
    out: &mut BytesMut,
    content: impl FnOnce(&mut BytesMut) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let start = out.len();
    out.put_i32(0);
    let length = content(out).and_then(|()| {
        i32::try_from(out.len() - start - 4).map_err(|_| MessageError {
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
