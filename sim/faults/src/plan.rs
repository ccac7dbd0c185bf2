//! A fault plan: faults with their times, in the form of a scenario's `[[fault]]` tables.

use serde::{Deserialize, Serialize};
use trial_node::{Span, Time};

use crate::disk::{self, DiskForm};
use crate::fault::{Fault, FaultKind, Leadership, LeadershipForm, Links};
use crate::quantity;
use crate::target::{Hosts, Target};

/// One fault of a plan: what, when, for how long, how often.
///
/// ```toml
/// [[fault]]
/// at = "20s"
/// power_off = { leader_of = "orders-0" }
/// for = "10s"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "EntryForm<T>",
    into = "EntryForm<T>",
    bound(deserialize = "T: Deserialize<'de>", serialize = "T: Clone + Serialize")
)]
pub struct FaultEntry<T = Target> {
    /// When it is injected first, from the start of the run.
    pub at: Span,
    /// What goes wrong.
    pub fault: Fault<T>,
    /// How long until it heals. Without it, it never does; a restart starts again as soon as it has stopped.
    pub lasts: Option<Span>,
    /// Injected how often in all, at least once, and how long from one injection to the next.
    pub repeats: Option<Repeats>,
}

/// A fault that is injected several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// From one injection to the next. Not shorter than the fault lasts.
    pub every: Span,
    /// How often in all, at least 1.
    pub times: u32,
}

/// A list of faults: a scenario's `[[fault]]` tables, or a file that holds nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>", serialize = "T: Clone + Serialize"))]
pub struct FaultPlan<T = Target> {
    /// The faults, in the order in which they are written.
    #[serde(rename = "fault", default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<FaultEntry<T>>,
}

/// Something to do at one instant of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Time,
    /// Which entry of the plan.
    pub entry: usize,
    /// Which of its injections, from 0.
    pub repetition: u32,
    /// What to do.
    pub what: What,
}

/// What to do with an injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Heal what was injected.
    Heal,
    /// Resolve the targets and inject it.
    Inject,
}

/// A `[[fault]]` table that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It names no fault.
    #[error("no fault: one of {}", FaultKind::ALL.map(FaultKind::name).join(", "))]
    NoFault,
    /// It names several.
    #[error("{first} and {second} in one fault: give each its own [[fault]] table")]
    TwoFaults {
        /// One.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// `every` without `times`, or the other way round.
    #[error("every and times belong together: give both or neither")]
    HalfRepeats,
    /// A value out of its range.
    #[error("{key}: {what}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl<T> Default for FaultPlan<T> {
    fn default() -> Self {
        FaultPlan { entries: Vec::new() }
    }
}

impl<T> FaultEntry<T> {
    /// A fault that happens once.
    pub fn once(at: Span, fault: Fault<T>, lasts: Option<Span>) -> FaultEntry<T> {
        FaultEntry { at, fault, lasts, repeats: None }
    }
}

impl<T> FaultPlan<T> {
    /// Everything that there is to do, in order of time. At one instant what heals comes first; after that the order is
    /// that of the plan.
    pub fn schedule(&self) -> Vec<Moment> {
        let mut moments = Vec::new();
        for (entry, fault) in self.entries.iter().enumerate() {
            let repeats = fault.repeats.unwrap_or(Repeats { every: Span::ZERO, times: 1 });
            let lasts = match fault.fault {
                Fault::Restart(_) => Some(fault.lasts.unwrap_or(Span::ZERO)),
                _ if fault.fault.is_instant() => None,
                _ => fault.lasts,
            };
            for repetition in 0..repeats.times {
                let at = Time::ZERO + fault.at + repeats.every.times(u64::from(repetition));
                moments.push(Moment { at, entry, repetition, what: What::Inject });
                moments.extend(lasts.map(|lasts| Moment {
                    at: at + lasts,
                    entry,
                    repetition,
                    what: What::Heal,
                }));
            }
        }
        // Stable; a restart without a pause is injected and healed at one instant, in that order.
        moments.sort_by_key(|m| {
            let instant_heal = m.what == What::Heal && self.entries[m.entry].lasts.is_none();
            (m.at, if instant_heal { What::Inject } else { m.what })
        });
        moments
    }

    /// When the last fault heals; what lasts for ever does not count. Zero for an empty plan.
    pub fn last_heal(&self) -> Time {
        self.schedule().last().map_or(Time::ZERO, |moment| moment.at)
    }
}

