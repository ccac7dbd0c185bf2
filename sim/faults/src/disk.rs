//! Faults of disks, as a plan writes them: `disk_error = { on = "broker-1", partition = "orders-0", ops = ["read"] }`.

use serde::{Deserialize, Serialize};
use trial_storage::disk::fault::{DiskFault, DiskPart, FailingOps};

use crate::fault::{Fault, FaultKind};
use crate::plan::{PlanError, value};
use crate::quantity::{self, format_bytes};
use crate::target::parse_partition;

/// The table of any fault of a disk. Which keys belong to which fault is checked when it becomes one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiskForm<T> {
    on: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<OpForm>>,
    #[serde(default, with = "quantity::bytes::option", skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpForm {
    Read,
    Write,
    Sync,
}

/// What a file is called unless a plan says otherwise: a segment.
const SEGMENT: &str = "log";

/// A disk's fault as its sentence ends.
pub(crate) fn describe(what: &DiskFault, part: &DiskPart, on: &impl std::fmt::Display) -> String {
    match what {
        DiskFault::Error(ops) => {
            let all = [("reads", ops.read), ("writes", ops.write), ("syncs", ops.sync)];
            let failing: Vec<&str> = all.iter().filter(|(_, fails)| *fails).map(|(name, _)| *name).collect();
            format!("fail {} on {part} of {on} with EIO", failing.join(" and "))
        }
        DiskFault::Full(None) => format!("leave no space for {part} of {on}"),
        DiskFault::Full(Some(bytes)) => format!("leave {} for {part} of {on}", format_bytes(*bytes)),
        DiskFault::TornWrite => format!("tear by sectors what {part} of {on} has not synced when power goes"),
        DiskFault::LostFsync => format!("lose every fsync on {part} of {on}, and say that it was done"),
        DiskFault::BitRot { file, bits } => {
            let what = if *bits == 1 { "a bit".to_owned() } else { format!("{bits} bits") };
            format!("flip {what} at rest in a file called {file} in {part} of {on}")
        }
        DiskFault::MisdirectedWrite => format!("misdirect the next write to a log in {part} of {on}"),
        DiskFault::FileLost { file } => format!("lose a file called {file} in {part} of {on}"),
    }
}

/// The kind of a disk's fault.
pub(crate) fn kind(what: &DiskFault) -> FaultKind {
    match what {
        DiskFault::Error(_) => FaultKind::DiskError,
        DiskFault::Full(_) => FaultKind::DiskFull,
        DiskFault::TornWrite => FaultKind::TornWrite,
        DiskFault::LostFsync => FaultKind::LostFsync,
        DiskFault::BitRot { .. } => FaultKind::BitRot,
        DiskFault::MisdirectedWrite => FaultKind::MisdirectedWrite,
        DiskFault::FileLost { .. } => FaultKind::FileLost,
    }
}

impl<T> DiskForm<T> {
    /// The fault of this kind that the table says.
    pub(crate) fn checked(self, kind: FaultKind) -> Result<Fault<T>, PlanError> {
        let name = kind.name();
        let stray = |key: &str| Err(value(name, format!("{key} does not belong here")));
        if self.ops.is_some() && kind != FaultKind::DiskError {
            return stray("ops");
        }
        if self.capacity.is_some() && kind != FaultKind::DiskFull {
            return stray("capacity");
        }
        if self.bits.is_some() && kind != FaultKind::BitRot {
            return stray("bits");
        }
        if self.file.is_some() && !matches!(kind, FaultKind::BitRot | FaultKind::FileLost) {
            return stray("file");
        }
        let part = match (self.dir, self.partition) {
            (None, None) => DiskPart::Everything,
            (Some(dir), None) if !dir.is_empty() && !dir.contains('/') => DiskPart::LogDir(dir),
            (Some(dir), None) => {
                let plain = dir.trim_matches('/');
                let what = match plain.is_empty() || plain.contains('/') {
                    true => "dir is the name of one log directory, as in dir = \"d1\"".to_owned(),
                    false => format!("dir = {dir:?}: write it without the slash, {plain:?}"),
                };
                return Err(value(name, what));
            }
            (None, Some(text)) => {
                DiskPart::Partition(parse_partition(&text).map_err(|what| value(name, what))?)
            }
            (Some(_), Some(_)) => return Err(value(name, "give dir or partition, not both")),
        };
        let file = self.file.unwrap_or_else(|| SEGMENT.to_owned());
        if file.is_empty() || file.contains('/') {
            return Err(value(name, "file is a file's name, or what it ends with, as in file = \"index\""));
        }
        let what = match kind {
            FaultKind::DiskError => DiskFault::Error(match self.ops {
                None => FailingOps::ALL,
                Some(ops) if ops.is_empty() => {
                    return Err(value(name, "ops: at least one of \"read\", \"write\" and \"sync\""));
                }
                Some(ops) => FailingOps {
                    read: ops.contains(&OpForm::Read),
                    write: ops.contains(&OpForm::Write),
                    sync: ops.contains(&OpForm::Sync),
                },
            }),
            FaultKind::DiskFull => DiskFault::Full(self.capacity),
            FaultKind::TornWrite => DiskFault::TornWrite,
            FaultKind::LostFsync => DiskFault::LostFsync,
            FaultKind::BitRot => match self.bits.unwrap_or(1) {
                0 => return Err(value(name, "bits must be at least 1")),
                bits => DiskFault::BitRot { file, bits },
            },
            FaultKind::MisdirectedWrite => DiskFault::MisdirectedWrite,
            FaultKind::FileLost => DiskFault::FileLost { file },
            _ => unreachable!("the caller has a disk's fault"),
        };
        Ok(Fault::Disk { on: self.on, part, what })
    }

    /// The table of a fault, to be written.
    pub(crate) fn of(on: T, part: DiskPart, what: DiskFault) -> DiskForm<T> {
        let (dir, partition) = match part {
            DiskPart::Everything => (None, None),
            DiskPart::LogDir(dir) => (Some(dir), None),
            DiskPart::Partition(tp) => (None, Some(tp.to_string())),
        };
        let mut form = DiskForm { on, dir, partition, ops: None, capacity: None, file: None, bits: None };
        match what {
            DiskFault::Error(FailingOps::ALL) | DiskFault::TornWrite | DiskFault::LostFsync => {}
            DiskFault::MisdirectedWrite => {}
            DiskFault::Error(ops) => {
                let all = [(OpForm::Read, ops.read), (OpForm::Write, ops.write), (OpForm::Sync, ops.sync)];
                form.ops = Some(all.into_iter().filter(|(_, fails)| *fails).map(|(op, _)| op).collect());
            }
            DiskFault::Full(capacity) => form.capacity = capacity,
            DiskFault::BitRot { file, bits } => {
                form.file = Some(file).filter(|file| file != SEGMENT);
                form.bits = Some(bits).filter(|bits| *bits != 1);
            }
            DiskFault::FileLost { file } => form.file = Some(file).filter(|file| file != SEGMENT),
        }
        form
    }
}
