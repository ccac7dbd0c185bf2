//! The history in the form of Jepsen's Kafka workload (`jepsen.tests.kafka`), so that its checker, or Elle, can judge it.
//!
//! An operation is a pair of maps, `:invoke` and then `:ok`, `:fail` or `:info`, of one process; `:f` is `:send`, `:poll`,
//! `:txn` or `:assign`, the value a vector of `[:send k [offset v]]` and `[:poll {k [[offset v] …]}]`. A key stands for a
//! partition; comments at the top say which. What differs from a Jepsen run:
//! - a producer has many records in flight, a Jepsen process one operation; so each send that is not part of a transaction takes
//!   a process that is free;
//! - a record that was never acknowledged and never read has a partition that nobody knows: it is left out, for no anomaly can
//!   involve it;
//! - members of a group show as `:assign`, whenever their partitions change, and so does a position that jumps. One that reads
//!   within transactions does so as their producer's process; what happens to it during a transaction shows after it;
//! - who reads what is not committed, from a topic with transactions, is left out: that workload knows only
//!   `isolation.level=read_committed`, and would call every such read an anomaly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use trial_node::{
    ClientEvent, GroupEvent, Offset, PolledRecord, RecordId, Time, TopicPartition, TransactionEvent,
    TransactionId, TransactionOutcome,
};

/// The history, a map a line. `read_uncommitted` names the consumers with that `isolation.level`.
pub fn history_edn(history: &[(Time, ClientEvent)], read_uncommitted: &BTreeSet<u32>) -> String {
    let known = Known::of(history, read_uncommitted);
    let mut writer = Writer::new(&known);
    for (at, event) in history {
        writer.event(*at, event);
    }
    let end = history.last().map_or(Time::ZERO, |(at, _)| *at);
    writer.finish(end);
    let mut text = String::new();
    for (tp, key) in &known.keys {
        writeln!(text, "; key {key} is {tp}").expect("a string grows");
    }
    for consumer in &known.left_out {
        writeln!(text, "; consumer {consumer} is left out: it reads what is not committed")
            .expect("a string grows");
    }
    for (index, op) in writer.ops.iter().enumerate() {
        op.write(index, &mut text);
    }
    text
}

/// What is known of partitions and records once the run is over.
struct Known {
    keys: BTreeMap<TopicPartition, u32>,
    records: BTreeMap<RecordId, Place>,
    /// The producers within whose transactions consumers read.
    transactors: BTreeMap<u32, u32>,
    /// Consumers that read what is not committed.
    left_out: BTreeSet<u32>,
}

/// Where a record went.
#[derive(Clone, Copy)]
struct Place {
    key: u32,
    offset: Option<Offset>,
}

