//! Messages under way, each in its place until it is delivered.

use trial_node::{ConnId, Effect, Input, Message};

/// A vector of messages whose free places are used again, the last freed first. A message is kept as the input of its
/// receiver, but the connection's name in it is still the sender's. Messages are large: they are moved once on the way in
/// and once on the way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    /// A free place holds a time-out.
    places: Vec<Input>,
    free: Vec<u32>,
}

impl Messages {
    /// Takes the message out of a [`Effect::Send`], which is left as something else.
    #[inline]
    pub(crate) fn insert(&mut self, send: &mut Effect) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Input::Timeout);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = match std::mem::replace(send, Effect::Close { conn: ConnId(0) }) {
            Effect::Send { conn, message: Message::Request(request) } => Input::Request { conn, request },
            Effect::Send { conn, message: Message::Response(response) } => Input::Response { conn, response },
            other => unreachable!("{other:?} sends nothing"),
        };
        place
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> &mut Input {
        &mut self.places[place as usize]
    }

    /// Takes a message out.
    #[inline]
    pub(crate) fn remove(&mut self, place: u32) -> Input {
        debug_assert_ne!(self.places[place as usize], Input::Timeout, "a place is freed once");
        self.free.push(place);
        std::mem::replace(&mut self.places[place as usize], Input::Timeout)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
