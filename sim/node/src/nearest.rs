//! The name that somebody probably meant.

/// The candidate that takes the fewest edits from `name`, the first in the alphabet of several, if those are at most a third of the
/// longer of the two: further away, a suggestion would be a guess. An edit puts in, takes out or replaces a byte, or swaps two that are
/// neighbours.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    edits.min().filter(|(edits, near)| edits * 3 <= name.len().max(near.len())).map(|(_, near)| near)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut before_last, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let (x, y) = (a[i - 1], b[j - 1]);
            let replaced = last[j - 1] + usize::from(x != y);
            let mut edits = replaced.min(row[j - 1] + 1).min(last[j] + 1);
            if i > 1 && j > 1 && (x, y) == (b[j - 2], a[i - 2]) {
                edits = edits.min(before_last[j - 2] + 1);
            }
            row.push(edits);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins_and_know_swaps() {
        assert_eq!(distance("tpoic", "topic"), 1);
        assert_eq!(distance("abcd", "badc"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("durration", ["name", "duration"]), Some("duration"));
        assert_eq!(nearest("linger", ["acks", "linger.ms"]), Some("linger.ms"));
        assert_eq!(nearest("group.id", ["check.crcs", "fetch.min.bytes"]), None);
    }
}
