//! Charts, drawn by plotters into inline SVG.
//!
//! plotters knows fixed colours only, and the page has two sets (light and dark). So each ink is drawn in a colour of its own that
//! means nothing, and becomes a CSS variable in the finished drawing.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;

use crate::FaultSpan;
use crate::axis::{LEFT, RIGHT, TimeAxis, ValueAxis, WIDTH};
use crate::markup::esc;

/// What something is drawn with; `style.css` gives the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Labels of axes.
    Label,
    /// Lines of the grid.
    Grid,
    /// The bands of faults.
    Fault,
    /// A quantity that the others are compared with.
    Base,
    /// The first quantity.
    First,
    /// The second.
    Second,
    /// The third.
    Third,
}

impl Ink {
    const ALL: [Ink; 7] = [Ink::Label, Ink::Grid, Ink::Fault, Ink::Base, Ink::First, Ink::Second, Ink::Third];

    /// The CSS variable's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ink::Label => "label",
            Ink::Grid => "grid",
            Ink::Fault => "fault",
            Ink::Base => "base",
            Ink::First => "first",
            Ink::Second => "second",
            Ink::Third => "third",
        }
    }

    fn rgb(self) -> RGBColor {
        RGBColor(1, 2, self as u8)
    }
}

/// How a line looks, besides its ink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Line(u32),
    Dashed,
    /// Filled down to the axis.
    Area,
}

/// A quantity: points in drawing space. A new stretch begins where there is nothing to show in between.
pub(crate) struct Curve {
    pub(crate) ink: Ink,
    pub(crate) look: Look,
    pub(crate) stretches: Vec<Vec<(f64, f64)>>,
}

impl Curve {
    /// Steps: one value per interval, `None` where there is none. The last interval ends with the run.
    pub(crate) fn steps(
        ink: Ink,
        look: Look,
        interval_ns: u64,
        end_ns: u64,
        values: &[Option<f64>],
    ) -> Curve {
        let mut stretches: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut open = false;
        for (i, value) in values.iter().enumerate() {
            let from = (i as u64).saturating_mul(interval_ns);
            let to = from.saturating_add(interval_ns).min(end_ns);
            let Some(value) = value.filter(|_| from < to) else {
                open = false;
                continue;
            };
            if !open {
                stretches.push(Vec::new());
            }
            open = true;
            let stretch = stretches.last_mut().expect("one was just begun");
            stretch.extend([(from as f64, value), (to as f64, value)]);
        }
        Curve { ink, look, stretches }
    }
}

/// An axis as plotters wants it, with our own choice of lines.
struct Scale(ValueAxis);

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.0.low) / (self.0.high - self.0.low);
        from + (share.clamp(0.0, 1.0) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { self.0.light.clone() } else { self.0.bold.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.0.low..self.0.high
    }
}

/// A chart along simulated time. `label` words a value of the axis.
pub(crate) fn along_time(
    what: &str,
    time: TimeAxis,
    faults: &[FaultSpan],
    y: &ValueAxis,
    label: &dyn Fn(&f64) -> String,
    curves: &[Curve],
) -> String {
    const HEIGHT: u32 = 196;
    const TOP: u32 = 18;
    let ticks = time.ticks().into_iter().map(|t| t as f64).collect();
    let x = ValueAxis { low: 0.0, high: time.end_ns() as f64, bold: ticks, light: Vec::new() };
    let bands: Vec<(f64, f64)> = faults
        .iter()
        .map(|f| {
            let from = f.from_ns.min(time.end_ns());
            (from as f64, f.to_ns.clamp(from, time.end_ns()) as f64)
        })
        .collect();
    let x_label = |ns: &f64| time.label(*ns as u64);
    let mut svg = String::new();
    let frame = Frame { height: HEIGHT, top: TOP, right: RIGHT, shade: shade(faults) };
    draw(&mut svg, frame, (&x, &x_label), (y, label), &bands, curves);
    framed(svg, HEIGHT, what, &band_labels(time, faults, f64::from(TOP) - 5.0))
}

/// A latency at each percentile: x is the number of nines, -log10(1 - quantile).
pub(crate) fn by_percentile(
    what: &str,
    x: &ValueAxis,
    x_label: &dyn Fn(&f64) -> String,
    y: &ValueAxis,
    y_label: &dyn Fn(&f64) -> String,
    curves: &[Curve],
) -> String {
    const HEIGHT: u32 = 300;
    let mut svg = String::new();
    // The last label, 99.999%, is wide.
    let frame = Frame { height: HEIGHT, top: 8, right: 36, shade: 0.0 };
    draw(&mut svg, frame, (x, x_label), (y, y_label), &[], curves);
    framed(svg, HEIGHT, what, "")
}

