//! Between frames and typed messages.

use bytes::Bytes;
use trial_node::Request;
use trial_wire::api::{Api, Listener, lookup};
use trial_wire::frame::{FrameError, decode_request_header};
use trial_wire::message::{MessageError, decode_request};
use trial_wire::messages::ApiVersionsRequest;
use trial_wire::{ApiKey, RequestKind};

/// Why a connection is closed for what came in on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is no request.
    #[error(transparent)]
    Frame(FrameError),
    /// It is what clients of another protocol begin with.
    #[error("it begins as {0}")]
    Other(&'static str),
    /// The body is malformed.
    #[error(transparent)]
    Body(#[from] MessageError),
    /// It is a request that brokers do not serve, or not in this version.
    #[error("{api:?} version {version} is not served")]
    NotServed {
        /// The API.
        api: ApiKey,
        /// The version.
        version: i16,
    },
}

impl From<FrameError> for Refused {
    fn from(error: FrameError) -> Refused {
        match error {
            FrameError::Length { length, .. } => match &length.to_be_bytes() {
                // A record of type alert or handshake, in any version of TLS.
                [0x15 | 0x16, 0x03, ..] => Refused::Other(
                    "TLS, which this port does not speak: let the client set security.protocol to PLAINTEXT (or SASL_PLAINTEXT)",
                ),
                b"GET " | b"POST" | b"HEAD" => Refused::Other("HTTP, and this is a port for Kafka clients"),
                _ => Refused::Frame(error),
            },
            error => Refused::Frame(error),
        }
    }
}

/// A request from a whole frame.
///
/// As in Kafka's socket server, a version of ApiVersions that we do not know is a request all the same, which the broker
/// answers with what it knows (KIP-511); every other request that is not served ends the connection.
pub(crate) fn request(frame: Bytes) -> Result<Request, Refused> {
    read_request(frame, Some(Listener::Broker))
}

/// The same, of a frame to a certain listener, or to one of which only the node knows what it serves.
pub(crate) fn read_request(mut frame: Bytes, listener: Option<Listener>) -> Result<Request, Refused> {
    let header = decode_request_header(&mut frame)?;
    let (api, version) = (header.api, header.version);
    let served = |line: &Api| listener.is_none_or(|listener| line.served_on(listener));
    let Some(line) = lookup(api).filter(|line| served(line)) else {
        return Err(Refused::NotServed { api, version });
    };
    let body = if line.supports(version) {
        decode_request(api, version, frame)?
    } else if api == ApiKey::ApiVersions {
        RequestKind::ApiVersions(ApiVersionsRequest::default())
    } else {
        return Err(Refused::NotServed { api, version });
    };
    Ok(Request {
        correlation_id: header.correlation_id,
        api_version: version,
        client_id: header.client_id.unwrap_or_default(),
        body: Box::new(body),
    })
}

/// Whether the request gets a response. Produce with `acks=0` does not.
pub(crate) fn is_answered(request: &Request) -> bool {
    !matches!(&*request.body, RequestKind::Produce(produce) if produce.acks == 0)
}

#[cfg(test)]
mod tests {
    use trial_wire::messages::{MetadataRequest, ProduceRequest};

    use super::*;

    fn frame(api: i16, version: i16, rest: &[u8]) -> Bytes {
        let mut frame = Vec::new();
        frame.extend_from_slice(&api.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&7_i32.to_be_bytes());
        frame.extend_from_slice(rest);
        Bytes::from(frame)
    }

    #[test]
    fn a_version_of_api_versions_that_nobody_knows_is_a_request() {
        let taken = request(frame(18, 99, &[0, 1, b'x', 0, 1, 2, 3])).expect("it is one");
        assert_eq!((taken.correlation_id, taken.api_version, taken.client_id.as_str()), (7, 99, "x"));
        assert_eq!(*taken.body, RequestKind::ApiVersions(ApiVersionsRequest::default()));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        // CreateDelegationToken is not spoken, Vote not on this listener, Metadata 99 and Produce 2 not at all.
        for (api, version) in [(38, 3), (52, 2), (3, 99), (0, 2)] {
            let refused = request(frame(api, version, &[0xff, 0xff, 0]));
            assert!(matches!(refused, Err(Refused::NotServed { .. })), "{api} {version}: {refused:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bytes in [&b""[..], &[0, 3], &[0xff; 40], &[0, 3, 0, 12, 0, 0, 0, 1, 0, 5, b'a']] {
            assert!(request(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
        assert!(request(frame(3, 12, &[0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])).is_err());
    }

    #[test]
    fn other_protocols_are_named() {
        let refused = |begin: &[u8]| {
            let split =
                trial_wire::frame::split(&mut bytes::BytesMut::from(begin), trial_wire::frame::FRAME_MAX);
            Refused::from(split.expect_err("it is too long")).to_string()
        };
        assert!(refused(&[0x16, 0x03, 0x01, 0x02, 0x00]).contains("as TLS, which this port does not speak"));
        assert!(refused(b"GET / HTTP/1.1").contains("as HTTP"));
        assert!(refused(&[0xff; 8]).starts_with("a frame of -1 bytes"));
    }

    #[test]
    fn only_produce_without_acks_gets_no_response() {
        let with = |body| Request {
            correlation_id: 1,
            api_version: 9,
            client_id: Default::default(),
            body: Box::new(body),
        };
        let produce = |acks| with(RequestKind::Produce(ProduceRequest::default().with_acks(acks)));
        assert!(!is_answered(&produce(0)));
        assert!(is_answered(&produce(1)) && is_answered(&produce(-1)));
        assert!(is_answered(&with(RequestKind::Metadata(MetadataRequest::default()))));
    }
}