impl Known {
    fn of(history: &[(Time, ClientEvent)], read_uncommitted: &BTreeSet<u32>) -> Known {
        let mut partitions = BTreeSet::new();
        let (mut transactors, mut open, mut transactional) =
            (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for (_, event) in history {
            match event {
                ClientEvent::Transaction(TransactionEvent::Begun { id, consumer }) => {
                    open.insert(id.producer);
                    transactors.extend(consumer.map(|consumer| (consumer, id.producer)));
                }
                ClientEvent::Transaction(TransactionEvent::Ended { id, .. }) => {
                    open.remove(&id.producer);
                }
                ClientEvent::SendInvoked { id, .. } if open.contains(&id.producer) => {
                    transactional.insert(*id);
                }
                ClientEvent::SendAcked { tp, .. }
                | ClientEvent::Polled { tp, .. }
                | ClientEvent::PositionReset { tp, .. } => {
                    partitions.insert(tp);
                }
                ClientEvent::Group(GroupEvent::Assigned { partitions: assigned, .. }) => {
                    partitions.extend(assigned);
                }
                _ => {}
            }
        }
        let keys: BTreeMap<TopicPartition, u32> = partitions.into_iter().cloned().zip(0..).collect();
        let (mut records, mut left_out) = (BTreeMap::new(), BTreeSet::new());
        for (_, event) in history {
            match event {
                ClientEvent::SendAcked { producer, sequences, tp, base_offset } => {
                    for (nth, &sequence) in (0..).zip(sequences) {
                        let offset = (*base_offset != Offset::UNKNOWN).then(|| *base_offset + nth);
                        let id = RecordId { producer: *producer, sequence };
                        records.insert(id, Place { key: keys[tp], offset });
                    }
                }
                ClientEvent::Polled { consumer, tp, records: polled } => {
                    let hidden =
                        |record: &PolledRecord| record.id.is_some_and(|id| transactional.contains(&id));
                    if read_uncommitted.contains(consumer) && polled.iter().any(hidden) {
                        left_out.insert(*consumer);
                    }
                    for record in polled {
                        if let Some(id) = record.id {
                            records.entry(id).or_insert(Place { key: keys[tp], offset: None });
                        }
                    }
                }
                _ => {}
            }
        }
        Known { keys, records, transactors, left_out }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Clone)]
enum Micro {
    Send { key: u32, value: u64, offset: Option<Offset> },
    Poll { key: u32, records: Vec<(Offset, u64)> },
}

enum Value {
    Micro(Vec<Micro>),
    Keys(Vec<u32>),
}

struct Op {
    process: u32,
    kind: Kind,
    f: &'static str,
    at: Time,
    value: Value,
}

impl Op {
    fn write(&self, index: usize, out: &mut String) {
        let kind = match self.kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let (process, at, f) = (self.process, self.at.0, self.f);
        write!(out, "{{:index {index}, :time {at}, :process {process}, :type :{kind}, :f :{f}, :value [")
            .expect("a string grows");
        match &self.value {
            Value::Keys(keys) => {
                let keys: Vec<String> = keys.iter().map(u32::to_string).collect();
                out.push_str(&keys.join(" "));
            }
            Value::Micro(micros) => {
                for (nth, micro) in micros.iter().enumerate() {
                    out.push_str(if nth == 0 { "" } else { " " });
                    micro.write(self.kind, out);
                }
            }
        }
        out.push_str("]}\n");
    }
}

impl Micro {
    fn write(&self, kind: Kind, out: &mut String) {
        let written = match self {
            Micro::Send { key, value, .. } if kind == Kind::Invoke => write!(out, "[:send {key} {value}]"),
            Micro::Send { key, value, offset: Some(offset) } => {
                write!(out, "[:send {key} [{offset} {value}]]")
            }
            Micro::Send { key, value, offset: None } => write!(out, "[:send {key} [nil {value}]]"),
            Micro::Poll { .. } if kind == Kind::Invoke => write!(out, "[:poll]"),
            Micro::Poll { key, records } => {
                let records: Vec<String> = records.iter().map(|(o, v)| format!("[{o} {v}]")).collect();
                write!(out, "[:poll {{{key} [{}]}}]", records.join(" "))
            }
        };
        written.expect("a string grows");
    }
}

/// Who does operations, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Consumer(u32),
    Producer(u32),
}

/// A transaction that is not over.
struct Open {
    invoked: usize,
    process: u32,
    consumer: Option<u32>,
    micros: Vec<Micro>,
    /// Polls while it ends.
    late: Vec<Micro>,
    committing: bool,
}

struct Writer<'a> {
    known: &'a Known,
    ops: Vec<Op>,
    processes: BTreeMap<Actor, u32>,
    /// Processes that are free for a send.
    free: BTreeSet<u32>,
    next_process: u32,
    /// Sends that are not over, with their process.
    sends: BTreeMap<RecordId, u32>,
    open: BTreeMap<u32, (TransactionId, Open)>,
    assigned: BTreeMap<u32, BTreeSet<u32>>,
    /// By producer: what its transaction's consumer was assigned since the transaction began.
    deferred: BTreeMap<u32, Vec<Vec<u32>>>,
}

/// A record's value: as unique as its id, and within what Clojure calls a long.
fn value(id: RecordId) -> u64 {
    (u64::from(id.producer) << 40) | (id.sequence & ((1 << 40) - 1))
}

