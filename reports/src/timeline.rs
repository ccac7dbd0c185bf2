//! The timeline: a lane per host along simulated time.

use std::collections::BTreeMap;

use crate::axis::{LEFT, RIGHT, TimeAxis, WIDTH};
use crate::chart::shade;
use crate::format::{count, counted, seconds};
use crate::glyph::Mark;
use crate::lanes::{self, BROKER_HEIGHT, Full, MARKS_Y, PLAIN_HEIGHT};
use crate::markup::{esc, shortened};
use crate::{FaultSpan, HostState, Lane, Timeline, TimelineEvent, ViolationRecord};

/// Up to this many brokers get a lane with all rows; more get plain ones.
const BROKERS_IN_FULL_MAX: usize = 16;
/// Up to this many clients get a lane of their own.
const CLIENTS_APART_MAX: usize = 12;
/// Up to this many brokers get a lane at all; the others share one.
const BROKERS_APART_MAX: usize = 48;
/// Rows for the faults' words; a fault that finds no room has its number in the tables only.
const FAULT_ROWS_MAX: usize = 4;
/// How many violations are marked; what came first matters most.
const VIOLATIONS_MAX: usize = 100;
const FAULT_ROW: f64 = 15.0;
/// How many events a mark's title lists.
const TITLE_EVENTS_MAX: usize = 6;

