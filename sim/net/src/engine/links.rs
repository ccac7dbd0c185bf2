//! What faults make of the links between hosts.

use trial_node::Span;

/// A link between two hosts, as faults have left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Nothing gets through from the host with the smaller number to the other, and the other way.
    pub cut: [bool; 2],
    /// How much longer everything takes, at least.
    pub delay: Span,
    /// Up to how much more than that.
    pub jitter: Span,
}

impl Link {
    /// Whether nothing gets through in a direction.
    pub fn is_cut(self) -> bool {
        self.cut[0] || self.cut[1]
    }
}

/// What faults do to one link. They count, so that they may overlap.
#[derive(Clone, Debug, Default)]
struct Strain {
    cuts: [u32; 2],
    delays: Vec<(Span, Span)>,
}

impl Strain {
    fn link(&self) -> Link {
        Link {
            cut: self.cuts.map(|cuts| cuts > 0),
            delay: self.delays.iter().fold(Span::ZERO, |all, (delay, _)| all + *delay),
            jitter: self.delays.iter().fold(Span::ZERO, |all, (_, jitter)| all + *jitter),
        }
    }
}

/// Every link between two different hosts.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// By the larger host, then by the smaller.
    strains: Vec<Vec<Strain>>,
}

impl Links {
    /// One host more.
    pub fn add_host(&mut self) {
        self.strains.push(vec![Strain::default(); self.strains.len()]);
    }

    /// Cuts a direction once more, or once less. Gives the link, the smaller host first, and what it is like now.
    pub fn cut(&mut self, from: u32, to: u32, more: bool) -> (u32, u32, Link) {
        let cuts = &mut self.strain(from, to).cuts[usize::from(from > to)];
        *cuts = if more { *cuts + 1 } else { cuts.saturating_sub(1) };
        self.link(from, to)
    }

    /// Delays both directions. Gives the same as [`Links::cut`].
    pub fn delay(&mut self, a: u32, b: u32, delay: Span, jitter: Span) -> (u32, u32, Link) {
        self.strain(a, b).delays.push((delay, jitter));
        self.link(a, b)
    }

    /// Ends a delay. Gives the same as [`Links::cut`].
    pub fn end_delay(&mut self, a: u32, b: u32, delay: Span, jitter: Span) -> (u32, u32, Link) {
        let delays = &mut self.strain(a, b).delays;
        if let Some(index) = delays.iter().position(|d| *d == (delay, jitter)) {
            delays.swap_remove(index);
        }
        self.link(a, b)
    }

    fn link(&mut self, a: u32, b: u32) -> (u32, u32, Link) {
        (a.min(b), a.max(b), self.strain(a, b).link())
    }

    fn strain(&mut self, a: u32, b: u32) -> &mut Strain {
        &mut self.strains[a.max(b) as usize][a.min(b) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_on_one_link_add_up_and_end_one_by_one() {
        let mut links = Links::default();
        (0..3).for_each(|_| links.add_host());
        assert_eq!(links.cut(2, 0, true), (0, 2, Link { cut: [false, true], ..Link::default() }));
        links.cut(0, 2, true);
        links.cut(2, 0, true);
        assert_eq!(links.cut(2, 0, false).2.cut, [true, true]);
        assert_eq!(links.cut(2, 0, false).2.cut, [true, false]);
        links.delay(0, 2, Span(5), Span(1));
        let (_, _, link) = links.delay(2, 0, Span(7), Span(0));
        assert_eq!(link, Link { cut: [true, false], delay: Span(12), jitter: Span(1) });
        assert_eq!(links.end_delay(0, 2, Span(5), Span(1)).2.delay, Span(7));
        assert_eq!(links.cut(1, 2, false).2, Link::default());
    }
}
