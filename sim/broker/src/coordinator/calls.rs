//! Whose request each answer of a coordinator is for, and the answers that are put together from several.

use std::collections::BTreeMap;

use trial_coordinator::CallId;
use trial_wire::ResponseKind;

use crate::Token;

/// Makes one response of those to the parts of a request, in the parts' order.
pub(crate) type Merge = fn(Vec<ResponseKind>) -> ResponseKind;

/// A response that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Gathering {
    token: Token,
    merge: Merge,
    parts: Vec<Option<ResponseKind>>,
}

impl Gathering {
    /// The response to the request that `token` names, of which nothing is there yet.
    pub fn new(token: Token, merge: Merge) -> Gathering {
        Gathering { token, merge, parts: Vec::new() }
    }

    /// Adds a part that is there already.
    pub fn done(&mut self, part: impl Into<ResponseKind>) {
        self.parts.push(Some(part.into()));
    }

    /// Adds a part that is yet to come; gives its place.
    pub fn pending(&mut self) -> usize {
        self.parts.push(None);
        self.parts.len() - 1
    }

    fn is_complete(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    fn finish(self) -> (Token, ResponseKind) {
        (self.token, (self.merge)(self.parts.into_iter().flatten().collect()))
    }
}

#[derive(Clone, Copy, Debug)]
enum Destination {
    Client(Token),
    Part { gathering: u64, at: usize },
}

/// Calls of coordinators that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    waiting: BTreeMap<CallId, Destination>,
    gatherings: BTreeMap<u64, Gathering>,
}

impl Calls {
    /// `call` answers a whole request.
    pub fn whole(&mut self, call: CallId, token: Token) {
        self.waiting.insert(call, Destination::Client(token));
    }

    /// `call` answers the part of a gathering that is at place `at`.
    pub fn part(&mut self, call: CallId, gathering: u64, at: usize) {
        self.waiting.insert(call, Destination::Part { gathering, at });
    }

    /// Keeps a gathering until it is complete. Gives the response out if it is so already.
    pub fn gather(&mut self, id: u64, gathering: Gathering) -> Option<(Token, ResponseKind)> {
        if gathering.is_complete() {
            return Some(gathering.finish());
        }
        self.gatherings.insert(id, gathering);
        None
    }

    /// The answer to a call. Gives the response out that is complete with it.
    pub fn answered(&mut self, call: CallId, body: ResponseKind) -> Option<(Token, ResponseKind)> {
        match self.waiting.remove(&call).expect("a call is answered once") {
            Destination::Client(token) => Some((token, body)),
            Destination::Part { gathering: id, at } => {
                let gathering = self.gatherings.get_mut(&id).expect("it waits for its parts");
                gathering.parts[at] = Some(body);
                if !gathering.is_complete() {
                    return None;
                }
                self.gatherings.remove(&id).map(Gathering::finish)
            }
        }
    }
}
