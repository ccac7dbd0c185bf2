//! Records made by hand, for tests and the example.

use std::collections::BTreeMap;

use trial_reports::*;

pub const MS: u64 = 1_000_000;
pub const S: u64 = 1_000_000_000;

/// A run as a leader's power loss leaves it: 3 brokers, 6 clients, 60 s under load, broker-2 off from 20 s to 30 s.
pub fn leader_crash() -> RunRecord {
    let end = 64 * S;
    let mut noise = Noise(7);
    let mut series = Series { interval_ns: S, ..Series::default() };
    for second in 0..64u64 {
        let load = second < 60;
        let outage = (20..22).contains(&second);
        let catching_up = (22..24).contains(&second);
        let sent = if load { 1_000 } else { 0 };
        let acked = match (load, outage, catching_up) {
            (false, ..) => 0,
            (_, true, _) => 660 + noise.below(20),
            (_, _, true) => 1_330 + noise.below(20),
            _ => 996 + noise.below(8),
        };
        let p50 = if load { 900_000 + noise.below(400_000) } else { 0 };
        let slow = if outage {
            900 * MS
        } else if catching_up {
            1_600 * MS
        } else {
            3 * MS
        };
        series.sent.push(sent);
        series.acked.push(acked);
        series.acked_bytes.push(acked * (210 + noise.below(20)));
        series.read.push(acked);
        series.produce_p50.push(p50);
        series.produce_p99.push(if load { slow + noise.below(slow / 3) } else { 0 });
        series.produce_max.push(if load { 2 * slow + noise.below(slow / 2) } else { 0 });
        series.end_to_end_p50.push(if load { 2 * p50 + noise.below(MS) } else { 0 });
        series.end_to_end_p99.push(if load { 2 * slow + noise.below(slow / 3) } else { 0 });
        series.end_to_end_max.push(if load { 3 * slow + noise.below(slow / 2) } else { 0 });
    }
    let fault = FaultSpan {
        from_ns: 20 * S,
        to_ns: 30 * S,
        hosts: vec!["broker-2".into()],
        what: "cut the power of broker-2".into(),
    };
    let gaps = [(0, 2_112), (3, 2_207), (1, 412), (2, 388), (4, 401), (5, 397)];
    RunRecord {
        schema: SCHEMA.into(),
        scenario: "leader-crash".into(),
        about: "The leader of orders-0 loses power under load; nothing acknowledged may be lost.".into(),
        engine: "world".into(),
        profile: "zero-cost".into(),
        seed: 7,
        variant: String::new(),
        commit: "0dc1754".into(),
        verdict: Verdict::Pass,
        trace_hash: "5f0c9a7be1d24c30a8b95d8e44f7c2a1".into(),
        simulated_ns: end,
        wall_ns: 431 * MS,
        events: 412_345,
        rpcs: 187_210,
        scheduled_records: 60_000,
        sent_records: 60_000,
        acked_records: 60_000,
        failed_records: 0,
        failures: BTreeMap::new(),
        lost_records: 0,
        transactions: Transactions::default(),
        pipelines: vec![],
        outside: None,
        read_records: 60_000,
        violations: vec![],
        expectations: vec![
            expectation("reaches controller-fenced-broker", true, "reached"),
            expectation("reaches leader-elected", true, "reached"),
            expectation("reaches isr-expanded", true, "reached"),
            expectation("acknowledges at least 1 records", true, "60000 records"),
        ],
        checkers: [
            "acked-record-lost",
            "duplicate-record",
            "consumer-order",
            "leader-completeness",
            "log-matching",
        ]
        .map(String::from)
        .to_vec(),
        latency_ns: Latencies {
            produce: distribution(60_000, 620_000, 3_900 * MS),
            end_to_end: distribution(60_000, 1_240_000, 4_300 * MS),
        },
        compression: Compression { record_bytes: 13_120_544, batch_bytes: 6_402_118 },
        unavailability: gaps
            .map(|(partition, ms)| Unavailability {
                partition: format!("orders-{partition}"),
                fault: fault.what.clone(),
                from_ns: 20 * S - 4 * MS,
                to_ns: Some(20 * S + ms * MS),
            })
            .to_vec(),
        series,
        timeline: Timeline { lanes: lanes(end), faults: vec![fault], events: events() },
        fault_plan: "[[fault]]\nat = \"20s\"\npower_off = \"broker-2\"\nfor = \"10s\"\n".into(),
        checkpoints: (1..5)
            .map(|i| (i * 100_000, i * 15 * S, format!("{:032x}", u128::from(i) << 90 | 0x5f0c)))
            .collect(),
    }
}

