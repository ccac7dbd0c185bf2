//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trial_net::TimeScale;

/// Puts a Kafka cluster on trial.
///
/// A whole Kafka cluster (brokers, replication, KRaft quorum) runs inside a deterministic simulator that cuts its power, its
/// network and its processes while clients load it. Checkers watch every step. The same scenario and seed give the same
/// run, event for event, on every machine.
#[derive(Debug, Parser)]
#[command(name = "trial", version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TRIAL_COMMIT"), ")"), after_help = "\
Start here:
  trial run leader-crash              a leader loses power under load; writes a report
  trial list                          the scenarios that are built in
  trial run my-scenario.toml --seed 7 a scenario of your own

Exit codes:
  0  every invariant and expectation held
  1  one did not; the output says which, with evidence and the command that repeats it
  2  bad input: the message names the place and the fix")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario and write a report.
    Run(Run),
    /// List the built-in scenarios, or print one.
    List(List),
    /// Run a scenario's cluster in real time, and let real Kafka clients connect to it.
    Serve(Serve),
    /// Run a recorded session of `trial serve` again, without its clients.
    Replay(Replay),
    /// Look at the files of logs.
    #[command(subcommand)]
    Log(Log),
    /// Run a scenario in two processes, and once with messages as bytes, and compare the trace hashes.
    Verify(Verify),
}

/// `trial run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trial run leader-crash                         seed 1, report in trial-report/leader-crash-1
  trial run leader-crash --seed 7 --json         one JSON object on standard output (schema trial.run/1)
  trial run leader-crash --seeds 1-50            fifty seeds, a line each; stops at the first that fails
  trial run leader-crash --seeds 1-50 --junit out.xml   the same, for a CI server
  trial list leader-crash > mine.toml            a scenario to change and run: trial run mine.toml

Exit codes: 0 holds, 1 an invariant or expectation fails, 2 bad input.")]
pub struct Run {
    /// A built-in scenario's name (see `trial list`), or the path of a scenario file (ending in .toml).
    pub scenario: String,
    /// The seed: all randomness of the run comes from it.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// Run every seed from A to B instead, print a line each, write no reports, and stop at the first that fails.
    #[arg(long, value_name = "A-B", value_parser = seeds, allow_hyphen_values = true, conflicts_with_all = ["seed", "report"])]
    pub seeds: Option<Seeds>,
    /// Where to write the report; made if it is missing. [default: trial-report/SCENARIO-SEED, or the scenario file's name instead
    /// of SCENARIO; with the variant behind it unless it is the first, and the engine unless it is the world]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// What carries the nodes: the simulated world, simulated sockets in virtual time, or sockets of this machine's loopback
    /// interface in real time. An engine that cannot do what a scenario needs says so before the run.
    #[arg(long, value_enum, default_value_t = Engine::World)]
    pub engine: Engine,
    /// How messages travel between nodes of the world: as typed values, or encoded and decoded as on a socket. Both give the
    /// same trace hash.
    #[arg(long, value_enum, default_value_t = Wire::Typed)]
    pub wire: Wire,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// With --seeds: run every variant of the scenario with every seed.
    #[arg(long, requires = "seeds", conflicts_with_all = ["group_protocol", "transaction_version", "history"])]
    pub every_variant: bool,
    /// Also write the verdicts as JUnit XML: a test suite per scenario and variant, a test case per seed.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write what clients did and saw: as JSON lines if the file's name ends in .ndjson, in the form of Jepsen's Kafka
    /// workload if it ends in .edn.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    pub history: Option<PathBuf>,
    /// Print one JSON object (schema trial.run/1) instead of the summary. Writes a report only with --report.
    #[arg(long)]
    pub json: bool,
    /// A text to cut the records' values from, instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Print every event with a number from A to B (as hashed, from 1) instead of the summary; for comparing two runs.
    #[arg(long, value_name = "A-B", value_parser = seeds, hide = true)]
    pub events: Option<Seeds>,
}

/// `trial log`.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Print files of a partition's folder as kafka-dump-log does, Trial's or Apache Kafka's.
    Dump(Dump),
}

