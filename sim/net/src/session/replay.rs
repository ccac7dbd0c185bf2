//! Doing to a cluster what a session says.

use std::io::Read;

use trial_node::{ConnId, Endpoint, Time};

use super::entry::{Checkpoint, Entry, Outcome};
use super::reader::{Session, SessionError};
use crate::cluster::Cluster;
use crate::edge;

/// A session that was done to a cluster.
#[derive(Debug)]
pub struct Replayed {
    /// How many inputs there were.
    pub inputs: u64,
    /// How the file ends.
    pub ending: Ending,
    /// The checkpoints of the recorded run, as far as the file has them.
    pub checkpoints: Vec<Checkpoint>,
}

/// How a session's file ends.
#[derive(Debug)]
pub enum Ending {
    /// With what came of the run.
    Whole(Outcome),
    /// Before that: the process died, or the run could not be carried to its end.
    Early,
    /// With something that cannot be read.
    Damaged(SessionError),
}

/// A session that could not be done to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The cluster cannot go on.
    #[error(transparent)]
    Cluster(E),
    /// The cluster is not at all as it was when the session was recorded.
    #[error(
        "the runs part at {at} at the latest, with input {input}: {what}; {}",
        match checkpoint {
            Some(Checkpoint { event, at, .. }) => {
                format!("the first checkpoint that differs is after event {event} at {at}")
            }
            None => "all checkpoints up to there are equal".to_owned(),
        }
    )]
    Parted {
        /// When.
        at: Time,
        /// The number of the input, from 1.
        input: u64,
        /// What is different.
        what: String,
        /// The first checkpoint of the record that is another in this run.
        checkpoint: Option<Checkpoint>,
    },
}

/// The first checkpoint of the record that is another in this run, as far as this run has come.
fn first_difference(recorded: &[Checkpoint], cluster: &impl Cluster) -> Option<Checkpoint> {
    let differs = |(index, recorded): &(usize, &Checkpoint)| {
        cluster.checkpoint(*index).is_some_and(|found| found != **recorded)
    };
    recorded.iter().enumerate().find(differs).map(|(_, recorded)| *recorded)
}

/// Does to a cluster what was done to it in a session, up to the end of the session or of what can be read of it. `brokers`
/// are their names, in their order.
///
/// # Errors
/// [`ReplayError`].
pub fn replay<R: Read, C: Cluster>(
    session: &mut Session<R>,
    cluster: &mut C,
    brokers: &[Endpoint],
) -> Result<Replayed, ReplayError<C::Error>> {
    let (mut inputs, mut checkpoints) = (0, Vec::new());
    let mut ending = Ending::Early;
    loop {
        let offset = session.offset();
        let entry = match session.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => {
                ending = Ending::Damaged(error);
                break;
            }
        };
        let wrong = match (&ending, entry.at()) {
            (Ending::Whole(_), _) => Some("an entry after the outcome"),
            (_, Some(at)) if at < cluster.now() => Some("an instant before that of the last entry"),
            _ => None,
        };
        if let Some(what) = wrong {
            ending = Ending::Damaged(SessionError::Damaged { offset, what });
            break;
        }
        if let Some(at) = entry.at() {
            cluster.run_until(at).map_err(ReplayError::Cluster)?;
        }
        // Nobody is there to take it.
        cluster.arrivals();
        match entry {
            Entry::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
            Entry::End { .. } => {}
            Entry::Outcome(outcome) => ending = Ending::Whole(outcome),
            input => {
                inputs += 1;
                if let Err(what) = put_in(input, cluster, brokers) {
                    let checkpoint = first_difference(&checkpoints, cluster);
                    return Err(ReplayError::Parted { at: cluster.now(), input: inputs, what, checkpoint });
                }
            }
        }
    }
    Ok(Replayed { inputs, ending, checkpoints })
}

/// Does to a cluster what one input does; says what is different if it cannot be done as it was.
fn put_in(input: Entry, cluster: &mut impl Cluster, brokers: &[Endpoint]) -> Result<(), String> {
    match input {
        Entry::Connect { conn, broker, port, .. } => {
            let Some(to) = brokers.get(broker as usize) else {
                return Err(format!("there is no broker {broker}"));
            };
            match cluster.connect(&Endpoint { port, ..to.clone() }) {
                Some(made) if made == conn => Ok(()),
                Some(ConnId(made)) => {
                    Err(format!("the connection was number {}, and now it is {made}", conn.0))
                }
                None => Err("a connection that was made cannot be".to_owned()),
            }
        }
        Entry::Request { conn, frame, .. } => {
            let refused =
                |error: &dyn std::fmt::Display| format!("a request that was taken is refused: {error}");
            let request = edge::request(frame.clone()).map_err(|error| refused(&error))?;
            cluster.request(conn, request, frame).map_err(|error| refused(&error))
        }
        Entry::Close { conn, .. } => {
            cluster.close(conn);
            Ok(())
        }
        Entry::Order { order, .. } => match cluster.order(&order) {
            Ok(_) => Ok(()),
            Err(refused) => Err(format!("an order that was carried out is refused: {refused}")),
        },
        Entry::Header(_) => Err("a second header".to_owned()),
        Entry::Checkpoint(_) | Entry::End { .. } | Entry::Outcome(_) => unreachable!("it is no input"),
    }
}