impl<'a> Writer<'a> {
    fn new(known: &'a Known) -> Writer<'a> {
        Writer {
            known,
            ops: Vec::new(),
            processes: BTreeMap::new(),
            free: BTreeSet::new(),
            next_process: 0,
            sends: BTreeMap::new(),
            open: BTreeMap::new(),
            assigned: BTreeMap::new(),
            deferred: BTreeMap::new(),
        }
    }

    fn event(&mut self, at: Time, event: &ClientEvent) {
        match event {
            ClientEvent::SendInvoked { id, .. } => self.send(at, *id),
            ClientEvent::SendAcked { producer, sequences, .. } => {
                self.sent(at, *producer, sequences, Kind::Ok);
            }
            ClientEvent::SendFailed { producer, sequences, ambiguous, .. } => {
                self.sent(at, *producer, sequences, if *ambiguous { Kind::Info } else { Kind::Fail });
            }
            ClientEvent::Polled { consumer, .. } if self.known.left_out.contains(consumer) => {}
            ClientEvent::Polled { consumer, tp, records } => {
                let values = records.iter().filter_map(|r| r.id.map(|id| (r.offset, value(id))));
                let poll = Micro::Poll { key: self.known.keys[tp], records: values.collect() };
                match self.open.values_mut().find(|(_, open)| open.consumer == Some(*consumer)) {
                    Some((_, open)) if !open.committing => open.micros.push(poll),
                    // Its process is busy: the transaction ends.
                    Some((_, open)) => open.late.push(poll),
                    None => {
                        self.whole(at, self.actor(*consumer), "poll", &|| Value::Micro(vec![poll.clone()]))
                    }
                }
            }
            ClientEvent::PositionReset { consumer, tp, from, .. } => {
                let key = self.known.keys[tp];
                if *from != Offset::UNKNOWN {
                    self.assign(at, *consumer, |keys| keys.remove(&key));
                }
                self.assign(at, *consumer, |keys| keys.insert(key));
            }
            ClientEvent::ClientStarted { consumers, first, count } => {
                for number in *first..*first + *count {
                    if *consumers {
                        self.assign(at, number, |keys| !std::mem::take(keys).is_empty());
                        self.processes.remove(&Actor::Consumer(number));
                    } else {
                        self.restarted(at, number);
                    }
                }
            }
            ClientEvent::Transaction(event) => self.transaction(at, event),
            ClientEvent::Group(event) => {
                let keys = |partitions: &[TopicPartition]| -> Vec<u32> {
                    partitions.iter().filter_map(|tp| self.known.keys.get(tp).copied()).collect()
                };
                match event {
                    GroupEvent::Assigned { consumer, partitions, .. } => {
                        let new = keys(partitions);
                        self.assign(at, *consumer, |keys| {
                            new.iter().fold(false, |any, k| keys.insert(*k) | any)
                        });
                    }
                    GroupEvent::Revoked { consumer, partitions }
                    | GroupEvent::Lost { consumer, partitions } => {
                        let old = keys(partitions);
                        self.assign(at, *consumer, |keys| {
                            old.iter().fold(false, |any, k| keys.remove(k) | any)
                        });
                    }
                    GroupEvent::CommitInvoked { .. }
                    | GroupEvent::CommitAcked { .. }
                    | GroupEvent::CommitFailed { .. } => {}
                }
            }
        }
    }

    fn transaction(&mut self, at: Time, event: &TransactionEvent) {
        match event {
            TransactionEvent::Begun { id, consumer } => {
                let process = self.process(Actor::Producer(id.producer));
                let invoked = self.ops.len();
                self.ops.push(Op { process, kind: Kind::Invoke, f: "txn", at, value: Value::Micro(vec![]) });
                let (micros, late) = (Vec::new(), Vec::new());
                let open = Open { invoked, process, consumer: *consumer, micros, late, committing: false };
                self.open.insert(id.producer, (*id, open));
            }
            TransactionEvent::Ending { id, commit } => {
                if let Some((_, open)) = self.open.get_mut(&id.producer) {
                    open.committing = *commit;
                }
            }
            TransactionEvent::Ended { id, outcome } => {
                let kind = match outcome {
                    TransactionOutcome::Committed => Kind::Ok,
                    TransactionOutcome::Aborted => Kind::Fail,
                    TransactionOutcome::Unknown { .. } => Kind::Info,
                };
                self.end(at, id.producer, kind);
            }
        }
    }

    /// Completes a producer's open transaction.
    fn end(&mut self, at: Time, producer: u32, kind: Kind) {
        let Some((_, open)) = self.open.remove(&producer) else { return };
        let polled = |micro: &Micro| match micro {
            Micro::Poll { key, .. } => Some(*key),
            Micro::Send { .. } => None,
        };
        let polled: BTreeSet<u32> = open.micros.iter().filter_map(polled).collect();
        self.ops[open.invoked].value = Value::Micro(open.micros.clone());
        self.ops.push(Op { process: open.process, kind, f: "txn", at, value: Value::Micro(open.micros) });
        if kind == Kind::Info {
            self.processes.remove(&Actor::Producer(producer));
        }
        if let Some(consumer) = open.consumer.filter(|_| kind == Kind::Fail) {
            self.goes_on(at, consumer, &polled);
        }
        for keys in self.deferred.remove(&producer).unwrap_or_default() {
            self.whole(at, Actor::Producer(producer), "assign", &|| Value::Keys(keys.clone()));
        }
        for poll in open.late {
            self.whole(at, Actor::Producer(producer), "poll", &|| Value::Micro(vec![poll.clone()]));
        }
    }

    /// Whoever has polled within a transaction that failed has gone on all the same, where Jepsen's clients go back.
    fn goes_on(&mut self, at: Time, consumer: u32, polled: &BTreeSet<u32>) {
        self.assign(at, consumer, |keys| {
            let before = keys.len();
            keys.retain(|key| !polled.contains(key));
            keys.len() < before
        });
        self.assign(at, consumer, |keys| {
            keys.extend(polled);
            !polled.is_empty()
        });
    }

    fn send(&mut self, at: Time, id: RecordId) {
        let Some(place) = self.known.records.get(&id) else { return };
        let micro = Micro::Send { key: place.key, value: value(id), offset: place.offset };
        if let Some((_, open)) = self.open.get_mut(&id.producer) {
            open.micros.push(micro);
            return;
        }
        let process = self.free.pop_first().unwrap_or_else(|| self.new_process());
        self.ops.push(Op { process, kind: Kind::Invoke, f: "send", at, value: Value::Micro(vec![micro]) });
        self.sends.insert(id, process);
    }

    fn sent(&mut self, at: Time, producer: u32, sequences: &[u64], kind: Kind) {
        for &sequence in sequences {
            let id = RecordId { producer, sequence };
            // Those of transactions end with them.
            let Some(process) = self.sends.remove(&id) else { continue };
            let place = self.known.records[&id];
            let offset = place.offset.filter(|_| kind == Kind::Ok);
            let value = Value::Micro(vec![Micro::Send { key: place.key, value: value(id), offset }]);
            self.ops.push(Op { process, kind, f: "send", at, value });
            // In Jepsen a process whose operation has no certain end does no other.
            if kind != Kind::Info {
                self.free.insert(process);
            }
        }
    }

    /// An operation that begins and ends in one instant.
    fn whole(&mut self, at: Time, actor: Actor, f: &'static str, value: &dyn Fn() -> Value) {
        let process = self.process(actor);
        self.ops.push(Op { process, kind: Kind::Invoke, f, at, value: value() });
        self.ops.push(Op { process, kind: Kind::Ok, f, at, value: value() });
    }

    fn assign(&mut self, at: Time, consumer: u32, change: impl FnOnce(&mut BTreeSet<u32>) -> bool) {
        if self.known.left_out.contains(&consumer) {
            return;
        }
        let keys = self.assigned.entry(consumer).or_default();
        if !change(keys) {
            return;
        }
        let keys: Vec<u32> = keys.iter().copied().collect();
        match self.actor(consumer) {
            Actor::Producer(producer) if self.open.contains_key(&producer) => {
                self.deferred.entry(producer).or_default().push(keys);
            }
            actor => self.whole(at, actor, "assign", &|| Value::Keys(keys.clone())),
        }
    }

    /// Who does what a consumer does: where one process polls and another has the assignments, no jump is explained.
    fn actor(&self, consumer: u32) -> Actor {
        self.known.transactors.get(&consumer).map_or(Actor::Consumer(consumer), |p| Actor::Producer(*p))
    }

    /// A producer's process began anew: what it had begun has no certain end, unless it had not asked to commit.
    fn restarted(&mut self, at: Time, producer: u32) {
        let committing = self.open.get(&producer).is_some_and(|(_, open)| open.committing);
        self.end(at, producer, if committing { Kind::Info } else { Kind::Fail });
        self.processes.remove(&Actor::Producer(producer));
        let first = RecordId { producer, sequence: 0 };
        let last = RecordId { producer, sequence: u64::MAX };
        let lost: Vec<u64> = self.sends.range(first..=last).map(|(id, _)| id.sequence).collect();
        self.sent(at, producer, &lost, Kind::Info);
    }

    fn finish(&mut self, at: Time) {
        let producers: BTreeSet<u32> =
            self.open.keys().copied().chain(self.sends.keys().map(|id| id.producer)).collect();
        for producer in producers {
            self.restarted(at, producer);
        }
    }

    fn process(&mut self, actor: Actor) -> u32 {
        if let Some(process) = self.processes.get(&actor) {
            return *process;
        }
        let process = self.new_process();
        self.processes.insert(actor, process);
        process
    }

    fn new_process(&mut self) -> u32 {
        self.next_process += 1;
        self.next_process - 1
    }
}