/// `trial log dump`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trial log dump data/orders-0/00000000000000000000.log            a line per batch
  trial log dump --print-data-log orders-0/*.log                   and one per record, with key and value
  trial log dump --verify-index-only orders-0/*.index orders-0/*.timeindex

Exit codes: 0 all is well, 1 something in the files is wrong, 2 a file could not be read, or is none of a log.")]
pub struct Dump {
    /// Segments (.log), snapshots of the metadata (.checkpoint), indexes (.index, .timeindex, .txnindex), snapshots of
    /// producers (.snapshot), leader-epoch-checkpoint.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Print every record with its key and value as text.
    #[arg(long)]
    pub print_data_log: bool,
    /// Print every record, without key and value.
    #[arg(long)]
    pub deep_iteration: bool,
    /// With --print-data-log: print nothing else of a record.
    #[arg(long)]
    pub skip_record_metadata: bool,
    /// Print nothing of indexes but what is wrong with them.
    #[arg(long)]
    pub verify_index_only: bool,
}

/// `trial list`.
#[derive(Debug, Args)]
pub struct List {
    /// Print this scenario's file.
    pub scenario: Option<String>,
    /// List the properties that checkers judge by, instead.
    #[arg(long, conflicts_with = "scenario")]
    pub checkers: bool,
    /// List the configs of brokers and topics that a scenario can set, with their defaults, instead.
    #[arg(long, conflicts_with_all = ["scenario", "checkers"])]
    pub configs: bool,
}

/// Which variant of a scenario.
#[derive(Clone, Copy, Debug, Args)]
pub struct VariantArgs {
    /// Run this variant of the scenario instead of its first (see [variants] in its file): the protocol of consumer groups.
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub group_protocol: Option<GroupProtocol>,
    /// Likewise, the level of the cluster's feature transaction.version (KIP-890).
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(i16).range(1..=2))]
    pub transaction_version: Option<i16>,
}

/// `trial serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trial serve                                    three brokers at 127.0.0.1:9092, 9093 and 9094; topics come when used
  kcat -b 127.0.0.1:9092 -L                      what a client sees of them
  trial serve leader-crash                       with the scenario's topics, load and faults, in real time
  trial serve --time-scale 0.1                   ten real seconds a virtual one, to look closely
  trial serve --record session.trial             write everything down that comes in; then: trial replay session.trial
  trial serve --control 127.0.0.1:8088           take orders:
  curl 127.0.0.1:8088/state                      the cluster as it is now
  curl 127.0.0.1:8088/fault -d '{\"power_off\": {\"leader_of\": \"orders-0\"}, \"for\": \"10s\"}'

Ctrl-C closes the connections, runs what is left of the scenario, judges, and writes the report. A second one ends it at once.
Exit codes: 0 holds, 1 an invariant or expectation fails, 2 bad input.")]
pub struct Serve {
    /// A built-in scenario's name, or the path of a scenario file; without one, three brokers and nothing else.
    pub scenario: Option<String>,
    /// Where the first broker listens; the others listen at the ports that follow. With port 0, each at a free port.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: SocketAddr,
    /// Also take orders there, by HTTP and in JSON: GET /state, POST /fault, DELETE /fault/ID, POST /heal, POST /stop. An address
    /// of this machine only; with port 0, a free port.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub control: Option<SocketAddr>,
    /// Write everything that comes in from outside into this file as it comes, for `trial replay`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Keep the brokers' data in this folder, made if it is missing: the next session goes on with it. For scenarios without load.
    #[arg(long, value_name = "DIR", conflicts_with = "record")]
    pub data_dir: Option<PathBuf>,
    /// Speak TLS on every broker's port, with the certificate chain in this PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Take only clients whose certificate was signed by one of those in this PEM file. If the cluster has an authorizer, a client is
    /// known to it by its certificate's subject.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// How many virtual seconds a real second has, from 0.001 to 1000.
    #[arg(long, default_value = "1", value_name = "X", value_parser = crate::serve::time_scale)]
    pub time_scale: TimeScale,
    /// The seed: all randomness of the cluster comes from it.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Where to write the report; made if it is missing. [default: trial-report/SCENARIO-served-SEED]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// `trial replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trial replay session.trial                     the same run once more, and its report
  trial replay session.trial --json              one JSON object on standard output (schema trial.run/1)

Everything that came in from outside comes in again, at the same virtual instants: the run is the same, event for event, if this
is the program that recorded it. A file that is cut short or damaged is replayed as far as it goes.
Exit codes: 0 holds, 1 an invariant or expectation fails, or the run is another one, 2 bad input.")]
pub struct Replay {
    /// The session: what `trial serve --record` wrote.
    pub session: PathBuf,
    /// Where to write the report; made if it is missing. [default: trial-report/SCENARIO-replayed-SEED]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Print one JSON object (schema trial.run/1) instead of the summary. Writes a report only with --report.
    #[arg(long)]
    pub json: bool,
    /// Also write what the scenario's clients did and saw: as JSON lines if the file's name ends in .ndjson, in the form of
    /// Jepsen's Kafka workload if it ends in .edn.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
}

/// `trial verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 all runs are equal, 1 one is not; the output names the first event that differs, 2 bad input.")]
pub struct Verify {
    /// A built-in scenario's name, or the path of a scenario file; without one, every built-in scenario.
    pub scenario: Option<String>,
    /// The seed.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: u64,
}

/// What carries the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The simulated world.
    World,
    /// Turmoil's sockets.
    Turmoil,
    /// Loopback sockets.
    Tcp,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    /// As typed values.
    Typed,
    /// Encoded and decoded.
    Bytes,
}

/// The protocol of consumer groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// Every other client's is KIP-848's.
    Mixed,
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, as 127.0.0.1:9092".to_owned())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("write a whole number from 0 to {}", u64::MAX))
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || "write the first and the last, as in 1-50".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let range =
        Seeds { first: first.parse().map_err(|_| wrong())?, last: last.parse().map_err(|_| wrong())? };
    if range.first > range.last { Err(wrong()) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn ranges_are_read_with_both_ends() {
        assert_eq!(seeds("1-50"), Ok(Seeds { first: 1, last: 50 }));
        for wrong in ["5", "7-3", "a-b", "1..5", ""] {
            assert!(seeds(wrong).unwrap_err().contains("as in 1-50"), "{wrong}");
        }
    }
}
