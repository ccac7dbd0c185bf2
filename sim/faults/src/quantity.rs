//! Lengths of time and bandwidths as people write them: `"250ms"`, `"1.5s"`, `"10MB/s"`, `"1Gbit/s"`. Integers inside.

use trial_node::Span;

/// Text that is not the quantity that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct QuantityError {
    /// The text.
    pub text: String,
    /// What was wanted, with examples.
    pub wanted: &'static str,
}

const SPAN: &str = "a length of time, such as \"250ms\", \"1.5s\" or \"2m\" (units: ns, us, ms, s, m, h)";
const SIGNED_SPAN: &str =
    "a length of time with a sign, such as \"-5s\" or \"250ms\" (units: ns, us, ms, s, m, h)";
const BANDWIDTH: &str =
    "a bandwidth, such as \"10MB/s\" or \"1Gbit/s\" (units: B/s, kB/s, MB/s, GB/s, kbit/s, Mbit/s, Gbit/s)";

const BYTES: &str = "a number of bytes, such as \"64MB\" or \"1.5GB\" (units: B, kB, MB, GB)";

const BYTE_UNITS: [(&str, u64); 4] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1)];

const SPAN_UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Bits per second, so that decimal bit units stay whole.
const BANDWIDTH_UNITS: [(&str, u64); 7] = [
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("kB/s", 8_000),
    ("B/s", 8),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
];

/// Reads a number with at most one decimal point and one of `units`; `None` if it is not one, does not fit, or is not a
/// whole number of the smallest unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 18 {
        return None;
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let digits = whole.parse::<u64>().ok()?;
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let value = (u128::from(digits) * scale + u128::from(fraction)) * u128::from(*factor);
    if !value.is_multiple_of(scale) {
        return None;
    }
    u64::try_from(value / scale).ok()
}

/// Reads a length of time.
///
/// # Errors
/// [`QuantityError`] when it is none, has no unit, or is no whole number of nanoseconds.
pub fn parse_span(text: &str) -> Result<Span, QuantityError> {
    parse(text, &SPAN_UNITS).map(Span).ok_or_else(|| QuantityError { text: text.to_owned(), wanted: SPAN })
}

/// Writes a length of time in the largest unit that it is a whole number of: what [`parse_span`] reads.
pub fn format_span(span: Span) -> String {
    if span.0 == 0 {
        return "0s".to_owned();
    }
    let (unit, factor) =
        SPAN_UNITS.iter().find(|(_, factor)| span.0.is_multiple_of(*factor)).expect("1 divides everything");
    format!("{}{unit}", span.0 / factor)
}

/// Reads a length of time with an optional sign, in nanoseconds.
///
/// # Errors
/// As [`parse_span`].
pub fn parse_signed_span(text: &str) -> Result<i64, QuantityError> {
    let error = || QuantityError { text: text.to_owned(), wanted: SIGNED_SPAN };
    let (negative, magnitude) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim().strip_prefix('+').unwrap_or(text)),
    };
    let nanos = parse(magnitude, &SPAN_UNITS).and_then(|n| i64::try_from(n).ok()).ok_or_else(error)?;
    Ok(if negative { -nanos } else { nanos })
}

/// Writes what [`parse_signed_span`] reads.
pub fn format_signed_span(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    format!("{sign}{}", format_span(Span(nanos.unsigned_abs())))
}

/// Reads a bandwidth, in bytes per second.
///
/// # Errors
/// [`QuantityError`] when it is none, has no unit, or is less than one byte per second.
pub fn parse_bandwidth(text: &str) -> Result<u64, QuantityError> {
    parse(text, &BANDWIDTH_UNITS)
        .map(|bits| bits / 8)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| QuantityError { text: text.to_owned(), wanted: BANDWIDTH })
}

/// Writes a bandwidth of so many bytes per second: what [`parse_bandwidth`] reads.
pub fn format_bandwidth(bytes_per_s: u64) -> String {
    let (unit, bits) = BANDWIDTH_UNITS[..4]
        .iter()
        .find(|(_, bits)| bytes_per_s.is_multiple_of(bits / 8))
        .expect("1 divides everything");
    format!("{}{unit}", bytes_per_s / (bits / 8))
}

