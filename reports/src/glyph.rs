//! The marks of notable events on the timeline.

/// An event that the timeline marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    LeaderElected,
    UncleanElection,
    IsrShrunk,
    IsrExpanded,
    Fenced,
    Unfenced,
    QuorumLeader,
    Truncated,
}

impl Mark {
    /// In the order of the legend.
    pub(crate) const ALL: [Mark; 8] = [
        Mark::LeaderElected,
        Mark::IsrShrunk,
        Mark::IsrExpanded,
        Mark::Fenced,
        Mark::Unfenced,
        Mark::QuorumLeader,
        Mark::Truncated,
        Mark::UncleanElection,
    ];

    /// The mark of a kind of trace event, if it has one. Fencing shows on the lane of the controller, which decided it, and on
    /// the broker's own, when it learned of it.
    pub(crate) fn of(kind: &str) -> Option<Mark> {
        Some(match kind {
            "leader-elected" => Mark::LeaderElected,
            "unclean-leader-elected" => Mark::UncleanElection,
            "isr-shrunk" => Mark::IsrShrunk,
            "isr-expanded" => Mark::IsrExpanded,
            "broker-fenced" | "controller-fenced-broker" => Mark::Fenced,
            "broker-unfenced" | "controller-unfenced-broker" => Mark::Unfenced,
            "quorum-leader-elected" => Mark::QuorumLeader,
            "log-truncated" => Mark::Truncated,
            _ => return None,
        })
    }

    /// What the legend says.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mark::LeaderElected => "partition leader elected",
            Mark::UncleanElection => "unclean election (may lose records)",
            Mark::IsrShrunk => "ISR shrunk",
            Mark::IsrExpanded => "ISR expanded",
            Mark::Fenced => "broker fenced",
            Mark::Unfenced => "broker unfenced",
            Mark::QuorumLeader => "quorum leader elected",
            Mark::Truncated => "log truncated",
        }
    }

    /// The mark centred at a point, 9 units high.
    pub(crate) fn draw(self, x: f64, y: f64, title: &str) -> String {
        let (class, path) = match self {
            Mark::LeaderElected => ("m-elected", "m0,-4.5 l4.5,4.5 -4.5,4.5 -4.5,-4.5z"),
            Mark::UncleanElection => ("m-unclean", "m-4.5,-4.5 l9,9 m0,-9 l-9,9"),
            Mark::IsrShrunk => ("m-shrunk", "m-4.5,-3.5 h9 l-4.5,8z"),
            Mark::IsrExpanded => ("m-expanded", "m-4.5,3.5 h9 l-4.5,-8z"),
            Mark::Fenced => ("m-fenced", "m-3.8,-3.8 h7.6 v7.6 h-7.6z"),
            Mark::Unfenced => ("m-unfenced", "m-3.8,-3.8 h7.6 v7.6 h-7.6z"),
            Mark::QuorumLeader => (
                "m-quorum",
                "m0,-5 l1.4,3.1 3.4,.4 -2.5,2.3 .7,3.3 -3,-1.7 -3,1.7 .7,-3.3 -2.5,-2.3 3.4,-.4z",
            ),
            Mark::Truncated => ("m-truncated", "m-1.4,-4.5 h2.8 v9 h-2.8z"),
        };
        format!(r#"<path class="{class}" d="M{x:.1},{y:.1} {path}">{title}</path>"#)
    }
}