/// The numbers of the faults above their bands, as long as they do not touch.
fn band_labels(time: TimeAxis, faults: &[FaultSpan], y: f64) -> String {
    let mut out = String::new();
    let mut free = 0.0;
    for (i, fault) in faults.iter().enumerate() {
        let x = time.x(fault.from_ns);
        if x >= free {
            let what = esc(&fault.what);
            out +=
                &format!(r#"<text class="fl" x="{x:.1}" y="{y:.1}">F{}<title>{what}</title></text>"#, i + 1);
            free = x + 8.0 * (i + 1).to_string().len() as f64 + 18.0;
        }
    }
    out
}

/// How dark a fault's band is: lighter where many lie over each other, so that what they cover stays visible.
pub(crate) fn shade(faults: &[FaultSpan]) -> f64 {
    let starts = faults.iter().map(|f| (f.from_ns, 1));
    let mut changes: Vec<(u64, i32)> = starts.chain(faults.iter().map(|f| (f.to_ns, -1))).collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    (160.0 / f64::from((most - 1).max(1))).max(10.0).round() / 1_000.0
}

type Axis<'a> = (&'a ValueAxis, &'a dyn Fn(&f64) -> String);

/// What surrounds a plot, and how dark its bands are.
#[derive(Clone, Copy)]
struct Frame {
    height: u32,
    top: u32,
    right: u32,
    shade: f64,
}

fn draw(svg: &mut String, frame: Frame, x: Axis<'_>, y: Axis<'_>, bands: &[(f64, f64)], curves: &[Curve]) {
    let area = SVGBackend::with_string(svg, (WIDTH, frame.height)).into_drawing_area();
    plot(&area, frame, x, y, bands, curves).expect("a string takes every drawing");
    area.present().expect("a string takes every drawing");
}

fn plot<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    frame: Frame,
    (x, x_label): Axis<'_>,
    (y, y_label): Axis<'_>,
    bands: &[(f64, f64)],
    curves: &[Curve],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(frame.top)
        .margin_right(frame.right)
        .y_label_area_size(LEFT)
        .x_label_area_size(26)
        .build_cartesian_2d(Scale(x.clone()), Scale(y.clone()))?;
    chart
        .configure_mesh()
        .bold_line_style(Ink::Grid.rgb())
        .light_line_style(Ink::Grid.rgb().mix(0.5))
        .axis_style(Ink::Grid.rgb())
        .label_style(("sans-serif", 14).into_font().color(&Ink::Label.rgb()))
        .x_label_formatter(x_label)
        .y_label_formatter(y_label)
        .set_all_tick_mark_size(4)
        .draw()?;
    for (from, to) in bands {
        let style = Ink::Fault.rgb().mix(frame.shade).filled();
        chart.draw_series([Rectangle::new([(*from, y.low), (*to, y.high)], style)])?;
        chart.draw_series([PathElement::new(
            vec![(*from, y.low), (*from, y.high)],
            Ink::Fault.rgb().mix((4.0 * frame.shade).min(0.7)),
        )])?;
    }
    for curve in curves {
        let color = curve.ink.rgb();
        for points in curve.stretches.iter().map(|s| s.iter().copied()) {
            match curve.look {
                Look::Line(width) => {
                    let color = if width > 2 { color.mix(0.5) } else { color.to_rgba() };
                    chart.draw_series(LineSeries::new(points, color.stroke_width(width)))?;
                }
                Look::Dashed => {
                    chart.draw_series(DashedLineSeries::new(points, 2, 3, color.stroke_width(1)))?;
                }
                Look::Area => {
                    chart.draw_series(AreaSeries::new(points, y.low, color.mix(0.3)))?;
                }
            }
        }
    }
    Ok(())
}

/// Puts a finished drawing into a frame of our own, with the page's colours.
fn framed(drawn: String, height: u32, what: &str, more: &str) -> String {
    let inside = drawn.split_once('>').map_or("", |(_, rest)| rest);
    let mut inside = inside.trim_end().trim_end_matches("</svg>").replace("\n</text>", "</text>");
    inside = inside.replace(">\n", ">").replace(" \"/>", "\"/>").replace(" opacity=\"1\"", "");
    for ink in Ink::ALL {
        let RGBColor(r, g, b) = ink.rgb();
        inside =
            inside.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var(--{})\"", ink.name()));
    }
    let what = esc(what);
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{what}\">{inside}{more}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_breaks_where_there_is_no_value() {
        let values = [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)];
        let curve = Curve::steps(Ink::First, Look::Line(1), 10, 35, &values);
        let first = vec![(0.0, 1.0), (10.0, 1.0), (10.0, 2.0), (20.0, 2.0)];
        assert_eq!(curve.stretches, [first, vec![(30.0, 3.0), (35.0, 3.0)]]);
    }

    #[test]
    fn bands_grow_lighter_where_they_pile_up() {
        let fault = |from_ns, to_ns| FaultSpan { from_ns, to_ns, hosts: vec![], what: String::new() };
        assert_eq!(shade(&[]), 0.16);
        assert_eq!(shade(&[fault(0, 5), fault(5, 9), fault(7, 8)]), 0.16);
        assert_eq!(shade(&vec![fault(0, 5); 5]), 0.04);
        assert_eq!(shade(&vec![fault(0, 5); 500]), 0.01);
    }

    #[test]
    fn every_ink_becomes_a_variable() {
        let faults = [FaultSpan { from_ns: 2, to_ns: 4, hosts: vec![], what: "cut <the> power".into() }];
        let inks = [Ink::Base, Ink::First, Ink::Second, Ink::Third];
        let looks = [Look::Area, Look::Line(2), Look::Line(1), Look::Dashed];
        let values = vec![Some(1.0); 10];
        let curves: Vec<Curve> =
            inks.iter().zip(looks).map(|(ink, look)| Curve::steps(*ink, look, 1, 10, &values)).collect();
        let y = ValueAxis::linear(1.0);
        let svg = along_time("a \"b\"", TimeAxis::new(10), &faults, &y, &|v| v.to_string(), &curves);
        for ink in Ink::ALL {
            assert!(svg.contains(&format!("var(--{})", ink.name())), "{ink:?} in {svg}");
        }
        assert!(!svg.contains("\"#"), "{svg}");
        assert!(svg.contains("a &quot;b&quot;") && svg.contains("cut &lt;the&gt; power"), "{svg}");
    }
}
