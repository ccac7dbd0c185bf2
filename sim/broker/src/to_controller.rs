//! Requests to the active controller, whoever that is: kept until one is known, and sent again to the next one when it
//! turns out not to be the controller any more (`NodeToControllerChannelManager`).

use std::collections::VecDeque;

use trial_node::{Endpoint, Io, NodeId, Now, Span, Time};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

use crate::apis::says_not_controller;
use crate::channel::{ChannelId, Channels, Completion, Outgoing, Purpose, SendError, backoff};

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
    /// Under which name it is sent; `None` for the node's own.
    client_id: Option<StrBytes>,
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
        self.enqueue_as(now, tag, version, body, None);
    }

    /// As [`ToController::enqueue`], under another name than the node's own.
    pub fn enqueue_as(
        &mut self,
        now: Now,
        tag: T,
        version: i16,
        body: RequestKind,
        client_id: Option<StrBytes>,
    ) {
        let expires = now.mono + self.retry_timeout;
        self.queue.push_back(Item { tag, version, body, client_id, expires });
    }

    /// Whether [`ToController::drive`] may have something to send.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.in_flight.is_none() && !self.queue.is_empty()
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
        let client_id = item.client_id.clone();
        let request = Outgoing {
            tag: self.attempts,
            version: item.version,
            body: Box::new(item.body.clone()),
            client_id,
        };
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
                Some(Answer { tag: item.tag, response: Some(*body) })
            }
            Err(SendError::Disconnected | SendError::TimedOut) => {
                self.retry_at = now.mono + backoff(RETRY_BACKOFF, RETRY_BACKOFF, 0, io);
                None
            }
        }
    }

    /// The next request that has waited for too long, given up.
    #[inline]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Surroundings, at};
    use trial_node::{ConnId, Effect, Response};
    use trial_wire::ErrorCode;
    use trial_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

    struct Test {
        requests: ToController<char>,
        channels: Channels,
        around: Surroundings,
    }

    fn test(retry_timeout: Span) -> Test {
        Test {
            requests: ToController::new(Purpose::Forwarding, retry_timeout),
            channels: Channels::new(StrBytes::from_static_str("0")),
            around: Surroundings::new(),
        }
    }

    fn endpoint(node: i32) -> Endpoint {
        Endpoint::new(format!("broker-{node}"), 9093)
    }

    impl Test {
        fn enqueue(&mut self, now: Now, tag: char) {
            self.requests.enqueue(now, tag, 0, UnregisterBrokerRequest::default().into());
        }

        fn drive(&mut self, now: Now, controller: i32) -> Vec<Effect> {
            let endpoint = endpoint(controller);
            let controller = Some((NodeId(controller), &endpoint));
            self.around.call(|io| self.requests.drive(now, io, &mut self.channels, controller)).1
        }

        fn answer(&mut self, now: Now, conn: u64, correlation_id: i32, error: i16) -> Option<Answer<char>> {
            let body = UnregisterBrokerResponse::default().with_error_code(error).into();
            let response = Response { correlation_id, api_version: 0, body: Box::new(body) };
            let Test { requests, channels, around } = self;
            let (answer, _) = around.call(|io| {
                channels.response(now, io, ConnId(conn), response);
                let completion = channels.take_completion().expect("a response completes a request");
                requests.complete(now, io, channels, completion)
            });
            answer
        }

        fn connected(&mut self, conn: u64) -> Vec<Effect> {
            self.around.call(|io| self.channels.connected(io, ConnId(conn))).1
        }
    }

    #[test]
    fn one_request_is_in_flight_at_a_time() {
        let mut test = test(Span::from_secs(60));
        test.enqueue(at(0), 'a');
        test.enqueue(at(0), 'b');
        assert_eq!(test.drive(at(0), 1), [Effect::Connect { conn: ConnId(1), to: endpoint(1) }]);
        assert_eq!(test.connected(1).len(), 1);
        assert_eq!(test.drive(at(1), 1), []);
        let answer = test.answer(at(2), 1, 1, 0).expect("it is an answer");
        assert_eq!((answer.tag, answer.response.is_some()), ('a', true));
        assert_eq!(test.drive(at(2), 1).len(), 1);
        assert_eq!(test.answer(at(3), 1, 2, 0).map(|answer| answer.tag), Some('b'));
    }

    #[test]
    fn a_request_goes_to_the_next_controller_when_the_last_one_is_none_any_more() {
        let mut test = test(Span::from_secs(60));
        test.enqueue(at(0), 'a');
        test.drive(at(0), 1);
        test.connected(1);
        assert_eq!(test.answer(at(1), 1, 1, ErrorCode::NotController.code()), None);
        assert_eq!(test.drive(at(2), 2), [], "it waits before it asks again");
        let retry_at = test.requests.deadline(true);
        assert!((at(41).mono..=at(61).mono).contains(&retry_at));
        let retry = Now { mono: retry_at, wall_ms: 0 };
        assert_eq!(test.drive(retry, 2), [Effect::Connect { conn: ConnId(2), to: endpoint(2) }]);
        test.connected(2);
        assert_eq!(test.answer(at(100), 2, 2, 0).map(|answer| answer.tag), Some('a'));
    }

    #[test]
    fn a_request_that_no_controller_takes_is_given_up() {
        let mut test = test(Span::from_secs(60));
        test.enqueue(at(5), 'a');
        assert_eq!(test.requests.deadline(false), at(60_005).mono);
        assert_eq!(test.requests.take_expired(at(60_004)), None);
        assert_eq!(test.requests.take_expired(at(60_005)), Some(Answer { tag: 'a', response: None }));
        assert_eq!(test.requests.deadline(false), Time::MAX);
    }

    #[test]
    fn a_disconnected_request_is_sent_again() {
        let mut test = test(Span::from_secs(60));
        test.enqueue(at(0), 'a');
        test.drive(at(0), 1);
        let Test { requests, channels, around } = &mut test;
        let (answer, _) = around.call(|io| {
            channels.closed(at(1), io, ConnId(1));
            let completion = channels.take_completion().expect("the request failed");
            requests.complete(at(1), io, channels, completion)
        });
        assert_eq!(answer, None);
        assert_eq!(test.drive(at(200), 1), [Effect::Connect { conn: ConnId(2), to: endpoint(1) }]);
    }
}
