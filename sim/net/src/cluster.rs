//! What a server needs of the cluster behind it.

use bytes::Bytes;
use trial_node::{ConnId, Endpoint, Input, Request, Time};
use trial_wire::message::MessageError;

use crate::order::Order;
use crate::session::Checkpoint;

/// A cluster in virtual time, in which outside clients can take part.
pub trait Cluster {
    /// Why it cannot go on.
    type Error;

    /// The instant that it is at.
    fn now(&self) -> Time;

    /// When something happens next unless somebody outside does something before.
    fn next_event(&self) -> Option<Time>;

    /// Runs up to and including an instant.
    ///
    /// # Errors
    /// The cluster cannot go on.
    fn run_until(&mut self, until: Time) -> Result<(), Self::Error>;

    /// An outside client connects; `None` if it cannot even try.
    fn connect(&mut self, to: &Endpoint) -> Option<ConnId>;

    /// An outside client sends a request on a connection that it asked for, which need not stand yet. Dropped if the
    /// connection has gone. `frame` is what the request was read from, for whoever writes it down.
    ///
    /// # Errors
    /// The request's version cannot express it.
    fn request(&mut self, conn: ConnId, request: Request, frame: Bytes) -> Result<(), MessageError>;

    /// An outside client closes a connection.
    fn close(&mut self, conn: ConnId);

    /// How many bytes an outside client has sent on a connection that the broker has not taken yet.
    fn unread(&self, conn: ConnId) -> u64;

    /// Takes out what has arrived at outside clients ([`Input::Connected`], [`Input::Response`], [`Input::Closed`]), in the
    /// order of arrival.
    fn arrivals(&mut self) -> Vec<Input>;

    /// Carries out an operator's order, and tells in JSON what was done.
    ///
    /// # Errors
    /// Why it was not: then nothing has happened.
    fn order(&mut self, order: &Order) -> Result<String, String>;

    /// What an operator wants to see, in JSON.
    fn state(&self) -> String;

    /// The checkpoint of the trace hash with this index, from 0, if the cluster has come to it.
    fn checkpoint(&self, index: usize) -> Option<Checkpoint>;
}
