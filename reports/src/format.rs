//! Numbers as a person reads them, with their units.

/// A length of time with three significant digits: `850 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`, `130 s`.
pub(crate) fn span(ns: u64) -> String {
    let (unit, name) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..999_500 => (1e3, "µs"),
        999_500..999_500_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let value = ns as f64 / unit;
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{} {name}", grouped(format!("{value:.decimals$}")))
}

/// An instant of simulated time in seconds to the millisecond, without its unit: `20.134`.
pub(crate) fn seconds(ns: u64) -> String {
    grouped(format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1_000))
}

/// An instant of simulated time in seconds to the microsecond, without its unit: `20.134512`.
pub(crate) fn seconds_fine(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}

/// A count: `59,873`.
pub(crate) fn count(n: u64) -> String {
    grouped(n.to_string())
}

/// A count and its noun, in the plural where it is due: `1 fault`, `2 faults`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Bytes in decimal units, as network and disk makers count: `532 B`, `7.21 MB`.
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = 0;
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if unit == 0 || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.decimals$} {}", units[unit])
}

/// A rate per second, for an axis or a note: `0`, `2.5`, `1,200`.
pub(crate) fn rate(per_second: f64) -> String {
    let decimals = usize::from(per_second < 10.0 && per_second.fract().abs() > 1e-9);
    grouped(format!("{per_second:.decimals$}"))
}

/// Puts a comma between groups of three digits before the decimal point.
fn grouped(number: String) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut out = String::with_capacity(number.len() + whole / 3);
    for (i, digit) in number.chars().enumerate() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (4_560_000, "4.56 ms"),
            (999_600_000, "1.00 s"),
            (130_000_000_000, "130 s"),
            (4_000_000_000_000, "4,000 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(span(ns), text);
        }
    }

    #[test]
    fn instants_keep_the_millisecond() {
        assert_eq!(seconds(20_134_999_999), "20.134");
        assert_eq!(seconds(1_234_000_000_000), "1,234.000");
        assert_eq!(seconds_fine(20_134_512_999), "20.134512");
    }

    #[test]
    fn counts_and_bytes_are_grouped() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([counted(1, "fault"), counted(0, "fault")], ["1 fault", "0 faults"]);
        assert_eq!(
            [bytes(532), bytes(7_210_000), bytes(999_700), bytes(0)],
            ["532 B", "7.21 MB", "1.00 MB", "0 B"]
        );
        assert_eq!([rate(0.0), rate(2.5), rate(1_200.0)], ["0", "2.5", "1,200"]);
    }
}