impl<T: Clone + Serialize> FaultPlan<T> {
    /// The plan as people write it: each fault in one line of its `[[fault]]` table.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let table = toml::Table::try_from(entry).expect("a fault is made of tables, text and numbers");
            let kind = entry.fault.kind().name();
            let lines = ["at", kind, "for", "every", "times"].into_iter();
            let lines = lines.filter_map(|key| Some(format!("{key} = {}\n", table.get(key)?)));
            let blank = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{blank}[[fault]]\n{}", lines.collect::<String>()));
        }
        text
    }
}

impl From<FaultPlan<Hosts>> for FaultPlan<Target> {
    fn from(plan: FaultPlan<Hosts>) -> Self {
        let target = |hosts: &Hosts| -> Result<Target, std::convert::Infallible> {
            let mut names: Vec<_> = hosts.names().iter().cloned().map(Target::Host).collect();
            Ok(if names.len() == 1 { names.remove(0) } else { Target::Many(names) })
        };
        let entries = plan.entries.into_iter().map(|entry| {
            let Ok(fault) = entry.fault.map(target);
            FaultEntry { at: entry.at, fault, lasts: entry.lasts, repeats: entry.repeats }
        });
        FaultPlan { entries: entries.collect() }
    }
}

/// The table as it is written: the fault's kind is a key beside its times.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>", serialize = "T: Clone + Serialize"))]
struct EntryForm<T> {
    #[serde(with = "quantity::span")]
    at: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    kill: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_off: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<Links<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_delay: Option<LinkDelayForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_bandwidth: Option<LinkBandwidthForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_disk: Option<SlowDiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fsync_stall: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew: Option<ClockSkewForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_leadership: Option<LeadershipForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_error: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_full: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_write: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_fsync: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit_rot: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misdirected_write: Option<DiskForm<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_lost: Option<DiskForm<T>>,
    #[serde(
        rename = "for",
        default,
        with = "quantity::span::option",
        skip_serializing_if = "Option::is_none"
    )]
    lasts: Option<Span>,
    #[serde(default, with = "quantity::span::option", skip_serializing_if = "Option::is_none")]
    every: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkDelayForm<T> {
    on: Links<T>,
    #[serde(with = "quantity::span")]
    add: Span,
    #[serde(default, with = "quantity::span", skip_serializing_if = "is_zero")]
    jitter: Span,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkBandwidthForm<T> {
    on: Links<T>,
    #[serde(with = "quantity::bandwidth")]
    limit: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowDiskForm<T> {
    on: T,
    factor: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockSkewForm<T> {
    on: T,
    #[serde(default, with = "quantity::signed_span", skip_serializing_if = "is_none")]
    offset: i64,
    #[serde(default, skip_serializing_if = "is_right")]
    ppm: i32,
}

fn is_zero(span: &Span) -> bool {
    *span == Span::ZERO
}

fn is_none(offset: &i64) -> bool {
    *offset == 0
}

fn is_right(ppm: &i32) -> bool {
    *ppm == 0
}

impl<T> EntryForm<T> {
    /// The table without any fault.
    fn bare(at: Span, lasts: Option<Span>, repeats: Option<Repeats>) -> Self {
        EntryForm {
            at,
            kill: None,
            power_off: None,
            restart: None,
            pause: None,
            partition: None,
            link_delay: None,
            link_bandwidth: None,
            slow_disk: None,
            fsync_stall: None,
            clock_skew: None,
            transfer_leadership: None,
            disk_error: None,
            disk_full: None,
            torn_write: None,
            lost_fsync: None,
            bit_rot: None,
            misdirected_write: None,
            file_lost: None,
            lasts,
            every: repeats.map(|r| r.every),
            times: repeats.map(|r| r.times),
        }
    }
}

pub(crate) fn value(key: &'static str, what: impl Into<String>) -> PlanError {
    PlanError::Value { key, what: what.into() }
}

fn checked_links<T>(key: &'static str, on: Links<T>) -> Result<Links<T>, PlanError> {
    match &on {
        Links::Between(groups) if groups.len() < 2 => {
            Err(value(key, "between needs at least two groups, as in between = [\"broker-1\", \"broker-2\"]"))
        }
        _ => Ok(on),
    }
}

impl<T> TryFrom<EntryForm<T>> for FaultEntry<T> {
    type Error = PlanError;

    fn try_from(form: EntryForm<T>) -> Result<Self, PlanError> {
        let delay = form.link_delay.map(|d| -> Result<_, PlanError> {
            Ok(Fault::LinkDelay { on: checked_links("link_delay", d.on)?, add: d.add, jitter: d.jitter })
        });
        let bandwidth = form.link_bandwidth.map(|b| -> Result<_, PlanError> {
            Ok(Fault::LinkBandwidth { on: checked_links("link_bandwidth", b.on)?, limit: b.limit })
        });
        let slow = form.slow_disk.map(|s| match s.factor {
            0 => Err(value("slow_disk", "factor must be at least 1")),
            factor => Ok(Fault::SlowDisk { on: s.on, factor }),
        });
        let skew = form.clock_skew.map(|c| match (c.offset, c.ppm) {
            (0, 0) => Err(value("clock_skew", "give offset, ppm or both, as in offset = \"-5s\"")),
            (offset, ppm) if ppm > -1_000_000 => Ok(Fault::ClockSkew { on: c.on, offset, ppm }),
            _ => Err(value("clock_skew", "ppm must be above -1000000: clocks do not run backwards")),
        });
        let transfer = form.transfer_leadership.map(Leadership::try_from).transpose();
        let transfer = transfer.map_err(|what| value("transfer_leadership", what))?;
        let disk =
            |kind: FaultKind, form: Option<DiskForm<T>>| form.map(|form| form.checked(kind)).transpose();
        let partition = form.partition.map(|on| checked_links("partition", on)).transpose()?;
        let mut faults = [
            form.kill.map(Fault::Kill),
            form.power_off.map(Fault::PowerOff),
            form.restart.map(Fault::Restart),
            form.pause.map(Fault::Pause),
            partition.map(Fault::Partition),
            delay.transpose()?,
            bandwidth.transpose()?,
            slow.transpose()?,
            form.fsync_stall.map(Fault::FsyncStall),
            skew.transpose()?,
            transfer.map(Fault::TransferLeadership),
            disk(FaultKind::DiskError, form.disk_error)?,
            disk(FaultKind::DiskFull, form.disk_full)?,
            disk(FaultKind::TornWrite, form.torn_write)?,
            disk(FaultKind::LostFsync, form.lost_fsync)?,
            disk(FaultKind::BitRot, form.bit_rot)?,
            disk(FaultKind::MisdirectedWrite, form.misdirected_write)?,
            disk(FaultKind::FileLost, form.file_lost)?,
        ]
        .into_iter()
        .flatten();
        let fault = faults.next().ok_or(PlanError::NoFault)?;
        if let Some(other) = faults.next() {
            return Err(PlanError::TwoFaults { first: fault.kind().name(), second: other.kind().name() });
        }

        let repeats = match (form.every, form.times) {
            (None, None) => None,
            (Some(every), Some(times)) => Some(Repeats { every, times }),
            _ => return Err(PlanError::HalfRepeats),
        };
        if let Some(Repeats { every, times }) = repeats {
            if times == 0 {
                return Err(value("times", "must be at least 1"));
            }
            if form.lasts.is_some_and(|lasts| lasts > every) {
                return Err(value("every", "must not be shorter than for"));
            }
        }
        if fault.is_instant() && form.lasts.is_some() {
            return Err(value("for", "this fault is over at once: leave it out"));
        }
        Ok(FaultEntry { at: form.at, fault, lasts: form.lasts, repeats })
    }
}

impl<T> From<FaultEntry<T>> for EntryForm<T> {
    fn from(entry: FaultEntry<T>) -> Self {
        let mut form = EntryForm::bare(entry.at, entry.lasts, entry.repeats);
        match entry.fault {
            Fault::Kill(on) => form.kill = Some(on),
            Fault::PowerOff(on) => form.power_off = Some(on),
            Fault::Restart(on) => form.restart = Some(on),
            Fault::Pause(on) => form.pause = Some(on),
            Fault::Partition(on) => form.partition = Some(on),
            Fault::LinkDelay { on, add, jitter } => form.link_delay = Some(LinkDelayForm { on, add, jitter }),
            Fault::LinkBandwidth { on, limit } => form.link_bandwidth = Some(LinkBandwidthForm { on, limit }),
            Fault::SlowDisk { on, factor } => form.slow_disk = Some(SlowDiskForm { on, factor }),
            Fault::FsyncStall(on) => form.fsync_stall = Some(on),
            Fault::ClockSkew { on, offset, ppm } => form.clock_skew = Some(ClockSkewForm { on, offset, ppm }),
            Fault::TransferLeadership(leadership) => form.transfer_leadership = Some(leadership.into()),
            Fault::Disk { on, part, what } => {
                let place = match disk::kind(&what) {
                    FaultKind::DiskFull => &mut form.disk_full,
                    FaultKind::TornWrite => &mut form.torn_write,
                    FaultKind::LostFsync => &mut form.lost_fsync,
                    FaultKind::BitRot => &mut form.bit_rot,
                    FaultKind::MisdirectedWrite => &mut form.misdirected_write,
                    FaultKind::FileLost => &mut form.file_lost,
                    _ => &mut form.disk_error,
                };
                *place = Some(DiskForm::of(on, part, what));
            }
        }
        form
    }
}
