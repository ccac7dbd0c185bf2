//! WriteTxnMarkers requests in progress: each is answered once all of its markers are committed, or have failed.

use std::collections::BTreeMap;

use trial_wire::messages::WriteTxnMarkersResponse;
use trial_wire::{ErrorCode, ResponseKind};

use crate::Token;
use crate::replica::Waiter;

/// Where in its response a marker's result belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which producer's markers.
    pub marker: usize,
    /// Which topic of those.
    pub topic: usize,
    /// Which partition of that.
    pub partition: usize,
}

#[derive(Clone, Debug)]
struct Delayed {
    token: Token,
    response: WriteTxnMarkersResponse,
    /// Markers that are not committed yet.
    left: usize,
}

/// All requests in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Markers {
    requests: BTreeMap<u64, Delayed>,
    waits: BTreeMap<Waiter, (u64, Place)>,
}

impl Markers {
    /// Keeps a request until those of its markers that are named have been committed. Gives the response out if there is
    /// nothing to wait for.
    pub fn delay(
        &mut self,
        id: u64,
        token: Token,
        response: WriteTxnMarkersResponse,
        waits: Vec<(Waiter, Place)>,
    ) -> Option<(Token, ResponseKind)> {
        if waits.is_empty() {
            return Some((token, response.into()));
        }
        self.requests.insert(id, Delayed { token, response, left: waits.len() });
        self.waits.extend(waits.into_iter().map(|(waiter, place)| (waiter, (id, place))));
        None
    }

    /// A wait is over. Gives the response out that is complete with it.
    pub fn committed(
        &mut self,
        waiter: Waiter,
        result: Result<(), ErrorCode>,
    ) -> Option<(Token, ResponseKind)> {
        let (id, place) = self.waits.remove(&waiter)?;
        let delayed = self.requests.get_mut(&id).expect("it waits for its markers");
        if let Err(error) = result {
            let marker = &mut delayed.response.markers[place.marker];
            marker.topics[place.topic].partitions[place.partition].error_code = error.code();
        }
        delayed.left -= 1;
        if delayed.left > 0 {
            return None;
        }
        self.requests.remove(&id).map(|delayed| (delayed.token, delayed.response.into()))
    }
}