/// A run in which something was lost.
pub fn unclean() -> RunRecord {
    let mut record = leader_crash();
    record.scenario = "unclean-election".into();
    record.about = "Every in-sync replica of orders-0 is gone, and an outsider takes over.".into();
    record.verdict = Verdict::Fail;
    record.violations = [true, false]
        .map(|expected| ViolationRecord {
            property: if expected { "acked-record-lost" } else { "leader-completeness" }.into(),
            at_ns: 31 * S + 400 * MS,
            evidence: vec![
                "record 2/4711 was acknowledged at 19.998 s: orders-0 offset 3301, leader epoch 4".into(),
                "the log of broker-3 ends at 3288, leader epoch 5".into(),
            ],
            trace: vec![
                "29.999 s broker-1 controller-fenced-broker broker=2".into(),
                "30.001 s broker-1 unclean-leader-elected orders-0 leader=3 leader_epoch=5".into(),
            ],
            expected,
        })
        .to_vec();
    record.expectations[1] = expectation("reaches isr-expanded", false, "never happened after load began");
    record.timeline.events.push(event(
        31 * S,
        "broker-1",
        "unclean-leader-elected",
        "orders-0 leader=3 leader_epoch=5",
    ));
    record.timeline.events.push(event(
        31 * S + 200 * MS,
        "broker-2",
        "log-truncated",
        "orders-0 from=3301 to=3288",
    ));
    record.timeline.faults.push(FaultSpan {
        from_ns: 25 * S,
        to_ns: 29 * S,
        hosts: vec!["broker-1".into(), "producer-0".into()],
        what: "cut the network between [broker-1, producer-0] and all others".into(),
    });
    record.timeline.faults.push(FaultSpan {
        from_ns: 55 * S,
        to_ns: 55 * S,
        hosts: vec!["broker-3".into()],
        what: "make broker-3 give up the leadership of the quorum".into(),
    });
    record.timeline.lanes[2].states =
        vec![state(0, 40, HostState::Up), state(40, 46, HostState::Paused), state(46, 64, HostState::Up)];
    record.unavailability[2].to_ns = None;
    record
}

/// The smallest run there is: nothing was sent, nothing failed.
pub fn empty() -> RunRecord {
    RunRecord {
        simulated_ns: 0,
        wall_ns: 0,
        sent_records: 0,
        acked_records: 0,
        read_records: 0,
        expectations: vec![],
        latency_ns: Latencies::default(),
        compression: Compression::default(),
        unavailability: vec![],
        series: Series::default(),
        timeline: Timeline::default(),
        fault_plan: String::new(),
        checkpoints: vec![],
        checkers: vec![],
        ..leader_crash()
    }
}

/// A run with more of everything than a page should show.
pub fn crowd() -> RunRecord {
    let mut record = leader_crash();
    let template = record.timeline.lanes.clone();
    record.timeline.lanes = (0..400)
        .map(|i| Lane { host: format!("host-{i}"), broker: i < 200, ..template[i % template.len()].clone() })
        .collect();
    record.timeline.faults = (0..300)
        .map(|i| FaultSpan {
            from_ns: i * S / 5,
            to_ns: i * S / 5 + S,
            hosts: vec![format!("host-{i}")],
            what: format!("kill the process of host-{i}"),
        })
        .collect();
    record.timeline.events =
        (0..20_000).map(|i| event(i * 3 * MS, "host-3", "isr-shrunk", "orders-0 isr=1,3")).collect();
    record.series.sent = vec![1_000; 5_000];
    record.series.interval_ns = 10 * MS;
    record
}

