//! A cluster that writes down what is done to it.

use std::fmt;

use bytes::Bytes;
use trial_node::{ConnId, Endpoint, Input, Request, Time};
use trial_wire::message::MessageError;

use super::entry::{Checkpoint, Entry};
use super::writer::Journal;
use crate::cluster::Cluster;
use crate::order::Order;

/// Why a recorded cluster cannot go on.
#[derive(Debug)]
pub enum RecordError<E> {
    /// The cluster cannot.
    Cluster(E),
    /// The journal cannot be written any more; [`Journal::close`] says why.
    Journal,
}

impl<E: fmt::Display> fmt::Display for RecordError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Cluster(error) => error.fmt(f),
            RecordError::Journal => f.write_str("the record of the session cannot be written any more"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for RecordError<E> {}

/// A cluster, and the journal of what is done to it from outside.
#[derive(Debug)]
pub struct Recorded<C> {
    cluster: C,
    journal: Journal,
    /// The brokers' names, in their order.
    brokers: Vec<Endpoint>,
    /// What was done since the cluster last ran.
    entries: Vec<Entry>,
    /// How many checkpoints are in the journal.
    checkpoints: usize,
}

impl<C: Cluster> Recorded<C> {
    /// Records from here on what is done to `cluster`.
    pub fn new(cluster: C, journal: Journal, brokers: Vec<Endpoint>) -> Recorded<C> {
        Recorded { cluster, journal, brokers, entries: Vec::new(), checkpoints: 0 }
    }

    /// Ends the record of what clients did. The outcome is still to be put into the journal.
    pub fn end(mut self) -> (C, Journal) {
        self.note_checkpoints();
        self.entries.push(Entry::End { at: self.cluster.now() });
        // If it cannot be written, closing the journal says so.
        let _written = self.journal.put(self.entries);
        (self.cluster, self.journal)
    }

    fn note_checkpoints(&mut self) {
        while let Some(checkpoint) = self.cluster.checkpoint(self.checkpoints) {
            self.checkpoints += 1;
            self.entries.push(Entry::Checkpoint(checkpoint));
        }
    }
}

impl<C: Cluster> Cluster for Recorded<C> {
    type Error = RecordError<C::Error>;

    fn now(&self) -> Time {
        self.cluster.now()
    }

    fn next_event(&self) -> Option<Time> {
        self.cluster.next_event()
    }

    fn run_until(&mut self, until: Time) -> Result<(), Self::Error> {
        self.note_checkpoints();
        if !self.entries.is_empty() && !self.journal.put(std::mem::take(&mut self.entries)) {
            return Err(RecordError::Journal);
        }
        self.cluster.run_until(until).map_err(RecordError::Cluster)
    }

    fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        let conn = self.cluster.connect(to)?;
        let broker = self.brokers.iter().position(|broker| broker.host == to.host);
        let broker = broker.and_then(|index| u32::try_from(index).ok());
        let broker = broker.expect("outside clients connect to brokers");
        self.entries.push(Entry::Connect { at: self.now(), conn, broker, port: to.port });
        Some(conn)
    }

    fn request(&mut self, conn: ConnId, request: Request, frame: Bytes) -> Result<(), MessageError> {
        self.cluster.request(conn, request, frame.clone())?;
        self.entries.push(Entry::Request { at: self.now(), conn, frame });
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.cluster.close(conn);
        self.entries.push(Entry::Close { at: self.now(), conn });
    }

    fn unread(&self, conn: ConnId) -> u64 {
        self.cluster.unread(conn)
    }

    fn arrivals(&mut self) -> Vec<Input> {
        self.cluster.arrivals()
    }

    fn order(&mut self, order: &Order) -> Result<String, String> {
        let done = self.cluster.order(order)?;
        self.entries.push(Entry::Order { at: self.now(), order: order.clone() });
        Ok(done)
    }

    fn state(&self) -> String {
        self.cluster.state()
    }

    fn checkpoint(&self, index: usize) -> Option<Checkpoint> {
        self.cluster.checkpoint(index)
    }
}
