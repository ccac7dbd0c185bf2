//! `trial serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use trial_net::{Cluster, Server, Tally, TimeScale};
use trial_node::{ConnId, Endpoint, Input, Request, Time};
use trial_reports::Verdict;
use trial_scenarios::{Run as ScenarioRun, RunError, RunOptions, Scenario};
use trial_wire::message::MessageError;

use crate::args::Serve;
use crate::out::say;
use crate::{input, run};

/// Serves what was asked for until it is interrupted; true if everything held.
pub fn serve(serve: &Serve) -> Result<bool> {
    let scenario = match &serve.scenario {
        Some(named) => input::scenario(named)?,
        None => Scenario::bare(),
    };
    let wall_ms =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock shows a time before 1970")?;
    let wall_ms = i64::try_from(wall_ms.as_millis()).context("the clock is wrong")?;
    let folder = match &serve.report {
        Some(folder) => folder.clone(),
        None => PathBuf::from(format!("trial-report/{}-served-{}", scenario.name, serve.seed)),
    };
    let began = Instant::now();
    let options = RunOptions { seed: serve.seed, outside: Some(wall_ms), ..RunOptions::default() };
    let mut cluster = Served(ScenarioRun::new(scenario.clone(), options)?);
    let mut server = Server::bind(serve.listen, cluster.0.bootstrap()).context("--listen")?;
    server.stop_on_signals().context("signals")?;
    input::report_folder(&folder)?;
    // The cluster forms, and its topics are made, as fast as this machine can.
    let warm = cluster.0.warm();
    cluster.0.run_until(warm)?;

    let addresses = server.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
    say!("bootstrap.servers={}", addresses.join(","));
    say!("{}: {}", scenario.name, scenario.about);
    say!("Ctrl-C ends it and writes the report.");
    let tally = server.run(&mut cluster, serve.time_scale)?;

    say!("\nClosed to clients; the rest of the scenario runs, and everything is judged.");
    let mut record = cluster.0.finish(&mut |_| ())?.record;
    record.wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    record.commit = env!("TRIAL_COMMIT").to_owned();
    let html = trial_reports::write(&record, &folder)
        .with_context(|| format!("--report {}: cannot be written", folder.display()))?;
    run::print_summary(&record, Some(html));
    let Tally { connections, requests, responses, refused, ended } = tally;
    say!("  outside       {connections} connections, {requests} requests, {responses} responses");
    say!("                {ended} connections ended by the cluster");
    refused.iter().for_each(|(why, count)| say!("  refused       {count} connections: {why}"));
    Ok(record.verdict == Verdict::Pass)
}

/// How many virtual seconds a real one has, from the command line: 0.001 to 1000.
pub fn time_scale(text: &str) -> Result<TimeScale, String> {
    let wrong = || format!("{text:?}: virtual seconds per real second, from 0.001 to 1000");
    let scale: f64 = text.parse().map_err(|_| wrong())?;
    let thousandths = (scale * 1000.0).round();
    if (1.0..=1_000_000.0).contains(&thousandths) { Ok(TimeScale(thousandths as u32)) } else { Err(wrong()) }
}

/// A run, for the server.
struct Served(ScenarioRun);

impl Cluster for Served {
    type Error = RunError;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn next_event(&self) -> Option<Time> {
        self.0.next_event()
    }

    fn run_until(&mut self, until: Time) -> Result<(), RunError> {
        self.0.run_until(until)
    }

    fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        self.0.connect(to)
    }

    fn request(&mut self, conn: ConnId, request: Request) -> Result<(), MessageError> {
        self.0.request(conn, request)
    }

    fn close(&mut self, conn: ConnId) {
        self.0.close(conn);
    }

    fn unread(&self, conn: ConnId) -> u64 {
        self.0.unread(conn)
    }

    fn arrivals(&mut self) -> Vec<Input> {
        self.0.arrivals()
    }
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
