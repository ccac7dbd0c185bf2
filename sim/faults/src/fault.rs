//! One thing that goes wrong.

use std::fmt;

use serde::{Deserialize, Serialize};
use trial_node::{Span, TopicPartition};
use trial_storage::disk::fault::{DiskFault, DiskPart};

use crate::disk;
use crate::quantity::{format_bandwidth, format_signed_span};
use crate::target::{Hosts, ResolveError, Roles, Target, parse_partition};

/// One thing that goes wrong, to hosts that `T` names.
///
/// Its `Display` is the sentence of a run's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault<T = Target> {
    /// SIGKILL: the process dies, its page cache stays. Healing starts it again.
    Kill(T),
    /// The machine loses power: what was not synced may be lost. Healing starts it again.
    PowerOff(T),
    /// SIGTERM: the process stops in an orderly way. Healing starts it again, once it has stopped.
    Restart(T),
    /// SIGSTOP: the process does nothing, its kernel still takes what arrives. Healing is SIGCONT.
    Pause(T),
    /// Nothing gets through.
    Partition(Links<T>),
    /// What gets through takes longer.
    LinkDelay {
        /// Where.
        on: Links<T>,
        /// How much longer each way, at least.
        add: Span,
        /// Up to how much more than that, drawn anew for each message.
        jitter: Span,
    },
    /// Links carry no more than so much, in each direction.
    LinkBandwidth {
        /// Where.
        on: Links<T>,
        /// Bytes per second, at least 1.
        limit: u64,
    },
    /// Everything that a disk does takes longer.
    SlowDisk {
        /// Whose.
        on: T,
        /// How many times as long, at least 1. A disk without any modelled cost stays without.
        factor: u32,
    },
    /// No fsync returns before the fault heals.
    FsyncStall(T),
    /// The wall clock, and only that, is wrong. Healing sets it right at once, which may be a jump back.
    ClockSkew {
        /// Whose.
        on: T,
        /// By how much it jumps at first, in nanoseconds.
        offset: i64,
        /// How much faster than right it runs, in parts per million.
        ppm: i32,
    },
    /// An operator moves leadership elsewhere.
    TransferLeadership(Leadership<T>),
    /// Something is wrong with what a disk holds, or with what it does.
    Disk {
        /// Whose.
        on: T,
        /// Which part of it.
        part: DiskPart,
        /// What.
        what: DiskFault,
    },
}

/// A fault whose roles have become names of hosts: what happened, and what a replay does.
pub type ResolvedFault = Fault<Hosts>;

/// Which links a fault touches. A host's link to itself is never touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Links<T = Target> {
    /// Both ways between any two hosts of different groups. Hosts in no group are not touched.
    #[serde(rename = "between")]
    Between(Vec<T>),
    /// Both ways between these hosts and all others; not among themselves.
    #[serde(rename = "around")]
    Around(T),
    /// One way: from these hosts to all others.
    #[serde(rename = "out_of")]
    OutOf(T),
    /// One way: from all others to these hosts.
    #[serde(rename = "into")]
    Into(T),
}

/// Which leadership is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership<T = Target> {
    /// The quorum leader gives up; the others elect one of themselves.
    Quorum(T),
    /// A partition goes to its preferred leader (ElectLeaders, which an admin client must send: the world does not).
    Partition(TopicPartition),
}

/// A fault's kind, as TOML and the nemesis name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "as in Fault")]
pub enum FaultKind {
    Kill,
    PowerOff,
    Restart,
    Pause,
    Partition,
    LinkDelay,
    LinkBandwidth,
    SlowDisk,
    FsyncStall,
    ClockSkew,
    TransferLeadership,
    DiskError,
    DiskFull,
    TornWrite,
    LostFsync,
    BitRot,
    MisdirectedWrite,
    FileLost,
}

impl FaultKind {
    /// Every kind there is.
    pub const ALL: [FaultKind; 18] = [
        FaultKind::Kill,
        FaultKind::PowerOff,
        FaultKind::Restart,
        FaultKind::Pause,
        FaultKind::Partition,
        FaultKind::LinkDelay,
        FaultKind::LinkBandwidth,
        FaultKind::SlowDisk,
        FaultKind::FsyncStall,
        FaultKind::ClockSkew,
        FaultKind::TransferLeadership,
        FaultKind::DiskError,
        FaultKind::DiskFull,
        FaultKind::TornWrite,
        FaultKind::LostFsync,
        FaultKind::BitRot,
        FaultKind::MisdirectedWrite,
        FaultKind::FileLost,
    ];

    /// Whether a replica may lose what it had synced, or its directory until somebody repairs it.
    pub fn harms_disks(self) -> bool {
        use FaultKind::{BitRot, DiskError, DiskFull, FileLost, LostFsync, MisdirectedWrite, TornWrite};
        matches!(self, DiskError | DiskFull | TornWrite | LostFsync | BitRot | MisdirectedWrite | FileLost)
    }

