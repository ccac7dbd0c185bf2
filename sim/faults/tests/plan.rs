//! Fault plans as people write them.

use expect_test::{expect, expect_file};
use trial_faults::{Fault, FaultEntry, FaultPlan, Hosts, Links, ResolveError, Roles, Target, What};
use trial_node::{Span, TopicPartition};
use trial_wire::StrBytes;

fn plan(text: &str) -> FaultPlan {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    toml::from_str::<FaultPlan>(text).expect_err(text).to_string()
}

fn orders() -> TopicPartition {
    TopicPartition::new(StrBytes::from_static_str("orders"), 0)
}

/// `broker-0` leads everything and the quorum; nobody leads `lost-0`.
struct Cluster;

impl Roles for Cluster {
    fn is_host(&self, name: &str) -> bool {
        self.brokers().iter().chain(&self.clients()).any(|host| host == name)
    }
    fn brokers(&self) -> Vec<String> {
        ["broker-0", "broker-1", "broker-2"].map(str::to_owned).to_vec()
    }
    fn clients(&self) -> Vec<String> {
        ["produce-0", "consume-0"].map(str::to_owned).to_vec()
    }
    fn controller(&self) -> Option<String> {
        Some("broker-0".to_owned())
    }
    fn group_coordinator_of(&self, group: &str) -> Option<String> {
        (group == "billing").then(|| "broker-1".to_owned())
    }
    fn transaction_coordinator_of(&self, transactional_id: &str) -> Option<String> {
        (transactional_id == "billing-0").then(|| "broker-2".to_owned())
    }
    fn leader_of(&self, tp: &TopicPartition) -> Option<String> {
        (*tp == orders()).then(|| "broker-0".to_owned())
    }
    fn followers_of(&self, tp: &TopicPartition) -> Vec<String> {
        if *tp == orders() { self.brokers().split_off(1) } else { vec![] }
    }
}

#[test]
fn design_example_is_read() {
    let plan = plan("[[fault]]\nat = \"20s\"\npower_off = { leader_of = \"orders-0\" }\nfor = \"10s\"\n");
    let fault = Fault::PowerOff(Target::LeaderOf(orders()));
    let entry = FaultEntry::once(Span::from_secs(20), fault, Some(Span::from_secs(10)));
    assert_eq!(plan.entries, [entry]);
}

#[test]
fn every_fault_and_target_is_written_as_it_was_read() {
    let golden = expect_file!["golden/every_fault.toml"];
    let plan = plan(include_str!("golden/every_fault.toml"));
    let written = plan.to_toml();
    golden.assert_eq(&written);
    let kinds: std::collections::BTreeSet<_> = plan.entries.iter().map(|entry| entry.fault.kind()).collect();
    assert_eq!(kinds.len(), trial_faults::FaultKind::ALL.len());
}

