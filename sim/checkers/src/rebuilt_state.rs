//! A log that is opened again is the log that it was.

use std::fmt::Debug;

use trial_node::view::{AbortedTransactionView, OpenTransactionView};
use trial_node::{Disk, LeaderEpoch, NodeId, Now, Offset};
use trial_storage::{LogOpen, ProducerDescription, UnifiedLog};

use crate::PropertyInfo;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "rebuilt-state",
    about: "When everything is over, a log that is opened once more from a copy of its disk, as after a crash of the process, \
            has the producers, leader epochs, last stable offset, open and aborted transactions that the running broker has.",
    source: "Kafka documentation, Log; KIP-98; KIP-101",
};

/// Everything that a log knows beyond its records.
#[derive(Debug, PartialEq, Eq)]
struct State {
    ends: (Offset, Offset),
    high_watermark: Offset,
    last_stable_offset: Offset,
    producers: Vec<ProducerDescription>,
    open: Vec<OpenTransactionView>,
    aborted: Vec<AbortedTransactionView>,
    /// Where each leader epoch that has records ends, from the newest back.
    epochs: Vec<(LeaderEpoch, Offset)>,
}

impl State {
    /// What `log` knows. A producer that is due to be forgotten may be, or not: the broker looks for those now and then, and
    /// one whose records bear old timestamps is due from its first record on. So may one whose records are all before the
    /// log's start: they are not read again.
    fn of(log: &UnifiedLog, now: Now) -> State {
        let forgotten = now.wall_ms.saturating_sub(log.config().producer_id_expiration_ms);
        let mut state = State {
            ends: (log.log_start_offset(), log.log_end_offset()),
            high_watermark: log.high_watermark(),
            last_stable_offset: log.last_stable_offset(),
            producers: Vec::new(),
            open: Vec::new(),
            aborted: Vec::new(),
            epochs: Vec::new(),
        };
        log.producers(&mut |producer| {
            let start = log.log_start_offset();
            let in_log = start == Offset::ZERO || producer.last_offset >= start;
            if producer.current_txn_first_offset.is_some() || (in_log && producer.last_timestamp > forgotten)
            {
                state.producers.push(producer);
            }
        });
        log.open_transactions(&mut |open| state.open.push(open));
        log.aborted_transactions(log.log_start_offset(), log.log_end_offset(), &mut |aborted| {
            state.aborted.push(aborted);
        });
        let mut next = log.latest_epoch();
        while let Some((epoch, end)) = next.and_then(|epoch| log.end_offset_for_epoch(epoch)) {
            // An epoch that has no records (yet) need not be remembered.
            if state.epochs.last().is_some_and(|(_, end_of_later)| *end_of_later == end) {
                state.epochs.pop();
            }
            state.epochs.push((epoch, end));
            next = (epoch.0 > 0).then(|| LeaderEpoch(epoch.0 - 1));
        }
        state.epochs.retain(|(_, end)| *end > log.log_start_offset());
        state
    }

