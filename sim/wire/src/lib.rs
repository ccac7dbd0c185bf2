//! Kafka's wire protocol as the rest of the project uses it.
//!
//! - [`messages`]: the typed requests and responses (from `kafka-protocol`, which no other crate touches);
//! - [`message`]: encode and decode one message's body;
//! - [`frame`]: what sockets carry: bodies with their headers and lengths;
//! - [`batch`]: a zero-copy view of a RecordBatch v2, and the builder of one;
//! - [`control`]: the records of control batches;
//! - [`codec`]: the compression codecs;
//! - [`primitive`]: the protocol's integers, strings and arrays, for other formats built of them;
//! - [`api`]: which APIs and versions we speak.

pub mod api;
pub mod batch;
pub mod codec;
pub mod control;
pub mod frame;
pub mod message;
pub mod primitive;

pub use batch::{Batch, BatchBuilder, BatchError, Batches, Header, Record, RecordRef, Records};
pub use codec::{CodecError, Compression};
pub use control::{ControlError, ControlRecord, ControlType};
pub use kafka_protocol::error::ResponseError as ErrorCode;
pub use kafka_protocol::messages;
pub use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind, TopicName};
pub use kafka_protocol::protocol::{Message, StrBytes, VersionRange};
pub use uuid::Uuid;