    /// Its name in TOML.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Kill => "kill",
            FaultKind::PowerOff => "power_off",
            FaultKind::Restart => "restart",
            FaultKind::Pause => "pause",
            FaultKind::Partition => "partition",
            FaultKind::LinkDelay => "link_delay",
            FaultKind::LinkBandwidth => "link_bandwidth",
            FaultKind::SlowDisk => "slow_disk",
            FaultKind::FsyncStall => "fsync_stall",
            FaultKind::ClockSkew => "clock_skew",
            FaultKind::TransferLeadership => "transfer_leadership",
            FaultKind::DiskError => "disk_error",
            FaultKind::DiskFull => "disk_full",
            FaultKind::TornWrite => "torn_write",
            FaultKind::LostFsync => "lost_fsync",
            FaultKind::BitRot => "bit_rot",
            FaultKind::MisdirectedWrite => "misdirected_write",
            FaultKind::FileLost => "file_lost",
        }
    }
}

impl<T> Links<T> {
    fn map<U, E>(&self, f: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Links<U>, E> {
        Ok(match self {
            Links::Between(groups) => Links::Between(groups.iter().map(f).collect::<Result<_, E>>()?),
            Links::Around(hosts) => Links::Around(f(hosts)?),
            Links::OutOf(hosts) => Links::OutOf(f(hosts)?),
            Links::Into(hosts) => Links::Into(f(hosts)?),
        })
    }
}

impl Links<Hosts> {
    /// The directed links, each from one host to another, among hosts that are numbered from 0 to `hosts` - 1 and that `find`
    /// knows by name. A link between hosts that two groups name appears as often.
    pub fn directed(&self, hosts: u32, find: impl Fn(&str) -> Option<u32>) -> Vec<(u32, u32)> {
        let ids = |hosts: &Hosts| hosts.names().iter().filter_map(|name| find(name)).collect::<Vec<_>>();
        let others = |ids: &[u32]| (0..hosts).filter(|id| !ids.contains(id)).collect::<Vec<_>>();
        let sides = match self {
            Links::Between(groups) => {
                let groups: Vec<Vec<u32>> = groups.iter().map(ids).collect();
                let pairs = (0..groups.len()).flat_map(|i| (0..groups.len()).map(move |j| (i, j)));
                let pairs = pairs.filter(|(i, j)| i != j);
                pairs.map(|(i, j)| (groups[i].clone(), groups[j].clone())).collect::<Vec<_>>()
            }
            Links::Around(hosts) => {
                let (inside, outside) = (ids(hosts), others(&ids(hosts)));
                vec![(inside.clone(), outside.clone()), (outside, inside)]
            }
            Links::OutOf(hosts) => vec![(ids(hosts), others(&ids(hosts)))],
            Links::Into(hosts) => vec![(others(&ids(hosts)), ids(hosts))],
        };
        let mut links = Vec::new();
        for (senders, receivers) in sides {
            for from in senders {
                links.extend(receivers.iter().filter(|to| **to != from).map(|to| (from, *to)));
            }
        }
        links
    }
}

impl<T> Fault<T> {
    /// The same fault with every target replaced by what `f` makes of it, in the order in which the fault holds them.
    ///
    /// # Errors
    /// The first of `f`.
    pub fn map<U, E>(&self, mut f: impl FnMut(&T) -> Result<U, E>) -> Result<Fault<U>, E> {
        Ok(match self {
            Fault::Kill(on) => Fault::Kill(f(on)?),
            Fault::PowerOff(on) => Fault::PowerOff(f(on)?),
            Fault::Restart(on) => Fault::Restart(f(on)?),
            Fault::Pause(on) => Fault::Pause(f(on)?),
            Fault::Partition(on) => Fault::Partition(on.map(&mut f)?),
            Fault::LinkDelay { on, add, jitter } => {
                Fault::LinkDelay { on: on.map(&mut f)?, add: *add, jitter: *jitter }
            }
            Fault::LinkBandwidth { on, limit } => Fault::LinkBandwidth { on: on.map(&mut f)?, limit: *limit },
            Fault::SlowDisk { on, factor } => Fault::SlowDisk { on: f(on)?, factor: *factor },
            Fault::FsyncStall(on) => Fault::FsyncStall(f(on)?),
            Fault::ClockSkew { on, offset, ppm } => {
                Fault::ClockSkew { on: f(on)?, offset: *offset, ppm: *ppm }
            }
            Fault::TransferLeadership(Leadership::Quorum(on)) => {
                Fault::TransferLeadership(Leadership::Quorum(f(on)?))
            }
            Fault::TransferLeadership(Leadership::Partition(tp)) => {
                Fault::TransferLeadership(Leadership::Partition(tp.clone()))
            }
            Fault::Disk { on, part, what } => {
                Fault::Disk { on: f(on)?, part: part.clone(), what: what.clone() }
            }
        })
    }

    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Fault::Kill(_) => FaultKind::Kill,
            Fault::PowerOff(_) => FaultKind::PowerOff,
            Fault::Restart(_) => FaultKind::Restart,
            Fault::Pause(_) => FaultKind::Pause,
            Fault::Partition(_) => FaultKind::Partition,
            Fault::LinkDelay { .. } => FaultKind::LinkDelay,
            Fault::LinkBandwidth { .. } => FaultKind::LinkBandwidth,
            Fault::SlowDisk { .. } => FaultKind::SlowDisk,
            Fault::FsyncStall(_) => FaultKind::FsyncStall,
            Fault::ClockSkew { .. } => FaultKind::ClockSkew,
            Fault::TransferLeadership(_) => FaultKind::TransferLeadership,
            Fault::Disk { what, .. } => disk::kind(what),
        }
    }

    /// Whether the fault is over as soon as it has happened: there is nothing to heal.
    pub fn is_instant(&self) -> bool {
        match self {
            Fault::TransferLeadership(_) => true,
            Fault::Disk { what, .. } => what.is_instant(),
            _ => false,
        }
    }
}

