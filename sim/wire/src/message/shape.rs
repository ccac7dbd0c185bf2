//! The shapes of bodies: what stands where, without what it means.
//!
//! kafka-protocol takes memory for an array on the word of its count, and a few bytes can claim four billion elements. So a
//! body is first walked along its shape; only when everything that its counts and lengths claim is really there is it decoded.
//! The walk itself takes no memory, and no more steps than there are bytes.

mod records;
mod requests;
mod responses;
#[cfg(test)]
mod tests;

use kafka_protocol::messages::ApiKey;

use crate::control::ControlType;
use crate::primitive::{ReadError, Reader};

/// What stands at one place.
enum Shape {
    /// So many bytes: integers, booleans, UUIDs.
    Fixed(usize),
    /// A string, nullable or not.
    Str,
    /// Bytes or records, nullable or not.
    Bytes,
    /// An array of structures, nullable or not.
    Array(&'static Body),
    /// An array of simple values, nullable or not.
    ArrayOf(&'static Shape),
    /// A structure.
    Struct(&'static Body),
    /// A structure that may be missing; a byte before it tells.
    Nullable(&'static Body),
}

/// How many structures, strings and tagged fields one body may hold. Each takes as little as a byte on the wire but up to some
/// hundred in memory, so that a frame of the largest size allowed could otherwise claim gigabytes. Arrays of numbers do not
/// count.
pub(super) const ELEMENTS_MAX: usize = 1 << 20;

/// A structure: its fields in order, each with the first and the last version that has it, and its tagged fields, each with
/// its tag before that.
pub(crate) struct Body {
    fields: &'static [(i16, i16, Shape)],
    tags: &'static [(u32, i16, i16, Shape)],
}

const fn fields(fields: &'static [(i16, i16, Shape)]) -> Body {
    Body { fields, tags: &[] }
}

impl Body {
    const fn tagged(self, tags: &'static [(u32, i16, i16, Shape)]) -> Body {
        Body { tags, ..self }
    }
}

/// Checks that `bytes` begin with the body of a request and hold all that it claims. The API must be one of the table.
pub(super) fn check_request(api: ApiKey, version: i16, bytes: &[u8]) -> Result<(), ReadError> {
    walked(requests::shape(api), api, version, bytes).map(|_| ())
}

/// As [`check_request`], for a response; it must be all that there is.
pub(super) fn check_response(api: ApiKey, version: i16, bytes: &[u8]) -> Result<(), ReadError> {
    walked(responses::shape(api), api, version, bytes)?.finish()
}

/// Checks that `bytes` begin with the value of a control record and hold all that it claims. `version` must be one that we
/// know.
pub(crate) fn check_control(kind: ControlType, version: i16, bytes: &[u8]) -> Result<(), ReadError> {
    match records::shape(kind) {
        Some(body) => Walk::new(bytes, version, true).body(body),
        None => Ok(()),
    }
}

/// Walks along a shape; gives what follows.
fn walked<'a>(
    body: Option<&'static Body>,
    api: ApiKey,
    version: i16,
    bytes: &'a [u8],
) -> Result<Reader<'a>, ReadError> {
    let body = body.expect("every API of the table has its shapes");
    // An API's requests and responses become flexible in the same version. (ApiVersions' response header does not tell.)
    let mut walk = Walk::new(bytes, version, api.request_header_version(version) >= 2);
    walk.body(body)?;
    Ok(walk.reader)
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    /// Whether the version has compact lengths and tagged fields (KIP-482).
    flexible: bool,
    /// How many elements there may still be.
    elements: usize,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Walk<'a> {
        Walk { reader: Reader::new(bytes), version, flexible, elements: ELEMENTS_MAX }
    }

    fn body(&mut self, body: &'static Body) -> Result<(), ReadError> {
        for (min, max, shape) in body.fields {
            if (*min..=*max).contains(&self.version) {
                self.shape(shape)?;
            }
        }
        if self.flexible { self.tagged_fields(body) } else { Ok(()) }
    }

    fn tagged_fields(&mut self, body: &'static Body) -> Result<(), ReadError> {
        let position = self.reader.position();
        let count = length(position, self.reader.uvarint()?.into())?;
        for _ in 0..self.claimed(position, count)? {
            let position = self.reader.position();
            let tag = self.reader.uvarint()?;
            // The decoder takes it for negative and the encoder then forgets it, though it counts it.
            if i32::try_from(tag).is_err() {
                return Err(ReadError::Varint { position });
            }
            let position = self.reader.position();
            let size = length(position, self.reader.uvarint()?.into())?;
            let start = self.reader.position();
            let known = |(known, min, max, _): &&(u32, i16, i16, Shape)| {
                *known == tag && (*min..=*max).contains(&self.version)
            };
            match body.tags.iter().find(known) {
                Some((.., shape)) => self.shape(shape)?,
                None => {
                    self.reader.bytes(size)?;
                }
            }
            // The decoder does not look at the size of a tag that it knows.
            if self.reader.position() - start != size {
                return Err(ReadError::Length { position, length: i64::try_from(size).unwrap_or(i64::MAX) });
            }
        }
        Ok(())
    }

    fn shape(&mut self, shape: &'static Shape) -> Result<(), ReadError> {
        match shape {
            Shape::Fixed(size) => self.skip(*size),
            Shape::Str => {
                let size = self.string()?;
                self.skip(size)
            }
            Shape::Bytes => {
                let size = self.count()?;
                self.skip(size)
            }
            Shape::Array(body) => (0..self.elements()?).try_for_each(|_| self.body(body)),
            Shape::ArrayOf(Shape::Fixed(size)) => {
                let count = self.count()?;
                self.skip(size.saturating_mul(count))
            }
            Shape::ArrayOf(element) => (0..self.elements()?).try_for_each(|_| self.shape(element)),
            Shape::Struct(body) => self.body(body),
            Shape::Nullable(body) => match self.reader.i8()? {
                1 => self.body(body),
                _ => Ok(()),
            },
        }
    }

    fn skip(&mut self, size: usize) -> Result<(), ReadError> {
        self.reader.bytes(size).map(|_| ())
    }

    /// The count of an array whose elements count.
    fn elements(&mut self) -> Result<usize, ReadError> {
        let position = self.reader.position();
        let count = self.count()?;
        self.claimed(position, count)
    }

    /// Takes the `count` at `position` from what is still allowed.
    fn claimed(&mut self, position: usize, count: usize) -> Result<usize, ReadError> {
        match self.elements.checked_sub(count) {
            // Each takes a byte or more.
            Some(left) if count <= self.reader.remaining() => {
                self.elements = left;
                Ok(count)
            }
            _ => Err(ReadError::Length { position, length: i64::try_from(count).unwrap_or(i64::MAX) }),
        }
    }

    /// The length of bytes or the count of an array; nothing if it is null.
    fn count(&mut self) -> Result<usize, ReadError> {
        if self.flexible {
            return self.compact();
        }
        let position = self.reader.position();
        length(position, self.reader.i32()?.into())
    }

    /// The length of a string; nothing if it is null.
    fn string(&mut self) -> Result<usize, ReadError> {
        if self.flexible {
            return self.compact();
        }
        let position = self.reader.position();
        length(position, self.reader.i16()?.into())
    }

    fn compact(&mut self) -> Result<usize, ReadError> {
        let position = self.reader.position();
        length(position, i64::from(self.reader.uvarint()?) - 1)
    }
}

/// A length of −1 is null, which takes nothing.
fn length(position: usize, length: i64) -> Result<usize, ReadError> {
    let length = if length == -1 { 0 } else { length };
    usize::try_from(length).map_err(|_| ReadError::Length { position, length })
}
