//! One host's lane on the timeline.

use crate::axis::{LEFT, TimeAxis};
use crate::format::{count, seconds};
use crate::markup::{esc, shortened};
use crate::{HostState, Lane, StateSpan};

/// A broker's lane with its rows.
pub(crate) const BROKER_HEIGHT: f64 = 64.0;
/// A lane with nothing but the state of the process.
pub(crate) const PLAIN_HEIGHT: f64 = 15.0;
/// Where the row of marks is in a broker's lane.
pub(crate) const MARKS_Y: f64 = 54.0;

/// The largest counts of a run, which a full bar stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    pub(crate) leads: u32,
    pub(crate) in_isr: u32,
}

/// A broker with all that is known of it: active controller, state and partitions led, ISRs.
pub(crate) fn broker(lane: &Lane, time: TimeAxis, y: f64, full: Full) -> String {
    let mut out = host_name("host", &lane.host, y + 23.0, 11);
    for (row, at) in [("controller", 6.5), ("leads", 22.5), ("in ISR", 40.5), ("events", 57.5)] {
        out += &format!(r#"<text class="row" x="{}" y="{:.1}">{row}</text>"#, LEFT - 8, y + at);
    }
    for (from, to) in &lane.controller {
        out += &rect("controller", time, (*from, *to), (y, 7.0), &title("active controller", *from, *to));
    }
    let top = y + 11.0;
    let state = |span: &StateSpan| {
        let title = title(word(span.state), span.from_ns, span.to_ns);
        rect(word(span.state), time, (span.from_ns, span.to_ns), (top, 16.0), &title)
    };
    out.extend(lane.states.iter().filter(|s| s.state == HostState::Up).map(state));
    out += &steps(&lane.leads, "leads", "leads", time, &running(lane), (top, 16.0), full.leads);
    // A paused process may lead on, as others see it: its hatch lies over the bar.
    out.extend(lane.states.iter().filter(|s| s.state != HostState::Up).map(state));
    out += &state_words(lane, time, top + 11.5);
    let known = [StateSpan { from_ns: 0, to_ns: time.end_ns(), state: HostState::Up }];
    out += &steps(&lane.in_isr, "isr", "in the ISR of", time, &known, (y + 31.0, 12.0), full.in_isr);
    out
}

/// A host of which only the state of the process is shown.
pub(crate) fn plain(lane: &Lane, time: TimeAxis, y: f64) -> String {
    let mut out = host_name("host plain", &lane.host, y + 8.5, 19);
    for (from, to) in &lane.controller {
        out +=
            &rect("controller", time, (*from, *to), (y - 2.0, 2.0), &title("active controller", *from, *to));
    }
    for span in &lane.states {
        let title = title(word(span.state), span.from_ns, span.to_ns);
        out += &rect(word(span.state), time, (span.from_ns, span.to_ns), (y, 9.0), &title);
    }
    out
}

/// Many hosts in one lane: how many of them are up.
pub(crate) fn group(name: &str, lanes: &[&Lane], time: TimeAxis, y: f64) -> String {
    let mut changes: Vec<(u64, i64)> = Vec::new();
    for span in lanes.iter().flat_map(|l| &l.states).filter(|s| s.state == HostState::Up) {
        changes.extend([(span.from_ns, 1), (span.to_ns, -1)]);
    }
    changes.sort_unstable();
    let mut counts: Vec<(u64, u32)> = vec![(0, 0)];
    let mut up = 0;
    for (at, change) in changes.into_iter().filter(|(at, _)| *at < time.end_ns()) {
        up += change;
        let count = u32::try_from(up).unwrap_or(0);
        match counts.last_mut() {
            Some(last) if last.0 == at => last.1 = count,
            _ => counts.push((at, count)),
        }
    }
    counts.dedup_by_key(|(_, count)| *count);
    let all = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
    let whole = [StateSpan { from_ns: 0, to_ns: time.end_ns(), state: HostState::Up }];
    let mut out = host_name("host plain", name, y + 12.0, 19);
    out += &rect("up", time, (0, time.end_ns()), (y, 16.0), "");
    out += &steps(&counts, "clients", "up:", time, &whole, (y, 16.0), all);
    out
}

/// The stretches in which the process was there.
fn running(lane: &Lane) -> Vec<StateSpan> {
    lane.states.iter().filter(|s| s.state != HostState::Down).cloned().collect()
}

/// Bars as high as the counts, with the count where there is room for it.
fn steps(
    counts: &[(u64, u32)],
    class: &str,
    what: &str,
    time: TimeAxis,
    within: &[StateSpan],
    (y, height): (f64, f64),
    full: u32,
) -> String {
    let mut out = String::new();
    let mut next = 0;
    for (i, (from, n)) in counts.iter().enumerate() {
        let to = counts.get(i + 1).map_or(time.end_ns(), |(next, _)| *next);
        // Both lists are in order: what ended before this count began is of no use to later ones either.
        while within.get(next).is_some_and(|s| s.to_ns <= *from) {
            next += 1;
        }
        for span in within[next..].iter().take_while(|s| s.from_ns < to) {
            let (from, to) = ((*from).max(span.from_ns), to.min(span.to_ns));
            if to <= from {
                continue;
            }
            let share = f64::from(*n) / f64::from(full.max(1));
            let high = (height * share.min(1.0)).max(f64::from(u8::from(*n > 0)));
            let partitions = if class == "clients" { String::new() } else { " partitions".to_owned() };
            let title = title(&format!("{what} {}{partitions}", count(u64::from(*n))), from, to);
            if high > 0.0 {
                out += &rect(class, time, (from, to), (y + height - high, high), &title);
            }
            let label = n.to_string();
            if time.x(to) - time.x(from) >= 7.0 * label.len() as f64 + 5.0 {
                let (x, y) = (time.x(from) + 4.0, y + height / 2.0 + 3.5);
                out += &format!(r#"<text class="n" x="{x:.1}" y="{y:.1}">{label}</text>"#);
            }
        }
    }
    out
}

/// `down` and `paused` written into their bars, where there is room.
fn state_words(lane: &Lane, time: TimeAxis, y: f64) -> String {
    let mut out = String::new();
    for span in lane.states.iter().filter(|s| s.state != HostState::Up) {
        let (from, to) = (time.x(span.from_ns), time.x(span.to_ns));
        let word = word(span.state);
        if to - from >= 7.0 * word.len() as f64 + 6.0 {
            let x = (from + to) / 2.0;
            out += &format!(r#"<text class="state" x="{x:.1}" y="{y:.1}">{word}</text>"#);
        }
    }
    out
}

pub(crate) fn rect(
    class: &str,
    time: TimeAxis,
    span: (u64, u64),
    (y, height): (f64, f64),
    title: &str,
) -> String {
    let x = time.x(span.0);
    let width = (time.x(span.1) - x).max(1.0);
    format!(
        r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}">{title}</rect>"#
    )
}

/// What a pointer over a shape tells.
pub(crate) fn title(what: &str, from_ns: u64, to_ns: u64) -> String {
    let what = esc(what);
    if from_ns == to_ns {
        format!("<title>{what}, at {} s</title>", seconds(from_ns))
    } else {
        format!("<title>{what}, {} s to {} s</title>", seconds(from_ns), seconds(to_ns))
    }
}

fn host_name(class: &str, name: &str, y: f64, max: usize) -> String {
    let short = shortened(name, max);
    let title = if short == name { String::new() } else { format!("<title>{}</title>", esc(name)) };
    format!(r#"<text class="{class}" x="0" y="{y:.1}">{}{title}</text>"#, esc(&short))
}

/// A state's name, which is the class of its shapes too.
pub(crate) fn word(state: HostState) -> &'static str {
    match state {
        HostState::Up => "up",
        HostState::Down => "down",
        HostState::Paused => "paused",
    }
}