/// A run with few of everything, whose text tries to be markup.
pub fn small() -> RunRecord {
    let mut record = leader_crash();
    record.scenario = "small & <b>bold</b>".into();
    record.about = "\"Quoted\" <script>alert(1)</script>".into();
    record.variant = "group.protocol=consumer, transaction.version=1".into();
    record.transactions = Transactions { committed: 30, aborted: 2, unknown: 1 };
    record.pipelines = vec![PipelineRecord {
        group: "billing <i>".into(),
        semantics: "exactly-once".into(),
        from: "orders".into(),
        to: "invoices".into(),
        inputs: 10,
        committed: 9,
        outputs: 9,
        ..PipelineRecord::default()
    }];
    record.simulated_ns = 3 * S;
    record.series = Series {
        interval_ns: S,
        sent: vec![10, 10, 0],
        acked: vec![10, 4, 6],
        acked_bytes: vec![1_000, 400, 600],
        read: vec![10, 0, 10],
        produce_p50: vec![MS, 2 * MS, 900 * MS],
        produce_p99: vec![2 * MS, 3 * MS, 950 * MS],
        produce_max: vec![2 * MS, 4 * MS, 960 * MS],
        end_to_end_p50: vec![2 * MS, 0, 920 * MS],
        end_to_end_p99: vec![3 * MS, 0, 970 * MS],
        end_to_end_max: vec![3 * MS, 0, 980 * MS],
    };
    let d = |scale: u64| Distribution {
        count: 20,
        min: MS,
        p50: 2 * MS,
        p90: 900 * MS,
        p99: 960 * MS,
        p99_9: 960 * MS,
        p99_99: 960 * MS,
        max: 960 * MS * scale,
        curve: vec![(0, MS), (500_000, 2 * MS), (900_000, 900 * MS), (1_000_000, 960 * MS * scale)],
    };
    record.latency_ns = Latencies { produce: d(1), end_to_end: d(2) };
    record.timeline.lanes.retain(|l| ["broker-2", "producer-0"].contains(&l.host.as_str()));
    record.timeline.lanes[0].states =
        vec![state(0, 1, HostState::Up), state(1, 2, HostState::Down), state(2, 3, HostState::Up)];
    record.timeline.lanes[0].leads = vec![(0, 2), (S, 0), (2 * S, 1)];
    record.timeline.lanes[0].in_isr = vec![(0, 2), (S, 0), (2 * S, 2)];
    record.timeline.lanes[1].states = vec![state(0, 3, HostState::Up)];
    record.timeline.faults = vec![FaultSpan {
        from_ns: S,
        to_ns: 2 * S,
        hosts: vec!["broker-2".into()],
        what: "cut the power of <broker-2>".into(),
    }];
    record.timeline.events = vec![
        event(S, "broker-2", "leader-elected", "orders-0 leader=2 leader_epoch=1"),
        event(2 * S, "producer-0", "client-error", "gave up, \"quietly\",\nat last"),
    ];
    record.unavailability.truncate(1);
    record.checkpoints.truncate(1);
    record
}

struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

fn expectation(what: &str, met: bool, found: &str) -> Expectation {
    Expectation { what: what.into(), met, found: found.into() }
}

fn state(from_s: u64, to_s: u64, state: HostState) -> StateSpan {
    StateSpan { from_ns: from_s * S, to_ns: to_s * S, state }
}

fn event(at_ns: u64, host: &str, kind: &str, what: &str) -> TimelineEvent {
    TimelineEvent { at_ns, host: host.into(), kind: kind.into(), what: format!("{kind} {what}") }
}

