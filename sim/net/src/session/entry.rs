//! One entry of a session, in bytes.

use bytes::{Buf, BufMut, Bytes};
use trial_node::{ConnId, Time};

use crate::order::{FaultId, Order};

/// One entry of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What the cluster is made of, as its maker wrote it.
    Header(String),
    /// A client connected.
    Connect {
        /// When.
        at: Time,
        /// The connection's id within the cluster.
        conn: ConnId,
        /// To which broker, from 0.
        broker: u32,
        /// To which port of it.
        port: u16,
    },
    /// A client sent a request.
    Request {
        /// When.
        at: Time,
        /// On which connection.
        conn: ConnId,
        /// The frame without its length.
        frame: Bytes,
    },
    /// A client closed a connection, or its socket was gone.
    Close {
        /// When.
        at: Time,
        /// The connection.
        conn: ConnId,
    },
    /// An order was carried out.
    Order {
        /// When.
        at: Time,
        /// What.
        order: Order,
    },
    /// What the trace hash was.
    Checkpoint(Checkpoint),
    /// No client is there any more.
    End {
        /// When.
        at: Time,
    },
    /// What came of the run.
    Outcome(Outcome),
}

/// The trace hash after so many events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events were hashed.
    pub event: u64,
    /// When the last of them happened.
    pub at: Time,
    /// The hash.
    pub hash: u128,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many events were hashed.
    pub events: u64,
    /// The trace hash at the end.
    pub hash: u128,
    /// Whether every invariant and expectation held.
    pub passed: bool,
}

const HEADER: u8 = 1;
const CONNECT: u8 = 2;
const REQUEST: u8 = 3;
const CLOSE: u8 = 4;
const ORDER: u8 = 5;
const CHECKPOINT: u8 = 6;
const END: u8 = 7;
const OUTCOME: u8 = 8;

const FAULT: u8 = 1;
const HEAL: u8 = 2;
const HEAL_ALL: u8 = 3;
const CALL_OFF: u8 = 4;

impl Entry {
    /// When it happened, if it is something that happened to the cluster.
    pub fn at(&self) -> Option<Time> {
        match self {
            Entry::Connect { at, .. }
            | Entry::Request { at, .. }
            | Entry::Close { at, .. }
            | Entry::Order { at, .. }
            | Entry::End { at } => Some(*at),
            Entry::Header(_) | Entry::Checkpoint(_) | Entry::Outcome(_) => None,
        }
    }

    /// Appends the payload to `out`, without the frame of a request: that is returned, and belongs behind it.
    pub(super) fn encode(self, out: &mut Vec<u8>) -> Bytes {
        match self {
            Entry::Header(text) => {
                out.put_u8(HEADER);
                out.put_slice(text.as_bytes());
            }
            Entry::Connect { at, conn, broker, port } => {
                out.put_u8(CONNECT);
                out.put_u64(at.0);
                out.put_u64(conn.0);
                out.put_u32(broker);
                out.put_u16(port);
            }
            Entry::Request { at, conn, frame } => {
                out.put_u8(REQUEST);
                out.put_u64(at.0);
                out.put_u64(conn.0);
                return frame;
            }
            Entry::Close { at, conn } => {
                out.put_u8(CLOSE);
                out.put_u64(at.0);
                out.put_u64(conn.0);
            }
            Entry::Order { at, order } => {
                out.put_u8(ORDER);
                out.put_u64(at.0);
                match order {
                    Order::Fault(fault) => {
                        out.put_u8(FAULT);
                        out.put_slice(fault.as_bytes());
                    }
                    Order::Heal(FaultId(id)) => {
                        out.put_u8(HEAL);
                        out.put_u64(id);
                    }
                    Order::HealAll => out.put_u8(HEAL_ALL),
                    Order::CallOff => out.put_u8(CALL_OFF),
                }
            }
            Entry::Checkpoint(Checkpoint { event, at, hash }) => {
                out.put_u8(CHECKPOINT);
                out.put_u64(event);
                out.put_u64(at.0);
                out.put_u128(hash);
            }
            Entry::End { at } => {
                out.put_u8(END);
                out.put_u64(at.0);
            }
            Entry::Outcome(Outcome { events, hash, passed }) => {
                out.put_u8(OUTCOME);
                out.put_u64(events);
                out.put_u128(hash);
                out.put_u8(u8::from(passed));
            }
        }
        Bytes::new()
    }

    /// The entry that a payload is; `None` if it is none.
    pub(super) fn decode(mut payload: Bytes) -> Option<Entry> {
        let entry = Entry::decode_fields(&mut payload).ok()??;
        payload.is_empty().then_some(entry)
    }

    fn decode_fields(payload: &mut Bytes) -> Result<Option<Entry>, bytes::TryGetError> {
        let rest = |payload: &mut Bytes| payload.split_off(0);
        let text = |payload: &mut Bytes| String::from_utf8(payload.split_off(0).into()).ok();
        let conn = |payload: &mut Bytes| payload.try_get_u64().map(ConnId);
        let at = |payload: &mut Bytes| payload.try_get_u64().map(Time);
        Ok(Some(match payload.try_get_u8()? {
            HEADER => match text(payload) {
                Some(text) => Entry::Header(text),
                None => return Ok(None),
            },
            CONNECT => Entry::Connect {
                at: at(payload)?,
                conn: conn(payload)?,
                broker: payload.try_get_u32()?,
                port: payload.try_get_u16()?,
            },
            REQUEST => Entry::Request { at: at(payload)?, conn: conn(payload)?, frame: rest(payload) },
            CLOSE => Entry::Close { at: at(payload)?, conn: conn(payload)? },
            ORDER => {
                let at = at(payload)?;
                let order = match payload.try_get_u8()? {
                    FAULT => text(payload).map(Order::Fault),
                    HEAL => Some(Order::Heal(FaultId(payload.try_get_u64()?))),
                    HEAL_ALL => Some(Order::HealAll),
                    CALL_OFF => Some(Order::CallOff),
                    _ => None,
                };
                match order {
                    Some(order) => Entry::Order { at, order },
                    None => return Ok(None),
                }
            }
            CHECKPOINT => Entry::Checkpoint(Checkpoint {
                event: payload.try_get_u64()?,
                at: at(payload)?,
                hash: payload.try_get_u128()?,
            }),
            END => Entry::End { at: at(payload)? },
            OUTCOME => Entry::Outcome(Outcome {
                events: payload.try_get_u64()?,
                hash: payload.try_get_u128()?,
                passed: match payload.try_get_u8()? {
                    0 => false,
                    1 => true,
                    _ => return Ok(None),
                },
            }),
            _ => return Ok(None),
        }))
    }
}
