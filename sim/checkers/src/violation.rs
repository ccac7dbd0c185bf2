//! What a property says when it does not hold.

use std::collections::BTreeMap;

use trial_node::Time;

/// A property did not hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The property's name.
    pub property: &'static str,
    /// When it was found.
    pub at: Time,
    /// The facts that prove it, one a line.
    pub evidence: Vec<String>,
}

impl Violation {
    /// How many violations of one property are kept with their evidence; the others are counted.
    pub const MAX_PER_PROPERTY: u64 = 5;
}

/// Collects violations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    property: &'static str,
    violations: Vec<Violation>,
    counts: BTreeMap<&'static str, u64>,
}

impl Findings {
    /// What is reported from here on is of `property`.
    pub(crate) fn of(&mut self, property: &'static str) {
        self.property = property;
    }

    pub(crate) fn report(&mut self, at: Time, evidence: Vec<String>) {
        let count = self.counts.entry(self.property).or_default();
        *count += 1;
        if *count <= Violation::MAX_PER_PROPERTY {
            self.violations.push(Violation { property: self.property, at, evidence });
        }
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}