/// Most values near `min`, a few up to `max`.
fn distribution(count: u64, min: u64, max: u64) -> Distribution {
    let quantiles = [
        0, 100_000, 250_000, 500_000, 750_000, 900_000, 950_000, 975_000, 987_500, 990_000, 995_000, 997_500,
        999_000, 999_500, 999_900, 999_950, 1_000_000,
    ];
    let shape = [0, 2, 4, 8, 12, 18, 28, 60, 200, 320, 500, 620, 760, 840, 930, 960, 1_000];
    let at =
        |per_mille: u64| if per_mille < 100 { min + min * per_mille / 10 } else { max / 1_000 * per_mille };
    let curve: Vec<(u32, u64)> = quantiles.iter().zip(shape).map(|(q, s)| (*q, at(s))).collect();
    let value = |q: u32| curve.iter().find(|(quantile, _)| *quantile >= q).map_or(max, |(_, v)| *v);
    Distribution {
        count,
        min,
        p50: value(500_000),
        p90: value(900_000),
        p99: value(990_000),
        p99_9: value(999_000),
        p99_99: value(999_900),
        max,
        curve,
    }
}

fn lanes(end: u64) -> Vec<Lane> {
    let up = vec![StateSpan { from_ns: 0, to_ns: end, state: HostState::Up }];
    let broker = |host: &str| Lane { host: host.into(), broker: true, states: up.clone(), ..Lane::default() };
    let mut lanes = vec![
        Lane {
            leads: vec![(S, 2), (22 * S, 3), (35 * S, 2)],
            in_isr: vec![(S, 6)],
            controller: vec![(600 * MS, end)],
            ..broker("broker-1")
        },
        Lane {
            states: vec![
                state(0, 20, HostState::Up),
                state(20, 30, HostState::Down),
                state(30, 64, HostState::Up),
            ],
            leads: vec![(S, 2), (20 * S, 0), (35 * S, 2)],
            in_isr: vec![(S, 6), (22 * S, 0), (32 * S, 2), (33 * S, 6)],
            ..broker("broker-2")
        },
        Lane { leads: vec![(S, 2), (22 * S, 3), (35 * S, 2)], in_isr: vec![(S, 6)], ..broker("broker-3") },
    ];
    let clients = ["producer-0", "producer-1", "producer-2", "producer-3", "consumer-0", "consumer-1"];
    lanes.extend(clients.map(|host| Lane { host: host.into(), states: up.clone(), ..Lane::default() }));
    lanes
}

fn events() -> Vec<TimelineEvent> {
    let mut events = vec![event(500 * MS, "broker-1", "quorum-leader-elected", "epoch=1")];
    for broker in 1..=3 {
        events.push(event(
            700 * MS + broker * 40 * MS,
            "broker-1",
            "controller-unfenced-broker",
            &format!("broker={broker}"),
        ));
    }
    for partition in 0..6 {
        let what = format!("orders-{partition} leader={} leader_epoch=0", partition % 3 + 1);
        events.push(event(S + partition * MS, "broker-1", "leader-elected", &what));
    }
    events.push(event(22 * S, "broker-1", "controller-fenced-broker", "broker=2"));
    for (partition, leader) in [(0, 1), (3, 3)] {
        let what = format!("orders-{partition} leader={leader} leader_epoch=1");
        events.push(event(22 * S + partition * MS, "broker-1", "leader-elected", &what));
    }
    for partition in [1, 2, 4, 5] {
        let host = if partition % 2 == 1 { "broker-1" } else { "broker-3" };
        events.push(event(
            22 * S + 300 * MS + partition * MS,
            host,
            "isr-shrunk",
            &format!("orders-{partition} isr=1,3"),
        ));
    }
    events.push(event(30 * S + 100 * MS, "broker-2", "broker-started", ""));
    events.push(event(30 * S + 900 * MS, "broker-1", "controller-unfenced-broker", "broker=2"));
    for partition in 0..6 {
        let host = if partition % 2 == 1 { "broker-1" } else { "broker-3" };
        let at = 32 * S + partition * 200 * MS;
        events.push(event(at, host, "isr-expanded", &format!("orders-{partition} isr=1,2,3")));
    }
    for partition in [0, 3] {
        events.push(event(
            35 * S,
            "broker-1",
            "leader-elected",
            &format!("orders-{partition} leader=2 leader_epoch=2"),
        ));
    }
    events
}
