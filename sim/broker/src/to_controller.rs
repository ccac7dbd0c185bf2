//! Requests to the active controller, whoever that is: kept until one is known, and sent again to the next one when it
//! turns out not to be the controller any more (`NodeToControllerChannelManager`).

use std::collections::VecDeque;

use trial_node::{Endpoint, Io, NodeId, Now, Span, Time};
use trial_wire::{RequestKind, ResponseKind};

use crate::apis::says_not_controller;
use crate::channel::{ChannelId, Channels, Completion, Purpose, SendError, backoff};

/// How long to wait before a request is sent again.
const RETRY_BACKOFF: Span = Span::from_millis(50);
/// `controller.socket.timeout.ms`: how long one attempt may take.
const SOCKET_TIMEOUT: Span = Span::from_secs(30);

/// What became of a request to the active controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// The sender's own name for it.
    pub tag: T,
    /// The active controller's response; `None` if there was none in time.
    pub response: Option<ResponseKind>,
}

#[derive(Clone, Debug)]
struct Item<T> {
    tag: T,
    version: i16,
    body: RequestKind,
    expires: Time,
}

/// One queue of requests to the active controller, one at a time in flight.
#[derive(Clone, Debug)]
pub struct ToController<T> {
    purpose: Purpose,
    retry_timeout: Span,
    queue: VecDeque<Item<T>>,
    /// The node that the queue's first request was sent to, with the name of that attempt.
    in_flight: Option<(NodeId, u64)>,
    attempts: u64,
    /// No attempt before this instant.
    retry_at: Time,
}

impl<T: Clone> ToController<T> {
    /// An empty queue. A request that could not be sent, or has to be sent again, after `retry_timeout` is given up.
    pub fn new(purpose: Purpose, retry_timeout: Span) -> ToController<T> {
        ToController {
            purpose,
            retry_timeout,
            queue: VecDeque::new(),
            in_flight: None,
            attempts: 0,
            retry_at: Time::ZERO,
        }
    }

    /// Takes a request; [`ToController::drive`] sends it.
    pub fn enqueue(&mut self, now: Now, tag: T, version: i16, body: RequestKind) {
        let expires = now.mono + self.retry_timeout;
        self.queue.push_back(Item { tag, version, body, expires });
    }

    /// Sends the next request if none is in flight and a controller is known. To be called whenever something changed: a
    /// request came, one was completed, the controller is another, the deadline has come.
    pub fn drive(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        channels: &mut Channels,
        controller: Option<(NodeId, &Endpoint)>,
    ) {
        let (None, Some((node, endpoint))) = (self.in_flight, controller) else { return };
        let Some(item) = self.queue.front() else { return };
        if now.mono < self.retry_at || item.expires <= now.mono {
            return;
        }
        self.attempts += 1;
        self.in_flight = Some((node, self.attempts));
        let id = ChannelId { node, purpose: self.purpose };
        let request = (self.attempts, item.version, item.body.clone());
        let timeout = Span(SOCKET_TIMEOUT.0.min(self.retry_timeout.0));
        channels.send(now, io, id, endpoint, request, timeout);
    }

    /// Takes the fate of the request in flight. Gives the answer out unless the request has to be sent again.
    pub fn complete(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        channels: &mut Channels,
        completion: Completion,
    ) -> Option<Answer<T>> {
        if self.in_flight != Some((completion.channel.node, completion.tag)) {
            return None;
        }
        self.in_flight = None;
        match completion.result {
            Ok(body) if says_not_controller(&body) => {
                channels.disconnect(io, completion.channel);
                self.retry_at = now.mono + backoff(RETRY_BACKOFF, RETRY_BACKOFF, 0, io);
                None
            }
            Ok(body) => {
                let item = self.queue.pop_front().expect("the request in flight is the queue's first");
                Some(Answer { tag: item.tag, response: Some(body) })
            }
            Err(SendError::Disconnected | SendError::TimedOut) => {
                self.retry_at = now.mono + backoff(RETRY_BACKOFF, RETRY_BACKOFF, 0, io);
                None
            }
        }
    }

    /// The next request that has waited for too long, given up.
    pub fn take_expired(&mut self, now: Now) -> Option<Answer<T>> {
        let first = usize::from(self.in_flight.is_some());
        // All requests wait equally long, so they expire in order.
        if self.queue.get(first)?.expires > now.mono {
            return None;
        }
        let item = self.queue.remove(first).expect("it was there");
        Some(Answer { tag: item.tag, response: None })
    }

    /// When something is due, at the latest; [`Time::MAX`] for never.
    pub fn deadline(&self, controller_known: bool) -> Time {
        let first = usize::from(self.in_flight.is_some());
        let Some(item) = self.queue.get(first) else { return Time::MAX };
        let retry_at = if controller_known && first == 0 { self.retry_at } else { Time::MAX };
        item.expires.min(retry_at)
    }
}
