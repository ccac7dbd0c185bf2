//! The texts that records are cut from.

use bytes::Bytes;
use trial_client::Corpus;
use trial_node::Rng;

/// A corpus file that records cannot be cut from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct CorpusError {
    /// The file.
    pub file: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// How many values a corpus holds at most; a run goes round and round in them.
const VALUES_MAX: usize = 4_096;
/// The seed of the built-in text. Part of the product: with another, every trace hash would be another.
const TEXT_SEED: u64 = 1;

/// Cuts a text into values of `value_bytes` bytes each. Bytes that do not fill a last value are left out.
///
/// # Errors
/// [`CorpusError`] when the text is shorter than one value.
pub fn cut(file: &str, text: &Bytes, value_bytes: u32) -> Result<Corpus, CorpusError> {
    let size = value_bytes as usize;
    let values: Vec<Bytes> =
        (0..text.len() / size).take(VALUES_MAX).map(|i| text.slice(i * size..(i + 1) * size)).collect();
    if values.is_empty() {
        let what = format!("{} bytes are too few to cut one value of {size} bytes from", text.len());
        return Err(CorpusError { file: file.to_owned(), what });
    }
    Ok(Corpus::new(values))
}

/// The built-in text: orders of an invented shop as lines of JSON, written by a generator with a fixed seed (stream
/// `corpus`, seed 1). It compresses as such messages do: structure repeats, names are few and unevenly frequent, ids and
/// amounts are not.
pub fn generate(value_bytes: u32) -> Corpus {
    let mut rng = Rng::named(TEXT_SEED, "corpus");
    let mut text = Vec::new();
    let wanted = (value_bytes as usize).saturating_mul(512).min(8 << 20).max(value_bytes as usize);
    while text.len() < wanted {
        order(&mut rng, &mut text);
    }
    cut("the built-in text", &Bytes::from(text), value_bytes).expect("the text is longer than one value")
}

fn order(rng: &mut Rng, text: &mut Vec<u8>) {
    let id = rng.next_u64();
    let lines = rng.between(1, 4);
    let mut line = format!(
        "{{\"order\":\"{id:016x}\",\"customer\":{},\"city\":\"{}\",\"state\":\"{}\",\"items\":[",
        rng.below(50_000),
        pick(rng, &CITIES),
        pick(rng, &STATES),
    );
    for i in 0..lines {
        let comma = if i == 0 { "" } else { "," };
        line += &format!(
            "{comma}{{\"sku\":\"{}-{}\",\"quantity\":{},\"cents\":{}}}",
            pick(rng, &GOODS),
            rng.below(900) + 100,
            rng.between(1, 5),
            rng.between(99, 19_999),
        );
    }
    line += &format!("],\"note\":\"{} {} {}\"}}\n", pick(rng, &WORDS), pick(rng, &WORDS), pick(rng, &WORDS));
    text.extend_from_slice(line.as_bytes());
}

/// The earlier in the list, the more frequent: the smaller of two draws.
fn pick<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    let n = list.len() as u64;
    list[rng.below(n).min(rng.below(n)) as usize]
}

const CITIES: [&str; 16] = [
    "Northport",
    "Ashford",
    "Millbrook",
    "Easton",
    "Riverside",
    "Lakewood",
    "Fairview",
    "Oakdale",
    "Kingston",
    "Westbury",
    "Hillcrest",
    "Stonebridge",
    "Clearwater",
    "Maplewood",
    "Brookfield",
    "Seaview",
];
const STATES: [&str; 5] = ["new", "paid", "packed", "shipped", "returned"];
const GOODS: [&str; 12] = [
    "lamp",
    "chair",
    "kettle",
    "notebook",
    "blanket",
    "bicycle",
    "headphones",
    "rug",
    "mirror",
    "backpack",
    "teapot",
    "clock",
];
const WORDS: [&str; 20] = [
    "leave",
    "at",
    "the",
    "front",
    "door",
    "please",
    "ring",
    "twice",
    "gift",
    "wrap",
    "call",
    "before",
    "delivery",
    "fragile",
    "neighbour",
    "after",
    "noon",
    "no",
    "invoice",
    "inside",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_text_repeats() {
        let first = |n: u32| generate(n).value(0).clone();
        assert_eq!(first(80), first(80));
        assert!(first(80).starts_with(b"{\"order\":\""));
        assert_eq!(first(80).len(), 80);
        assert_eq!(first(1_000_000).len(), 1_000_000);
    }

    #[test]
    fn a_text_that_is_too_short_is_refused() {
        let error = cut("short.txt", &Bytes::from_static(b"abc"), 4).expect_err("too short");
        assert_eq!(error.to_string(), "short.txt: 3 bytes are too few to cut one value of 4 bytes from");
        assert_eq!(cut("ok.txt", &Bytes::from_static(b"abcdefghi"), 4).expect("long enough").len(), 2);
    }
}
