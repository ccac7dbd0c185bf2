//! `trial replay`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use trial_net::session::{Checkpoint, Ending, ReplayError, Replayed, Session, replay as replay_session};
use trial_reports::{RunRecord, Verdict};

use crate::args::Replay;
use crate::out::{complain, say};
use crate::serve::call_off;
use crate::session::Setting;
use crate::{input, run};

/// Runs a session again; true if everything held, and it was the same run.
pub fn replay(replay: &Replay) -> Result<bool> {
    let began = Instant::now();
    let name = replay.session.display();
    let file = File::open(&replay.session).with_context(|| format!("{name}: cannot be read"))?;
    let mut session = Session::open(BufReader::new(file)).with_context(|| name.to_string())?;
    let setting: Setting = serde_json::from_str(session.header())
        .with_context(|| format!("{name}: its header is not one that this version of trial knows"))?;
    let scenario = setting.scenario().with_context(|| name.to_string())?;
    let folder = match (&replay.report, replay.json) {
        (Some(folder), _) => Some(folder.clone()),
        (None, true) => None,
        (None, false) => {
            Some(PathBuf::from(format!("trial-report/{}-replayed-{}", scenario.name, setting.seed)))
        }
    };
    if let Some(folder) = &folder {
        input::report_folder(folder)?;
    }
    let history = replay.history.as_deref().map(input::history_form).transpose()?;
    let mut cluster = setting.open(history.is_some())?;
    let brokers = cluster.0.bootstrap();
    let replayed = match replay_session(&mut session, &mut cluster, &brokers) {
        Ok(replayed) => replayed,
        Err(parted @ ReplayError::Parted { .. }) => {
            complain!("{name}: ANOTHER RUN: {parted}; {}", builds(&setting));
            return Ok(false);
        }
        Err(ReplayError::Cluster(error)) => return Err(error.into()),
    };
    warn(replay, &replayed);
    if !matches!(replayed.ending, Ending::Whole(_)) {
        // The session did not come to that.
        call_off(&mut cluster)?;
    }
    let mut finished = cluster.0.finish(&mut |_| ())?;
    finished.record.wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    finished.record.commit = env!("TRIAL_COMMIT").to_owned();
    let history = replay.history.as_deref().zip(history);
    let (record, html) = run::written(finished, history, folder.as_deref())?;
    if replay.json {
        say!("{}", serde_json::to_string(&record).context("the record as JSON")?);
    } else {
        run::print_summary(&record, html);
    }
    let same = compare(&replayed, &record);
    let verdict = match &same {
        Same::Yes => format!("{} inputs; the same run as was recorded", replayed.inputs),
        Same::NotKnown(agreeing) => format!(
            "{} inputs; the record has no hash of the end, its {agreeing} checkpoints agree",
            replayed.inputs
        ),
        Same::No(difference) => format!("ANOTHER RUN: {difference}; {}", builds(&setting)),
    };
    if !replay.json {
        say!("  replayed      {verdict}");
    } else if matches!(same, Same::No(_)) {
        complain!("{verdict}");
    }
    Ok(record.verdict == Verdict::Pass && !matches!(same, Same::No(_)))
}

/// Says what is wrong with the file.
fn warn(replay: &Replay, replayed: &Replayed) {
    let name = replay.session.display();
    let (what, inputs) = match &replayed.ending {
        Ending::Whole(_) => return,
        Ending::Early => ("the record ends before its session did".to_owned(), replayed.inputs),
        Ending::Damaged(error) => (error.to_string(), replayed.inputs),
    };
    complain!(
        "{name}: {what}; the {inputs} inputs before that are replayed, and no clients are there afterwards"
    );
}

/// Whether a run is the one that was recorded.
enum Same {
    /// Its hash at the end is.
    Yes,
    /// The record has no such hash, and so many checkpoints are equal.
    NotKnown(usize),
    /// It is not; where it first differs.
    No(String),
}

fn compare(replayed: &Replayed, record: &RunRecord) -> Same {
    let of_run = |c: &Checkpoint| (c.event, c.at.0, format!("{:032x}", c.hash));
    let recorded = replayed.checkpoints.iter().map(of_run);
    if let Some((index, theirs)) =
        recorded.enumerate().find(|(index, theirs)| record.checkpoints.get(*index) != Some(theirs))
    {
        let since = index.checked_sub(1).map_or(0, |index| replayed.checkpoints[index].event);
        return Same::No(format!(
            "the first checkpoint that differs is after event {} at {}; up to event {since} they are equal",
            theirs.0,
            trial_node::Time(theirs.1)
        ));
    }
    match &replayed.ending {
        Ending::Whole(outcome) => {
            let hash = format!("{:032x}", outcome.hash);
            if (outcome.events, &hash) == (record.events, &record.trace_hash) {
                return Same::Yes;
            }
            let last = replayed.checkpoints.last().map_or(0, |c| c.event);
            Same::No(format!(
                "it was to end with hash {hash} after {} events; all checkpoints up to event {last} are equal",
                outcome.events
            ))
        }
        Ending::Early | Ending::Damaged(_) => Same::NotKnown(replayed.checkpoints.len()),
    }
}

/// Which program recorded the session, and which this is.
fn builds(setting: &Setting) -> String {
    let this = env!("TRIAL_COMMIT");
    if setting.commit == this {
        return format!("recorded by this program ({this})");
    }
    format!("recorded by trial {} ({}), and this is {this}", setting.version, setting.commit)
}
