//! `trial serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use trial_net::session::{Entry, Journal, Outcome, RecordError, Recorded};
use trial_net::{Certified, Cluster, Doors, Limits, Order, Server, Tally, TimeScale, Tls};
use trial_reports::{RunRecord, Verdict};
use trial_scenarios::{DataDir, Scenario};

use crate::args::Serve;
use crate::out::say;
use crate::session::{Served, Setting};
use crate::{input, run};

/// A served cluster keeps whatever clients send, so that most of its memory is new to the process. The kernel clears that at once for
/// each huge page, from memory that others have not used for long: in a virtual machine this took most of the time of Produce, small
/// pages a fifth of it. A kernel that cannot leave them out is only slower.
#[cfg(target_os = "linux")]
fn without_huge_pages() {
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

#[cfg(not(target_os = "linux"))]
fn without_huge_pages() {}

/// How long a process that panics waits until its session is written.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Serves what was asked for until it is interrupted; true if everything held.
pub fn serve(serve: &Serve) -> Result<bool> {
    let began = Instant::now();
    without_huge_pages();
    let setting = setting(serve)?;
    let scenario = setting.scenario()?;
    let folder = match &serve.report {
        Some(folder) => folder.clone(),
        None => {
            let named = serve.scenario.as_deref().unwrap_or_default();
            let name = input::report_name(named, &scenario.name);
            PathBuf::from(format!("trial-report/{name}-served-{}", serve.seed))
        }
    };
    let mut cluster = setting.open(false)?;
    // Locked until the end.
    let data = serve.data_dir.as_ref().map(|folder| keep_in(folder, &scenario, &mut cluster));
    let data = data.transpose().context("--data-dir")?;
    let mut server = Server::bind(serve.listen, doors(&cluster)).context("--listen")?;
    if let (Some(cert), Some(key)) = (&serve.tls_cert, &serve.tls_key) {
        server.speak_tls(Tls::open(cert, key, serve.tls_client_ca.as_deref()).context("TLS")?);
    }
    server.stop_on_signals().context("signals")?;
    let control = serve.control.map(|address| server.control(address).context("--control")).transpose()?;
    input::report_folder(&folder)?;
    let journal = serve.record.as_ref().map(|file| {
        let header = serde_json::to_string(&setting).context("the header as JSON")?;
        let journal = Journal::create(file, header);
        journal.with_context(|| format!("--record {}: cannot be written", file.display()))
    });
    let journal = journal.transpose()?;
    if journal.is_some() {
        write_what_led_to_a_panic();
    }
    // The cluster forms, and its topics are made, as fast as this machine can.
    let warm = cluster.0.warm();
    cluster.0.run_until(warm)?;
    if data.is_some() {
        cluster.0.settle()?;
    }

    let addresses = server.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
    say!("bootstrap.servers={}", addresses.join(","));
    if let Some(control) = control {
        say!("control=http://{control}");
    }
    say!("{}: {}", scenario.name, scenario.about);
    say!("Ctrl-C ends it and writes the report.");
    let (cluster, tally, journal) = run_server(&mut server, cluster, journal, serve)?;

    say!("\nClosed to clients; the rest of the scenario runs, and everything is judged.");
    let mut record = cluster.0.finish(&mut |_| ())?.record;
    record.wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    record.commit = env!("TRIAL_COMMIT").to_owned();
    if let Some(journal) = journal {
        // If it cannot be written, closing it says so.
        let _written = journal.put(outcome(&record)?);
        journal.close().with_context(|| unwritten(serve))?;
    }
    let html = trial_reports::write(&record, &folder)
        .with_context(|| format!("--report {}: cannot be written", folder.display()))?;
    run::print_summary(&record, Some(html));
    for (why, count) in &tally.refused {
        say!("  refused       {count} connections: {why}");
    }
    for (why, count) in &tally.unsent {
        say!("  not sent      {count} responses, their connections closed: {why}");
    }
    if let Some(file) = &serve.record {
        say!("  repeat        trial replay {}", file.display());
    }
    Ok(record.verdict == Verdict::Pass)
}

/// A panic ends the process at once. The journal's thread gets a moment before that: the input that led to it has been handed over,
/// and is the one that a replay needs most.
#[allow(clippy::disallowed_methods, reason = "nothing goes on after this sleep")]
fn write_what_led_to_a_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |about| {
        tell(about);
        std::thread::sleep(LAST_WORDS);
    }));
}