    /// What differs between the running log and the one that was opened again.
    fn differences(&self, again: &State) -> Vec<String> {
        fn line<T: Debug + PartialEq>(what: &str, live: &T, again: &T) -> Option<String> {
            (live != again).then(|| format!("{what}: {live:?} live, {again:?} from disk"))
        }
        let only = |what: &str, live: Vec<String>, again: Vec<String>| {
            let first =
                |these: &[String], those: &[String]| these.iter().find(|e| !those.contains(e)).cloned();
            let (live_only, again_only) = (first(&live, &again), first(&again, &live));
            let show = |entry: Option<String>| entry.unwrap_or_else(|| "nothing".to_owned());
            (live != again).then(|| {
                format!("{what}: only live {}; only from disk {}", show(live_only), show(again_only))
            })
        };
        fn text<T: Debug>(list: &[T]) -> Vec<String> {
            list.iter().map(|entry| format!("{entry:?}")).collect()
        }
        [
            line("log start and end", &self.ends, &again.ends),
            line("high watermark", &self.high_watermark, &again.high_watermark),
            line("last stable offset", &self.last_stable_offset, &again.last_stable_offset),
            only("producers", text(&self.producers), text(&again.producers)),
            only("open transactions", text(&self.open), text(&again.open)),
            only("aborted transactions", text(&self.aborted), text(&again.aborted)),
            only("leader epochs", text(&self.epochs), text(&again.epochs)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Opens `live`'s log again from `disk`, a copy of its broker's.
pub(crate) fn judge(now: Now, node: NodeId, live: &UnifiedLog, disk: &mut dyn Disk, out: &mut Findings) {
    let options = LogOpen {
        clean_shutdown: false,
        recovery_point: live.recovery_point(),
        log_start_offset: live.log_start_offset(),
        high_watermark: live.high_watermark(),
        ..LogOpen::new(*live.config())
    };
    let folder = live.folder();
    let evidence = match UnifiedLog::open(disk, folder, options, now.wall_ms) {
        Err(error) => vec![error.to_string()],
        Ok((again, _)) => State::of(live, now).differences(&State::of(&again, now)),
    };
    if !evidence.is_empty() {
        let mut lines = vec![format!("broker {node}: {folder} is not the same when it is opened again")];
        lines.extend(evidence);
        out.report(now.mono, lines);
    }
}

#[cfg(test)]
mod tests {
    use trial_node::Time;
    use trial_storage::{AppendOrigin, LogConfig, SimDisk};
    use trial_wire::{BatchBuilder, Compression};

    use super::*;

    const NOW: Now = Now { mono: Time(5), wall_ms: 1_700_000_000_000 };

    fn append(log: &mut UnifiedLog, disk: &mut SimDisk, sequence: i32, epoch: i32) {
        append_at(log, disk, sequence, epoch, NOW.wall_ms);
    }

    fn append_at(log: &mut UnifiedLog, disk: &mut SimDisk, sequence: i32, epoch: i32, timestamp: i64) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(timestamp, None, Some(b"0123456789"), &[]);
        builder.producer(7, 0, sequence);
        let (batch, epoch) = (builder.build(), LeaderEpoch(epoch));
        log.append_as_leader(disk, &batch, epoch, AppendOrigin::Client, NOW.wall_ms)
            .expect("the batch is good and the disk has room");
    }

    fn differences(log: &UnifiedLog, disk: &SimDisk) -> Vec<String> {
        let mut copy = disk.clone();
        copy.crash_process();
        let mut findings = Findings::default();
        findings.of(INFO.name);
        judge(NOW, NodeId(1), log, &mut copy, &mut findings);
        findings.violations().iter().flat_map(|violation| violation.evidence.clone()).collect()
    }

    #[test]
    fn a_producer_of_old_records_is_due_to_be_forgotten() {
        let mut disk = SimDisk::new();
        let options = LogOpen::new(LogConfig::default());
        let (mut log, _) = UnifiedLog::open(&mut disk, "t-0", options, NOW.wall_ms).expect("an empty folder");
        append_at(&mut log, &mut disk, 0, 0, 5_000);
        let mut known = 0;
        log.producers(&mut |_| known += 1);
        assert_eq!(known, 1, "the running log has not looked yet");
        assert_eq!(differences(&log, &disk), Vec::<String>::new());
    }

    #[test]
    fn a_producer_whose_records_are_deleted_may_be_forgotten() {
        let mut disk = SimDisk::new();
        let options = LogOpen::new(LogConfig::default());
        let (mut log, _) = UnifiedLog::open(&mut disk, "t-0", options, NOW.wall_ms).expect("an empty folder");
        append(&mut log, &mut disk, 0, 0);
        log.update_high_watermark(log.log_end_offset());
        log.advance_log_start_offset(&mut disk, log.log_end_offset()).expect("the disk works");
        assert_eq!(differences(&log, &disk), Vec::<String>::new());
    }

    #[test]
    fn what_a_log_forgets_is_found() {
        let mut disk = SimDisk::new();
        let options = LogOpen::new(LogConfig::default());
        let (mut log, _) = UnifiedLog::open(&mut disk, "t-0", options, NOW.wall_ms).expect("an empty folder");
        // A new leader writes its epoch down before it has anything to append.
        log.assign_epoch_start(&mut disk, LeaderEpoch(0)).expect("the disk has room");
        assert_eq!(differences(&log, &disk), Vec::<String>::new());
        append(&mut log, &mut disk, 0, 0);
        append(&mut log, &mut disk, 1, 3);
        assert_eq!(differences(&log, &disk), Vec::<String>::new());
        // What the log holds in memory only.
        let mut elsewhere = disk.clone();
        append(&mut log, &mut elsewhere, 2, 4);
        let found = differences(&log, &disk);
        assert_eq!(found[0], "broker 1: t-0 is not the same when it is opened again");
        let kinds: Vec<&str> = found[1..].iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(kinds, ["log start and end", "producers", "leader epochs"]);
    }
}