/// Draws the timeline.
pub(crate) fn draw(timeline: &Timeline, violations: &[ViolationRecord], time: TimeAxis) -> String {
    let (labels, rows) = fault_labels(&timeline.faults, time);
    let top = 4.0 + FAULT_ROW * rows as f64;
    let mut y = top + 6.0;
    let mut body = String::new();
    let mut places: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut marks_y: BTreeMap<&str, f64> = BTreeMap::new();

    let brokers: Vec<&Lane> = timeline.lanes.iter().filter(|l| l.broker).collect();
    let clients: Vec<&Lane> = timeline.lanes.iter().filter(|l| !l.broker).collect();
    let most = |counts: fn(&Lane) -> &[(u64, u32)]| {
        brokers.iter().flat_map(|l| counts(l)).map(|(_, n)| *n).max().unwrap_or(0)
    };
    let full = Full { leads: most(|l| &l.leads), in_isr: most(|l| &l.in_isr) };
    if brokers.len() <= BROKERS_IN_FULL_MAX {
        for lane in &brokers {
            body += &lanes::broker(lane, time, y, full);
            places.insert(&lane.host, (y - 3.0, BROKER_HEIGHT));
            marks_y.insert(&lane.host, y + MARKS_Y);
            y += BROKER_HEIGHT + 12.0;
        }
    } else {
        y = plain_lanes(&mut body, &mut places, &brokers, BROKERS_APART_MAX, "broker", time, y);
    }
    if !clients.is_empty() {
        y += 4.0;
        let apart = if clients.len() <= CLIENTS_APART_MAX { CLIENTS_APART_MAX } else { 0 };
        y = plain_lanes(&mut body, &mut places, &clients, apart, "client", time, y);
    }
    let bottom = y + 2.0;

    let mut out = String::new();
    for tick in time.ticks() {
        let x = time.x(tick);
        out += &format!(r#"<line class="grid" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#);
        out +=
            &format!(r#"<text class="tick" x="{x:.1}" y="{:.1}">{}</text>"#, bottom + 16.0, time.label(tick));
    }
    out += &bands(&timeline.faults, time, (top, bottom), &places);
    out += &body;
    out += &marks(&timeline.events, time, &marks_y);
    out += &labels;
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        let x = time.x(violation.at_ns);
        let what = esc(&violation.property);
        let title = format!("<title>{what} found violated at {} s</title>", seconds(violation.at_ns));
        out += &format!(r#"<path class="violated" d="M{x:.1},{top:.1} V{bottom:.1}">{title}</path>"#);
    }
    out += &format!(
        r#"<line class="axis" x1="{LEFT}" y1="{bottom:.1}" x2="{}" y2="{bottom:.1}"/>"#,
        WIDTH - RIGHT
    );
    let what = "Timeline: what each host did, along the run's time";
    format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{what}\">{HATCHES}{out}</svg>\n",
        bottom + 24.0
    )
}

const HATCHES: &str = concat!(
    r#"<defs><pattern id="hatch-down" width="6" height="6" patternUnits="userSpaceOnUse" "#,
    r#"patternTransform="rotate(45)"><rect class="hatch-down" width="2" height="6"/></pattern>"#,
    r#"<pattern id="hatch-paused" width="6" height="6" patternUnits="userSpaceOnUse">"#,
    r#"<rect class="hatch-paused" width="3" height="6"/></pattern></defs>"#,
);

/// Lanes with nothing but the state; those beyond `apart` share one.
fn plain_lanes<'a>(
    body: &mut String,
    places: &mut BTreeMap<&'a str, (f64, f64)>,
    lanes: &[&'a Lane],
    apart: usize,
    noun: &str,
    time: TimeAxis,
    mut y: f64,
) -> f64 {
    let (alone, together) = lanes.split_at(apart.min(lanes.len()));
    for lane in alone {
        *body += &lanes::plain(lane, time, y);
        places.insert(&lane.host, (y - 2.0, PLAIN_HEIGHT - 1.0));
        y += PLAIN_HEIGHT;
    }
    if !together.is_empty() {
        let more = if alone.is_empty() { "" } else { "more " };
        let name = counted(together.len() as u64, &format!("{more}{noun}"));
        *body += &lanes::group(&name, together, time, y);
        y += 24.0;
    }
    y
}

/// The faults as bands over all lanes, with a frame around the lanes of the hosts that they strike.
fn bands(
    faults: &[FaultSpan],
    time: TimeAxis,
    (top, bottom): (f64, f64),
    places: &BTreeMap<&str, (f64, f64)>,
) -> String {
    let shade = shade(faults);
    let mut out = format!(r#"<g style="--shade:{shade}">"#);
    for (i, fault) in faults.iter().enumerate() {
        let span = (fault.from_ns, fault.to_ns.clamp(fault.from_ns, time.end_ns().max(fault.from_ns)));
        let title = lanes::title(&format!("F{} {}", i + 1, fault.what), span.0, span.1);
        out += &lanes::rect("fault", time, span, (top, bottom - top), &title);
        let x = time.x(fault.from_ns);
        out += &format!(r#"<line class="fault" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#);
        for (y, height) in fault.hosts.iter().filter_map(|h| places.get(h.as_str())) {
            out += &lanes::rect("struck", time, span, (*y, *height), &title);
        }
    }
    out + "</g>"
}

/// The faults' words above their bands, in as few rows as they need; how many rows.
fn fault_labels(faults: &[FaultSpan], time: TimeAxis) -> (String, usize) {
    let mut out = String::new();
    let mut free = Vec::new();
    for (i, fault) in faults.iter().enumerate() {
        let words = shortened(&format!("F{} {}", i + 1, fault.what), 64);
        let width = 7.4 * words.chars().count() as f64 + 8.0;
        let right = f64::from(WIDTH - RIGHT);
        let from = time.x(fault.from_ns);
        // A label near the right edge ends at its band's beginning instead.
        let (start, end, class) =
            if from + width <= right { (from, from + width, "fl") } else { (from - width, from, "fl end") };
        let row = match free.iter().position(|free| start >= *free) {
            Some(row) => row,
            None if free.len() < FAULT_ROWS_MAX => {
                free.push(0.0);
                free.len() - 1
            }
            None => continue,
        };
        free[row] = end;
        let (x, y) = (from, FAULT_ROW * (row as f64 + 1.0) - 2.0);
        let title =
            lanes::title(&fault.what, fault.from_ns, fault.to_ns.min(time.end_ns()).max(fault.from_ns));
        out += &format!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}{title}</text>"#, esc(&words));
    }
    (out, free.len())
}

/// The marks of notable events. Events of one kind that would cover each other share a mark, whose title lists them.
fn marks(events: &[TimelineEvent], time: TimeAxis, marks_y: &BTreeMap<&str, f64>) -> String {
    let mut clusters: Vec<(&str, Mark, Vec<&TimelineEvent>)> = Vec::new();
    let mut newest: BTreeMap<(&str, Mark), usize> = BTreeMap::new();
    for event in events {
        let Some(mark) = Mark::of(&event.kind) else { continue };
        let key = (event.host.as_str(), mark);
        let near = newest.get(&key).copied().filter(|index| {
            let first = clusters[*index].2[0];
            time.x(event.at_ns) - time.x(first.at_ns) < 5.0
        });
        match near {
            Some(index) => clusters[index].2.push(event),
            None => {
                newest.insert(key, clusters.len());
                clusters.push((key.0, mark, vec![event]));
            }
        }
    }
    // What must not be missed is drawn last.
    clusters.sort_by_key(|(_, mark, _)| Mark::ALL.iter().position(|m| m == mark));
    let mut out = String::new();
    for (host, mark, events) in clusters {
        let Some(y) = marks_y.get(host) else { continue };
        out += &mark.draw(time.x(events[0].at_ns), *y, &cluster_title(mark, &events));
    }
    out
}

fn cluster_title(mark: Mark, events: &[&TimelineEvent]) -> String {
    let line = |e: &&TimelineEvent| format!("{} s {}", seconds(e.at_ns), esc(&shortened(&e.what, 160)));
    let mut lines: Vec<String> = events.iter().take(TITLE_EVENTS_MAX).map(line).collect();
    if events.len() > 1 {
        lines.insert(0, format!("{} times: {}", events.len(), mark.name()));
    }
    if events.len() > TITLE_EVENTS_MAX {
        lines.push(format!("and {} more", count((events.len() - TITLE_EVENTS_MAX) as u64)));
    }
    format!("<title>{}</title>", lines.join("\n"))
}

/// What the shapes mean, of those that there are.
pub(crate) fn legend(timeline: &Timeline, violations: &[ViolationRecord]) -> String {
    let in_state = |state| timeline.lanes.iter().flat_map(|l| &l.states).any(|s| s.state == state);
    let swatches = [
        ("controller", "active controller", true),
        ("leads", "partitions led", true),
        ("isr", "ISRs it is in", true),
        (lanes::word(HostState::Down), "down", in_state(HostState::Down)),
        (lanes::word(HostState::Paused), "paused", in_state(HostState::Paused)),
        ("fault", "fault", !timeline.faults.is_empty()),
    ];
    let mut out = String::from("<p class=\"legend\">");
    for (class, name, _) in swatches.iter().filter(|(_, _, present)| *present) {
        out += &key(&format!(r#"<rect class="{class}" width="14" height="10"/>"#), name);
    }
    for mark in Mark::ALL {
        if timeline.events.iter().any(|e| Mark::of(&e.kind) == Some(mark)) {
            out += &key(&mark.draw(7.0, 5.0, ""), mark.name());
        }
    }
    if !violations.is_empty() {
        out += &key(r#"<path class="violated" d="M7,-1 V11"/>"#, "violation found");
    }
    out + "</p>\n"
}

fn key(shape: &str, name: &str) -> String {
    format!(r#"<span><svg class="timeline key" viewBox="0 0 14 10">{shape}</svg>{name}</span>"#)
}
