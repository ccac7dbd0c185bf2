//! One message's bytes: bodies for the trace hash and the wire check, frames for sockets.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

/// A message could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{api:?} version {version}: {what}")]
pub struct MessageError {
    /// The API.
    pub api: ApiKey,
    /// The version.
    pub version: i16,
    /// What went wrong.
    pub what: String,
}

/// Which API a request belongs to.
pub fn request_api(body: &RequestKind) -> ApiKey {
    let _ = body;
    unimplemented!()
}

/// Which API a response belongs to.
pub fn response_api(body: &ResponseKind) -> ApiKey {
    let _ = body;
    unimplemented!()
}

/// Appends a request's body in `version` to `out`.
///
/// # Errors
/// [`MessageError`] when the version does not exist or cannot express a field that is set.
pub fn encode_request(body: &RequestKind, version: i16, out: &mut BytesMut) -> Result<(), MessageError> {
    let _ = (body, version, out);
    unimplemented!()
}

/// Appends a response's body in `version` to `out`.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_response(body: &ResponseKind, version: i16, out: &mut BytesMut) -> Result<(), MessageError> {
    let _ = (body, version, out);
    unimplemented!()
}

/// Reads a request's body; `bytes` must hold nothing else.
///
/// # Errors
/// [`MessageError`].
pub fn decode_request(api: ApiKey, version: i16, bytes: Bytes) -> Result<RequestKind, MessageError> {
    let _ = (api, version, bytes);
    unimplemented!()
}

/// Reads a response's body; `bytes` must hold nothing else.
///
/// # Errors
/// [`MessageError`].
pub fn decode_response(api: ApiKey, version: i16, bytes: Bytes) -> Result<ResponseKind, MessageError> {
    let _ = (api, version, bytes);
    unimplemented!()
}

/// What the header of a request adds to its body on the wire, in bytes, the frame's length field included.
pub fn request_overhead(api: ApiKey, version: i16, client_id: &str) -> usize {
    let _ = (api, version, client_id);
    unimplemented!()
}

/// What the header of a response adds to its body on the wire, in bytes, the frame's length field included.
pub fn response_overhead(api: ApiKey, version: i16) -> usize {
    let _ = (api, version);
    unimplemented!()
}
