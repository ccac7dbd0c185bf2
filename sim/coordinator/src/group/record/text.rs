//! The strings, bytes and arrays of messages that are not flexible (before KIP-482): lengths of a fixed size.

use trial_wire::primitive::{ReadError, Reader};

/// The longest STRING, in bytes. Nothing longer may get as far as a record: the flexible versions of requests set no bound.
pub(in crate::group) const STRING_LENGTH_MAX: usize = i16::MAX as usize;

/// A STRING.
pub(in crate::group) fn string<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    let position = reader.position();
    reader.nullable_string()?.ok_or(ReadError::Length { position, length: -1 })
}

/// BYTES.
pub(in crate::group) fn bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
    let length = array_len(reader)?;
    reader.bytes(length)
}

/// The count before the elements of an ARRAY, each of which takes a byte or more.
pub(in crate::group) fn array_len(reader: &mut Reader<'_>) -> Result<usize, ReadError> {
    let position = reader.position();
    let length = reader.i32()?;
    match usize::try_from(length) {
        Ok(length) if length <= reader.remaining() => Ok(length),
        _ => Err(ReadError::Length { position, length: length.into() }),
    }
}

/// Appends a STRING.
pub(in crate::group) fn put_string(out: &mut Vec<u8>, value: &str) {
    put_nullable_string(out, Some(value));
}

/// Appends a NULLABLE_STRING.
pub(in crate::group) fn put_nullable_string(out: &mut Vec<u8>, value: Option<&str>) {
    let length =
        value.map_or(-1, |value| i16::try_from(value.len()).expect("requests with longer ones are refused"));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default().as_bytes());
}

/// Appends BYTES.
pub(in crate::group) fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_array_len(out, value.len());
    out.extend_from_slice(value);
}

/// Appends the count before an ARRAY's elements.
pub(in crate::group) fn put_array_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&i32::try_from(len).expect("what we write is below 2 GiB").to_be_bytes());
}