#[test]
fn every_fault_has_a_sentence() {
    let plan = plan(include_str!("golden/every_fault.toml"));
    let sentences: Vec<String> = plan.entries.iter().map(|entry| entry.fault.to_string()).collect();
    expect![[r#"
        kill the process of broker 1
        cut the power of leader of orders-0
        restart broker-2 in an orderly way
        pause the process of controller
        cut the network between [leader of orders-0, all clients] and [followers of orders-0]
        cut the network from all others to [produce-0]
        delay what travels from [all brokers] to all others by 50.000ms and up to 10.000ms more
        limit what travels between [broker 0] and all others to 10MB/s
        make the disk of followers of orders-0 20 times as slow
        stall every fsync of broker 0
        put the wall clock of broker 2 -5s off, 200 ppm fast
        make controller give up the leadership of the quorum
        move the leadership of orders-0 to its preferred replica
        fail writes and syncs on log directory data-1 of broker-1 with EIO
        leave 64MB for the disk of broker 0
        tear by sectors what the disk of all brokers has not synced when power goes
        lose every fsync on the files of orders-0 of controller, and say that it was done
        flip 3 bits at rest in a file called index in the files of orders-0 of broker-2
        misdirect the next write to a log in the files of orders-0 of leader of orders-0
        lose a file called log in the files of orders-0 of broker-1"#]]
    .assert_eq(&sentences.join("\n"));
}

#[test]
fn what_makes_no_sense_says_so() {
    let cases = [
        "[[fault]]\nat = \"20s\"\nfor = \"1s\"\n",
        "[[fault]]\nat = \"20s\"\nkill = \"broker-0\"\npause = \"broker-1\"\n",
        "[[fault]]\nat = \"20s\"\nkil = \"broker-0\"\n",
        "[[fault]]\nat = \"20\"\nkill = \"broker-0\"\n",
        "[[fault]]\nkill = \"broker-0\"\n",
        "[[fault]]\nat = \"20s\"\nkill = { leader = \"orders-0\" }\n",
        "[[fault]]\nat = \"20s\"\nkill = { leader_of = \"orders\" }\n",
        "[[fault]]\nat = \"20s\"\nkill = { broker = 1, leader_of = \"orders-0\" }\n",
        "[[fault]]\nat = \"20s\"\nkill = []\n",
        "[[fault]]\nat = \"20s\"\nkill = 1\n",
        "[[fault]]\nat = \"20s\"\npartition = { between = [\"broker-0\"] }\n",
        "[[fault]]\nat = \"20s\"\nslow_disk = { on = \"broker-0\", factor = 0 }\n",
        "[[fault]]\nat = \"20s\"\nslow_disk = { on = \"broker-0\", factr = 3 }\n",
        "[[fault]]\nat = \"20s\"\nclock_skew = { on = \"broker-0\" }\n",
        "[[fault]]\nat = \"20s\"\nlink_bandwidth = { on = { around = \"broker-0\" }, limit = \"10MB\" }\n",
        "[[fault]]\nat = \"20s\"\nkill = \"broker-0\"\nevery = \"5s\"\n",
        "[[fault]]\nat = \"20s\"\nkill = \"broker-0\"\nfor = \"9s\"\nevery = \"5s\"\ntimes = 2\n",
        "[[fault]]\nat = \"20s\"\ntransfer_leadership = { quorum = \"controller\" }\nfor = \"5s\"\n",
        "[[fault]]\nat = \"20s\"\ndisk_full = { on = \"broker-0\", capacity = \"64\" }\n",
        "[[fault]]\nat = \"20s\"\ndisk_error = { on = \"broker-0\", bits = 1 }\n",
        "[[fault]]\nat = \"20s\"\nbit_rot = { on = \"broker-0\", dir = \"a\", partition = \"orders-0\" }\n",
        "[[fault]]\nat = \"20s\"\nfile_lost = { on = \"broker-0\" }\nfor = \"5s\"\n",
    ];
    let errors: Vec<String> = cases.iter().map(|case| format!("{case}{}", error(case))).collect();
    expect_file!["golden/errors.txt"].assert_eq(&errors.join("\n"));
}

#[test]
fn schedule_repeats_and_heals_before_it_injects() {
    let plan = plan(concat!(
        "[[fault]]\nat = \"1s\"\npause = \"a\"\nfor = \"2s\"\nevery = \"2s\"\ntimes = 2\n",
        "[[fault]]\nat = \"3s\"\nrestart = \"b\"\n",
        "[[fault]]\nat = \"2s\"\nkill = \"c\"\n",
    ));
    let schedule: Vec<_> =
        plan.schedule().iter().map(|m| (m.at.0 / 1_000_000_000, m.entry, m.repetition, m.what)).collect();
    let expected = [
        (1, 0, 0, What::Inject),
        (2, 2, 0, What::Inject),
        (3, 0, 0, What::Heal),
        (3, 0, 1, What::Inject),
        (3, 1, 0, What::Inject),
        (3, 1, 0, What::Heal),
        (5, 0, 1, What::Heal),
    ];
    assert_eq!(schedule, expected);
    assert_eq!(plan.last_heal().0, 5_000_000_000);
    assert_eq!(FaultPlan::<Target>::default().last_heal().0, 0);
}

#[test]
fn roles_become_names_and_the_resolved_plan_replays() {
    let plan = plan(include_str!("golden/every_fault.toml"));
    let entries = plan.entries.iter().map(|entry| {
        let fault = entry.fault.resolve(&Cluster).unwrap();
        FaultEntry { at: entry.at, fault, lasts: entry.lasts, repeats: entry.repeats }
    });
    let resolved: FaultPlan<Hosts> = FaultPlan { entries: entries.collect() };
    let written = resolved.to_toml();
    expect_file!["golden/resolved.toml"].assert_eq(&written);
    assert_eq!(toml::from_str::<FaultPlan<Hosts>>(&written).unwrap(), resolved);

    // Read as a plan, it stands for the same hosts whoever plays which role.
    let again: FaultPlan = toml::from_str(&written).unwrap();
    let hosts = |fault: &Fault| fault.resolve(&Cluster).unwrap();
    for (entry, before) in again.entries.iter().zip(&resolved.entries) {
        assert_eq!(hosts(&entry.fault), before.fault);
    }
    assert_eq!(FaultPlan::<Target>::from(resolved).entries.len(), again.entries.len());
}

#[test]
fn targets_that_stand_for_nobody_say_why() {
    let resolve = |target: Target| target.resolve(&Cluster);
    let unknown = resolve(Target::Host("broker-9".to_owned())).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no host called \"broker-9\"");
    let unknown = resolve(Target::Broker(3)).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no broker 3: the cluster has 3, counted from 0");
    let lost = TopicPartition::new(StrBytes::from_static_str("lost"), 0);
    let vacant = Fault::Partition(Links::Around(Target::LeaderOf(lost))).resolve(&Cluster).unwrap_err();
    assert_eq!(vacant, ResolveError::Vacant { role: "leader of lost-0".to_owned() });

    let many = Target::Many(vec![
        Target::Controller,
        Target::LeaderOf(orders()),
        Target::Host("consume-0".to_owned()),
    ]);
    assert_eq!(resolve(many).unwrap().names(), ["broker-0", "consume-0"]);

    let text = "[[fault]]\nat = \"1s\"\nkill = [{ group_coordinator_of = \"billing\" }, { transaction_coordinator_of = \"billing-0\" }]\n";
    let coordinators = plan(text);
    assert_eq!(plan(&coordinators.to_toml()), coordinators);
    let Fault::Kill(target) = &coordinators.entries[0].fault else { panic!("{coordinators:?}") };
    assert_eq!(resolve(target.clone()).unwrap().names(), ["broker-1", "broker-2"]);
}

#[test]
fn every_single_target_is_visited() {
    let plan = plan(include_str!("golden/every_fault.toml"));
    let mut seen = vec![];
    plan.entries[4].fault.for_each_target(&mut |target| seen.push(target.to_string()));
    assert_eq!(seen, ["leader of orders-0", "all clients", "followers of orders-0"]);
}