impl Fault<Target> {
    /// The fault with names instead of roles, as the roles are played now.
    ///
    /// # Errors
    /// [`ResolveError`]: a name or index that does not exist is a wrong plan; a role that nobody plays now
    /// ([`ResolveError::Vacant`]) means that there is nothing to inject.
    pub fn resolve(&self, roles: &impl Roles) -> Result<ResolvedFault, ResolveError> {
        self.map(|target| target.resolve(roles))
    }

    /// Calls `each` with every single target of the fault, so that a loader can check names and partitions.
    pub fn for_each_target(&self, each: &mut dyn FnMut(&Target)) {
        let walked: Result<Fault<()>, std::convert::Infallible> = self.map(|target| {
            target.for_each(each);
            Ok(())
        });
        match walked {
            Ok(_) => {}
        }
    }
}

impl ResolvedFault {
    /// The names of all hosts that the fault mentions, sorted, each once: the timeline's lanes that it is drawn in.
    pub fn hosts(&self) -> Hosts {
        let mut names = Vec::new();
        let walked: Result<Fault<()>, std::convert::Infallible> = self.map(|hosts| {
            names.extend_from_slice(hosts.names());
            Ok(())
        });
        match walked {
            Ok(_) => Hosts::new(names),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Links<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Links::Between(groups) => {
                f.write_str("between ")?;
                for (i, group) in groups.iter().enumerate() {
                    write!(f, "{}[{group}]", if i == 0 { "" } else { " and " })?;
                }
                Ok(())
            }
            Links::Around(hosts) => write!(f, "between [{hosts}] and all others"),
            Links::OutOf(hosts) => write!(f, "from [{hosts}] to all others"),
            Links::Into(hosts) => write!(f, "from all others to [{hosts}]"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Fault<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(on) => write!(f, "kill the process of {on}"),
            Fault::PowerOff(on) => write!(f, "cut the power of {on}"),
            Fault::Restart(on) => write!(f, "restart {on} in an orderly way"),
            Fault::Pause(on) => write!(f, "pause the process of {on}"),
            Fault::Partition(on) => write!(f, "cut the network {on}"),
            Fault::LinkDelay { on, add, jitter } => {
                write!(f, "delay what travels {on} by {add}")?;
                if *jitter > Span::ZERO { write!(f, " and up to {jitter} more") } else { Ok(()) }
            }
            Fault::LinkBandwidth { on, limit } => {
                write!(f, "limit what travels {on} to {}", format_bandwidth(*limit))
            }
            Fault::SlowDisk { on, factor } => write!(f, "make the disk of {on} {factor} times as slow"),
            Fault::FsyncStall(on) => write!(f, "stall every fsync of {on}"),
            Fault::ClockSkew { on, offset, ppm } => {
                write!(f, "put the wall clock of {on} {} off, {ppm} ppm fast", format_signed_span(*offset))
            }
            Fault::TransferLeadership(Leadership::Quorum(on)) => {
                write!(f, "make {on} give up the leadership of the quorum")
            }
            Fault::TransferLeadership(Leadership::Partition(tp)) => {
                write!(f, "move the leadership of {tp} to its preferred replica")
            }
            Fault::Disk { on, part, what } => f.write_str(&disk::describe(what, part, on)),
        }
    }
}

/// How a leadership is written: `{ quorum = <target> }` or `{ partition = "orders-0" }`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LeadershipForm<T> {
    #[serde(rename = "quorum")]
    Quorum(T),
    #[serde(rename = "partition")]
    Partition(String),
}

impl<T> TryFrom<LeadershipForm<T>> for Leadership<T> {
    type Error = String;

    fn try_from(form: LeadershipForm<T>) -> Result<Self, String> {
        Ok(match form {
            LeadershipForm::Quorum(on) => Leadership::Quorum(on),
            LeadershipForm::Partition(text) => Leadership::Partition(parse_partition(&text)?),
        })
    }
}

impl<T> From<Leadership<T>> for LeadershipForm<T> {
    fn from(leadership: Leadership<T>) -> Self {
        match leadership {
            Leadership::Quorum(on) => LeadershipForm::Quorum(on),
            Leadership::Partition(tp) => LeadershipForm::Partition(tp.to_string()),
        }
    }
}
