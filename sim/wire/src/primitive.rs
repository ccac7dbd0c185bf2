//! The primitive types of Kafka's protocol, for what is not a request or a response: records, metadata records, headers of
//! frames. Reading never panics and never allocates on the word of a length field.

use uuid::Uuid;

/// Bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// They end before the value does.
    #[error("{needed} bytes are needed at byte {position}, {available} are there")]
    Truncated {
        /// Where the value begins.
        position: usize,
        /// How many bytes it needs.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// A variable-length integer goes on for too long.
    #[error("the variable-length integer at byte {position} is too long")]
    Varint {
        /// Where it begins.
        position: usize,
    },
    /// A length or a count is negative where it must not be, or larger than what follows can hold.
    #[error("the length {length} at byte {position} is impossible")]
    Length {
        /// Where it begins.
        position: usize,
        /// What it says; −1 is null.
        length: i64,
    },
    /// A string is not UTF-8.
    #[error("the string at byte {position} is not UTF-8")]
    Utf8 {
        /// Where its characters begin.
        position: usize,
    },
    /// There is more than the value.
    #[error("{count} bytes too many at byte {position}")]
    Trailing {
        /// Where they begin.
        position: usize,
        /// How many.
        count: usize,
    },
}

/// Reads primitive values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// Checks that everything has been read.
    ///
    /// # Errors
    /// [`ReadError::Trailing`].
    pub fn finish(&self) -> Result<(), ReadError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(ReadError::Trailing { position: self.position, count }),
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let rest = &self.bytes[self.position..];
        let Some(value) = rest.get(..len) else {
            return Err(ReadError::Truncated { position: self.position, needed: len, available: rest.len() });
        };
        self.position += len;
        Ok(value)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        Ok(*self.bytes(N)?.first_chunk().expect("so many were read"))
    }

    /// A BOOLEAN: any byte but 0 is true.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn bool(&mut self) -> Result<bool, ReadError> {
        Ok(self.i8()? != 0)
    }

    /// An INT8.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    #[inline]
    pub fn i8(&mut self) -> Result<i8, ReadError> {
        self.array().map(i8::from_be_bytes)
    }

    /// An INT16.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn i16(&mut self) -> Result<i16, ReadError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A UINT16.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    /// An INT32.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, ReadError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A UINT32.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    /// An INT64.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, ReadError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A UUID.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn uuid(&mut self) -> Result<Uuid, ReadError> {
        self.array().map(Uuid::from_bytes)
    }

    #[inline]
    fn variable(&mut self, bits: u32) -> Result<u64, ReadError> {
        // Nearly all are short: lengths and deltas.
        if let Some(&byte @ ..0x80) = self.bytes.get(self.position) {
            self.position += 1;
            return Ok(byte.into());
        }
        let start = self.position;
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.array::<1>()?[0];
            let part = u64::from(byte & 0x7f);
            // The last byte may only bring the bits that are still missing.
            if shift + 7 > bits && part >> (bits - shift) != 0 {
                return Err(ReadError::Varint { position: start });
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift >= bits {
                return Err(ReadError::Varint { position: start });
            }
        }
    }

    /// An UNSIGNED_VARINT.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::Varint`].
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, ReadError> {
        Ok(u32::try_from(self.variable(32)?).expect("it has 32 bits"))
    }

    /// A VARINT: zigzag.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::Varint`].
    #[inline]
    pub fn varint(&mut self) -> Result<i32, ReadError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A VARLONG: zigzag.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::Varint`].
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, ReadError> {
        let raw = self.variable(64)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// Bytes with their length as a VARINT before them, as a record has its key and value; null is −1.
    ///
    /// # Errors
    /// [`ReadError`].
    #[inline]
    pub fn varint_bytes(&mut self) -> Result<Option<&'a [u8]>, ReadError> {
        let position = self.position;
        let length = self.varint()?;
        if length == -1 {
            return Ok(None);
        }
        let Ok(length) = usize::try_from(length) else {
            return Err(ReadError::Length { position, length: length.into() });
        };
        self.bytes(length).map(Some)
    }

    /// COMPACT_NULLABLE_BYTES.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, ReadError> {
        match self.uvarint()? {
            0 => Ok(None),
            n => self.bytes(as_len(n - 1)).map(Some),
        }
    }

    /// COMPACT_BYTES.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let position = self.position;
        self.compact_nullable_bytes()?.ok_or(ReadError::Length { position, length: -1 })
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, ReadError> {
        std::str::from_utf8(bytes).map_err(|_| ReadError::Utf8 { position: self.position - bytes.len() })
    }

    /// A COMPACT_NULLABLE_STRING.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_nullable_string(&mut self) -> Result<Option<&'a str>, ReadError> {
        match self.compact_nullable_bytes()? {
            None => Ok(None),
            Some(bytes) => self.utf8(bytes).map(Some),
        }
    }

    /// A COMPACT_STRING.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_string(&mut self) -> Result<&'a str, ReadError> {
        let bytes = self.compact_bytes()?;
        self.utf8(bytes)
    }

    /// A NULLABLE_STRING: its length is an INT16, null is −1.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, ReadError> {
        let position = self.position;
        let length = self.i16()?;
        if length == -1 {
            return Ok(None);
        }
        let Ok(length) = usize::try_from(length) else {
            return Err(ReadError::Length { position, length: length.into() });
        };
        let bytes = self.bytes(length)?;
        self.utf8(bytes).map(Some)
    }

    /// The count before the elements of a nullable COMPACT_ARRAY. Each element takes a byte or more, so that a count larger
    /// than what is left is refused: capacity may be taken on its word.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_nullable_array_len(&mut self) -> Result<Option<usize>, ReadError> {
        let position = self.position;
        match self.uvarint()? {
            0 => Ok(None),
            n if as_len(n - 1) > self.remaining() => {
                Err(ReadError::Length { position, length: i64::from(n - 1) })
            }
            n => Ok(Some(as_len(n - 1))),
        }
    }

    /// The count before the elements of a COMPACT_ARRAY, likewise.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compact_array_len(&mut self) -> Result<usize, ReadError> {
        let position = self.position;
        self.compact_nullable_array_len()?.ok_or(ReadError::Length { position, length: -1 })
    }

    /// A section of tagged fields (KIP-482): calls `each` with every tag and a reader of just its value.
    ///
    /// # Errors
    /// [`ReadError`], also `each`'s.
    pub fn tagged_fields(
        &mut self,
        mut each: impl FnMut(u32, Reader<'a>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = as_len(self.uvarint()?);
            let value = self.bytes(size)?;
            each(tag, Reader::new(value))?;
        }
        Ok(())
    }

    /// Skips a section of tagged fields.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn skip_tagged_fields(&mut self) -> Result<(), ReadError> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

fn as_len(n: u32) -> usize {
    usize::try_from(n).expect("a usize has at least 32 bits")
}

/// Appends an UNSIGNED_VARINT.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, value: u32) {
    put_variable(out, value.into());
}

/// Appends a VARINT: zigzag.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_variable(out, zigzag(value.into()));
}

/// Appends a VARLONG: zigzag.
#[inline]
pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_variable(out, zigzag(value));
}

#[inline]
fn put_variable(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// How many bytes a VARINT or VARLONG takes.
#[inline]
pub fn varint_len(value: i64) -> usize {
    match 64 - (zigzag(value) | 1).leading_zeros() {
        ..=7 => 1,
        bits => as_len(bits.div_ceil(7)),
    }
}

/// Appends a UUID.
pub fn put_uuid(out: &mut Vec<u8>, value: Uuid) {
    out.extend_from_slice(value.as_bytes());
}

/// Appends COMPACT_NULLABLE_BYTES, or COMPACT_BYTES if it is not null.
pub fn put_compact_bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.push(0),
        Some(bytes) => {
            put_compact_array_len(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends a COMPACT_NULLABLE_STRING, or a COMPACT_STRING if it is not null.
pub fn put_compact_string(out: &mut Vec<u8>, value: Option<&str>) {
    put_compact_bytes(out, value.map(str::as_bytes));
}

/// Appends the count before a COMPACT_ARRAY's elements. (Null is `put_uvarint(out, 0)`.)
pub fn put_compact_array_len(out: &mut Vec<u8>, len: usize) {
    put_uvarint(out, u32::try_from(len + 1).expect("what we write is far below 4 GiB"));
}

/// Appends bytes with their length as a VARINT before them, as a record has its key and value; null is −1.
#[inline]
pub fn put_varint_bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, i32::try_from(bytes.len()).expect("a record is below 2 GiB"));
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends a section of tagged fields; the tags must ascend.
pub fn put_tagged_fields(out: &mut Vec<u8>, fields: &[(u32, &[u8])]) {
    assert!(fields.is_sorted_by(|a, b| a.0 < b.0), "tags must ascend");
    put_uvarint(out, u32::try_from(fields.len()).expect("tags are few"));
    for (tag, value) in fields {
        put_uvarint(out, *tag);
        put_uvarint(out, u32::try_from(value.len()).expect("what we write is far below 4 GiB"));
        out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn varints_are_those_of_the_specification() {
        let encoded = |value| {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            out
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(-1), [1]);
        assert_eq!(encoded(1), [2]);
        assert_eq!(encoded(300), [0xd8, 0x04]);
        assert_eq!(encoded(i32::MAX), [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(encoded(i32::MIN), [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn a_varint_that_is_too_long_is_an_error() {
        let error = Err(ReadError::Varint { position: 0 });
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).uvarint(), error);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).uvarint(), error);
        assert_eq!(Reader::new(&[0xff; 11]).varlong(), Err(ReadError::Varint { position: 0 }));
    }

    #[test]
    fn a_count_beyond_what_is_there_is_an_error() {
        assert_eq!(Reader::new(&[4, 1, 2, 3]).compact_array_len(), Ok(3));
        assert_eq!(
            Reader::new(&[5, 1, 2, 3]).compact_array_len(),
            Err(ReadError::Length { position: 0, length: 4 })
        );
        assert_eq!(Reader::new(&[0]).compact_array_len(), Err(ReadError::Length { position: 0, length: -1 }));
        assert_eq!(Reader::new(&[0]).compact_nullable_array_len(), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            small in any::<i32>(),
            large in any::<i64>(),
            shift in 0u32..64,
            bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
            string in prop::option::of(".*"),
            id in any::<u128>(),
        ) {
            let large = large >> shift;
            let mut out = Vec::new();
            put_uvarint(&mut out, small.cast_unsigned());
            put_varint(&mut out, small);
            let before = out.len();
            put_varlong(&mut out, large);
            prop_assert_eq!(out.len() - before, varint_len(large));
            put_varint_bytes(&mut out, bytes.as_deref());
            put_compact_bytes(&mut out, bytes.as_deref());
            put_compact_string(&mut out, string.as_deref());
            put_uuid(&mut out, Uuid::from_u128(id));
            put_compact_array_len(&mut out, 2);
            put_tagged_fields(&mut out, &[(1, b"one"), (300, b"")]);

            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.uvarint(), Ok(small.cast_unsigned()));
            prop_assert_eq!(reader.varint(), Ok(small));
            prop_assert_eq!(reader.varlong(), Ok(large));
            prop_assert_eq!(reader.varint_bytes(), Ok(bytes.as_deref()));
            prop_assert_eq!(reader.compact_nullable_bytes(), Ok(bytes.as_deref()));
            prop_assert_eq!(reader.compact_nullable_string(), Ok(string.as_deref()));
            prop_assert_eq!(reader.uuid(), Ok(Uuid::from_u128(id)));
            prop_assert_eq!(reader.compact_array_len(), Ok(2));
            let mut fields = Vec::new();
            reader.tagged_fields(|tag, value| {
                fields.push((tag, value.remaining()));
                Ok(())
            }).unwrap();
            prop_assert_eq!(fields, [(1, 3), (300, 0)]);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn reading_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let reader = Reader::new(&bytes);
            let mut seen = 0;
            seen += usize::from(reader.clone().varlong().is_ok());
            seen += usize::from(reader.clone().varint_bytes().is_ok());
            seen += usize::from(reader.clone().compact_string().is_ok());
            seen += usize::from(reader.clone().nullable_string().is_ok());
            seen += usize::from(reader.clone().compact_array_len().is_ok());
            seen += usize::from(reader.clone().skip_tagged_fields().is_ok());
            prop_assert!(seen == 0 || !bytes.is_empty());
        }
    }
}
