//! The name that somebody probably meant.

/// The candidate that takes the fewest edits (Levenshtein's distance in bytes) from `name`, the first in the alphabet of several,
/// if those are at most a third of the longer of the two: further away, a suggestion would be a guess.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    edits.min().filter(|(edits, near)| edits * 3 <= name.len().max(near.len())).map(|(_, near)| near)
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
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
