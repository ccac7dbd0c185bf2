//! Where a value lies in a drawing. Every drawing along simulated time shares [`TimeAxis`], so that they line up on the page.

/// The width of every drawing, in its own units (CSS pixels at full size).
pub(crate) const WIDTH: u32 = 1120;
/// What is left of the plot: the lanes' names, the axes' labels.
pub(crate) const LEFT: u32 = 136;
/// What is right of the plot: room for half of the last label.
pub(crate) const RIGHT: u32 = 20;

/// Simulated time from the start of the run to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeAxis {
    end_ns: u64,
}

impl TimeAxis {
    pub(crate) fn new(end_ns: u64) -> TimeAxis {
        TimeAxis { end_ns: end_ns.max(1) }
    }

    pub(crate) fn end_ns(self) -> u64 {
        self.end_ns
    }

    /// The instant's place; what is after the end lies at the end.
    pub(crate) fn x(self, ns: u64) -> f64 {
        let share = ns.min(self.end_ns) as f64 / self.end_ns as f64;
        f64::from(LEFT) + share * f64::from(WIDTH - LEFT - RIGHT)
    }

    /// A dozen round instants at most.
    pub(crate) fn ticks(self) -> Vec<u64> {
        let step = self.step();
        (0..=self.end_ns / step).map(|i| i * step).collect()
    }

    /// A tick's label: seconds, minutes or whatever its steps are round in.
    pub(crate) fn label(self, ns: u64) -> String {
        let (unit, name) = match self.step() {
            3_600_000_000_000.. => (3_600_000_000_000, "h"),
            60_000_000_000.. => (60_000_000_000, "min"),
            100_000_000.. => (1_000_000_000, "s"),
            100_000.. => (1_000_000, "ms"),
            100.. => (1_000, "µs"),
            _ => (1, "ns"),
        };
        let tenths = ns % unit * 10 / unit;
        if tenths > 0 { format!("{}.{tenths} {name}", ns / unit) } else { format!("{} {name}", ns / unit) }
    }

    fn step(self) -> u64 {
        const ROUND_S: [u64; 10] = [15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200];
        let powers = (0..11).map(|e| 10u64.pow(e));
        let fine = powers.flat_map(|p| [p, 2 * p, 5 * p]).filter(|s| *s <= 10_000_000_000);
        let coarse = ROUND_S.iter().map(|s| s * 1_000_000_000);
        let days = (0..13).map(|doubling| (14_400u64 << doubling) * 1_000_000_000);
        let mut steps = fine.chain(coarse).chain(days);
        steps.find(|step| self.end_ns / step <= 12).unwrap_or(self.end_ns)
    }
}

/// A value axis: its range in drawing space, and what is labelled.
#[derive(Clone, Debug)]
pub(crate) struct ValueAxis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Lines with a label.
    pub(crate) bold: Vec<f64>,
    /// Lines without.
    pub(crate) light: Vec<f64>,
}

impl ValueAxis {
    /// From 0 to a little above `max`, in a handful of round steps.
    pub(crate) fn linear(max: f64) -> ValueAxis {
        let max = if max > 0.0 { max } else { 1.0 };
        let mut step = 0.1;
        'found: for exponent in 0..19 {
            for lead in [1.0, 2.0, 2.5, 5.0] {
                step = lead * 10f64.powi(exponent) / 10.0;
                if max / step <= 4.6 {
                    break 'found;
                }
            }
        }
        let steps = (max * 1.04 / step).ceil().max(1.0);
        let bold = (0..=steps as u32).map(|i| f64::from(i) * step).collect();
        ValueAxis { low: 0.0, high: steps * step, bold, light: Vec::new() }
    }

    /// The decimal logarithm of values between `min` and `max`, both positive; widened to 1, 2 or 5 times a power of ten.
    pub(crate) fn log10(min: u64, max: u64) -> ValueAxis {
        let round: Vec<f64> =
            (0..20).flat_map(|e| [1.0, 2.0, 5.0].map(|lead| (lead * 10f64.powi(e)).log10())).collect();
        let (min, max) = ((min.max(1) as f64).log10(), (max.max(1) as f64).log10());
        let low = round.iter().rposition(|r| *r <= min + 1e-9).unwrap_or(0);
        let high = round.iter().position(|r| *r >= max - 1e-9).unwrap_or(round.len() - 1).max(low + 1);
        let (low, high) = if high - low < 2 { (low.saturating_sub(1), high + 1) } else { (low, high) };
        let inside = &round[low..=high.min(round.len() - 1)];
        // Over many powers of ten the labels in between would touch each other.
        let every_label = inside.len() <= 8;
        let (bold, light) = inside.iter().partition(|r| every_label || (*r - r.round()).abs() < 1e-9);
        ValueAxis { low: round[low], high: *inside.last().unwrap_or(&max), bold, light }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_lies_between_the_margins() {
        let axis = TimeAxis::new(60_000_000_000);
        assert_eq!([axis.x(0), axis.x(30_000_000_000), axis.x(u64::MAX)], [136.0, 618.0, 1100.0]);
        assert_eq!(TimeAxis::new(0).x(0), 136.0);
    }

    #[test]
    fn ticks_are_round_and_few_for_every_length() {
        let mut length = 1;
        while length < u64::MAX / 3 {
            let axis = TimeAxis::new(length);
            let ticks = axis.ticks();
            assert!((2..=13).contains(&ticks.len()), "{length}: {ticks:?}");
            let labels: Vec<String> = ticks.iter().map(|t| axis.label(*t)).collect();
            assert!(labels.windows(2).all(|w| w[0] != w[1]), "{labels:?}");
            length = length * 3 + 1;
        }
        let labels =
            |ns| TimeAxis::new(ns).ticks().iter().map(|t| TimeAxis::new(ns).label(*t)).collect::<Vec<_>>();
        assert_eq!(labels(2_000_000_000)[..3], ["0 s", "0.2 s", "0.4 s"]);
        assert_eq!(labels(65_000_000_000)[..3], ["0 s", "10 s", "20 s"]);
        assert_eq!(labels(600_000_000_000)[..3], ["0 min", "1 min", "2 min"]);
    }

    #[test]
    fn a_linear_axis_holds_its_values() {
        let axis = ValueAxis::linear(1_000.0);
        assert_eq!((axis.low, axis.high), (0.0, 1_250.0));
        assert_eq!(axis.bold, [0.0, 250.0, 500.0, 750.0, 1_000.0, 1_250.0]);
        assert_eq!(ValueAxis::linear(0.0).high, ValueAxis::linear(1.0).high);
        assert!(ValueAxis::linear(u64::MAX as f64).high >= u64::MAX as f64);
    }

    #[test]
    fn a_logarithmic_axis_holds_its_values() {
        for (min, max) in [(0, 0), (1, 1), (1_200_000, 1_400_000), (3, u64::MAX), (1_000_000, 10_000_000)] {
            let axis = ValueAxis::log10(min, max);
            assert!(axis.low <= (min.max(1) as f64).log10() + 1e-9, "{axis:?}");
            assert!(axis.high >= (max.max(1) as f64).log10() - 1e-9, "{axis:?}");
            assert!(axis.low < axis.high && axis.bold.len() >= 2, "{axis:?}");
        }
    }
}