/// Keeps the brokers' data in a folder.
fn keep_in(folder: &Path, scenario: &Scenario, cluster: &mut Served) -> Result<DataDir> {
    let data = DataDir::open(folder, scenario)?;
    // Brokers have every file of every partition open.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).context("more open files")?;
    cluster.0.keep_in(&data)?;
    Ok(data)
}

/// Where clients come in.
fn doors(cluster: &Served) -> Doors {
    let mut doors = Doors::open(cluster.0.bootstrap());
    let config = cluster.0.broker_config();
    // These configs are never negative.
    let size = |value: i32| usize::try_from(value).unwrap_or(usize::MAX);
    doors.limits = Limits {
        connections: size(config.max_connections),
        connections_per_ip: size(config.max_connections_per_ip),
        before_login: (!config.sasl_enabled_mechanisms.is_empty())
            .then(|| size(config.sasl_server_max_receive_size)),
    };
    if cluster.0.is_secured() {
        doors.other_ports = vec![trial_broker::BROKER_PORT, trial_broker::TLS_PORT];
        doors.certified = Some(Certified { port: trial_broker::TLS_PORT, login: trial_broker::tls_login });
    }
    doors
}

/// Everything that decides what the session will be.
fn setting(serve: &Serve) -> Result<Setting> {
    let (file, scenario) = match &serve.scenario {
        Some(named) => input::text(named)?,
        None => ("serve.toml".to_owned(), trial_scenarios::BARE.to_owned()),
    };
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock shows a time before 1970")?;
    let variant = run::wanted(serve.variant);
    Ok(Setting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("TRIAL_COMMIT").to_owned(),
        file,
        scenario,
        group_protocol: variant.group_protocol.map(|protocol| protocol.name().to_owned()),
        transaction_version: variant.transaction_version,
        seed: serve.seed,
        wall_start_ms: i64::try_from(wall.as_millis()).context("the clock is wrong")?,
    })
}

/// Serves the cluster until somebody ends it.
fn run_server(
    server: &mut Server,
    mut cluster: Served,
    journal: Option<Journal>,
    serve: &Serve,
) -> Result<(Served, Tally, Option<Journal>)> {
    let Some(journal) = journal else {
        let tally = server.run(&mut cluster, serve.time_scale)?;
        call_off(&mut cluster)?;
        return Ok((cluster, tally, None));
    };
    let brokers = cluster.0.bootstrap();
    let mut recorded = Recorded::new(cluster, journal, brokers);
    match server.run(&mut recorded, serve.time_scale) {
        Ok(tally) => {
            call_off(&mut recorded)?;
            let (cluster, journal) = recorded.end();
            Ok((cluster, tally, Some(journal)))
        }
        Err(RecordError::Cluster(error)) => Err(error.into()),
        Err(RecordError::Journal) => {
            let (_, journal) = recorded.end();
            journal.close().with_context(|| unwritten(serve))?;
            bail!("{}", unwritten(serve))
        }
    }
}

/// Ends the faults by hand: what the operator would heal later would keep the run going until then.
pub fn call_off(cluster: &mut impl Cluster) -> Result<()> {
    cluster.order(&Order::CallOff).map(drop).map_err(Error::msg)
}

fn unwritten(serve: &Serve) -> String {
    let file = serve.record.as_ref().map_or(String::new(), |file| file.display().to_string());
    format!("--record {file}: cannot be written any more; what it has can be replayed")
}

/// What came of a run, for its record: the checkpoints since clients were gone are not needed, as the run repeats itself from
/// there.
fn outcome(record: &RunRecord) -> Result<Vec<Entry>> {
    let hash = u128::from_str_radix(&record.trace_hash, 16).context("the trace hash")?;
    let passed = record.verdict == Verdict::Pass;
    Ok(vec![Entry::Outcome(Outcome { events: record.events, hash, passed })])
}

/// How many virtual seconds a real one has, from the command line: 0.001 to 1000.
pub fn time_scale(text: &str) -> Result<TimeScale, String> {
    let wrong = || "virtual seconds per real second, from 0.001 to 1000".to_owned();
    let scale: f64 = text.parse().map_err(|_| wrong())?;
    let thousandths = (scale * 1000.0).round();
    if (1.0..=1_000_000.0).contains(&thousandths) { Ok(TimeScale(thousandths as u32)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_scales_have_three_decimals_and_limits() {
        assert_eq!(time_scale("1"), Ok(TimeScale(1000)));
        assert_eq!(time_scale("0.05"), Ok(TimeScale(50)));
        for wrong in ["0", "-1", "fast", "NaN", "1e9"] {
            assert!(time_scale(wrong).is_err(), "{wrong}");
        }
    }
}