/// Reads a number of bytes.
///
/// # Errors
/// [`QuantityError`] when it is none, or has no unit.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text, &BYTE_UNITS).ok_or_else(|| QuantityError { text: text.to_owned(), wanted: BYTES })
}

/// Writes what [`parse_bytes`] reads.
pub fn format_bytes(bytes: u64) -> String {
    let whole = BYTE_UNITS.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    let (unit, factor) = whole.unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

macro_rules! as_text {
    ($(#[$doc:meta])* $module:ident, $type:ty, $parse:ident, $format:ident, $wanted:ident) => {
        $(#[$doc])*
        pub mod $module {
            #[allow(unused_imports, reason = "one of the forms is of a foreign type")]
            use super::*;
            use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

            /// For `#[serde(with)]`.
            ///
            /// # Errors
            /// The serializer's.
            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                $format(*value).serialize(serializer)
            }

            /// For `#[serde(with)]`.
            ///
            /// # Errors
            /// The deserializer's, and text that is not such a quantity.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($wanted)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }

            /// The same for a value that may be absent; the field also needs `#[serde(default)]`.
            pub mod option {
                use super::*;

                #[derive(Deserialize)]
                struct Quantity(#[serde(deserialize_with = "super::deserialize")] $type);

                /// For `#[serde(with)]`.
                ///
                /// # Errors
                /// The serializer's.
                pub fn serialize<S: Serializer>(
                    value: &Option<$type>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    value.map($format).serialize(serializer)
                }

                /// For `#[serde(with)]`.
                ///
                /// # Errors
                /// The deserializer's, and text that is not such a quantity.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<$type>, D::Error> {
                    Ok(Option::<Quantity>::deserialize(deserializer)?.map(|quantity| quantity.0))
                }
            }
        }
    };
}

as_text! {
    /// `#[serde(with = "trial_faults::quantity::span")]` on a [`Span`].
    span, Span, parse_span, format_span, SPAN
}
as_text! {
    /// `#[serde(with = "trial_faults::quantity::signed_span")]` on an `i64` of nanoseconds.
    signed_span, i64, parse_signed_span, format_signed_span, SIGNED_SPAN
}
as_text! {
    /// `#[serde(with = "trial_faults::quantity::bandwidth")]` on a `u64` of bytes per second.
    bandwidth, u64, parse_bandwidth, format_bandwidth, BANDWIDTH
}

as_text! {
    /// `#[serde(with = "trial_faults::quantity::bytes")]` on a `u64` of bytes.
    bytes, u64, parse_bytes, format_bytes, BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_with_their_units() {
        let cases = [
            ("250ms", 250_000_000),
            ("20s", 20_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1us", 100),
            ("7 ns", 7),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_span(text), Ok(Span(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_says_what_would_be() {
        for text in ["", "20", "s", "1.s", ".5s", "1,5s", "20 sec", "-1s", "0.5ns", "1.2.3s", "999999999999h"]
        {
            let error = parse_span(text).unwrap_err();
            assert!(error.to_string().contains("such as \"250ms\""), "{text}: {error}");
        }
    }

    #[test]
    fn signs_and_bandwidths() {
        assert_eq!(parse_signed_span("-5s"), Ok(-5_000_000_000));
        assert_eq!(parse_signed_span("+5s"), Ok(5_000_000_000));
        assert!(parse_signed_span("--5s").is_err());
        assert_eq!(parse_bandwidth("1Gbit/s"), Ok(125_000_000));
        assert_eq!(parse_bandwidth("10MB/s"), Ok(10_000_000));
        assert!(parse_bandwidth("0MB/s").is_err());
        assert!(parse_bandwidth("10MB").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(n in any::<u64>(), signed in any::<i64>(), bandwidth in 1..u64::MAX / 8) {
            prop_assert_eq!(parse_span(&format_span(Span(n))), Ok(Span(n)));
            if signed != i64::MIN {
                prop_assert_eq!(parse_signed_span(&format_signed_span(signed)), Ok(signed));
            }
            prop_assert_eq!(parse_bytes(&format_bytes(n)), Ok(n));
            prop_assert_eq!(parse_bandwidth(&format_bandwidth(bandwidth)), Ok(bandwidth));
        }
    }
}
