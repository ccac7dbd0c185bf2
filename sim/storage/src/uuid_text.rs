//! Kafka's text form of an id: URL-safe base64 without padding, 22 characters.

use trial_wire::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LEN: usize = 22;

pub(crate) fn encode(id: Uuid) -> String {
    // 128 bits and 4 bits of padding are 22 digits of 6 bits.
    let value = id.as_u128();
    (0..LEN)
        .map(|i| {
            let digit = match i {
                21 => (value << 4) as usize & 63,
                i => (value >> (122 - 6 * i)) as usize & 63,
            };
            char::from(ALPHABET[digit])
        })
        .collect()
}

pub(crate) fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LEN {
        return None;
    }
    let mut value = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|known| *known == byte)? as u128;
        value = if i == 21 { value << 2 | digit >> 4 } else { value << 6 | digit };
    }
    Some(Uuid::from_u128(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids are Kafka's own: `Uuid.METADATA_TOPIC_ID` is `AAAAAAAAAAAAAAAAAAAAAQ`.
    #[test]
    fn text_is_kafkas() {
        for (id, text) in [
            (0, "AAAAAAAAAAAAAAAAAAAAAA"),
            (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (u128::MAX, "_____________________w"),
            (0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "ASNFZ4mrze8BI0VniavN7w"),
        ] {
            assert_eq!(encode(Uuid::from_u128(id)), text);
            assert_eq!(decode(text), Some(Uuid::from_u128(id)));
        }
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAA"), None);
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAA=="), None);
    }
}
