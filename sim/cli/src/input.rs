//! From what the user named to what a run needs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use trial_scenarios::{Finished, Scenario, catalog};

/// The scenario that `named` means: a file if it looks like one, else one of the catalog.
pub fn scenario(named: &str) -> Result<Scenario> {
    if is_file(named) {
        let text = std::fs::read_to_string(named).with_context(|| format!("{named}: cannot be read"))?;
        return Ok(Scenario::from_toml(named, &text)?);
    }
    match catalog::load(named) {
        Some(scenario) => Ok(scenario?),
        None => unknown(named),
    }
}

/// The text of the scenario that `named` means, with its file's name, for a cluster that is to be served.
pub fn text(named: &str) -> Result<(String, String)> {
    if is_file(named) {
        let text = std::fs::read_to_string(named).with_context(|| format!("{named}: cannot be read"))?;
        return Ok((named.to_owned(), text));
    }
    match catalog::FILES.iter().find(|(name, _)| *name == named) {
        Some((name, text)) => Ok((format!("catalog/{name}.toml"), (*text).to_owned())),
        None => unknown(named),
    }
}

fn is_file(named: &str) -> bool {
    named.ends_with(".toml") || named.contains(std::path::MAIN_SEPARATOR)
}

/// What the reports of a scenario are called: as the file that the user named, for the scenario's own name may be another file's,
/// too; as the scenario if it is one of the catalog.
pub fn report_name<'a>(named: &'a str, scenario: &'a str) -> &'a str {
    let stem = is_file(named).then(|| Path::new(named).file_stem()?.to_str()).flatten();
    stem.unwrap_or(scenario)
}

fn unknown<T>(named: &str) -> Result<T> {
    let file = format!("{named}.toml");
    if !named.is_empty() && Path::new(&file).is_file() {
        bail!("there is no scenario {named:?} built in; for the file write {file}");
    }
    match catalog::nearest(named) {
        Some(near) => {
            bail!("there is no scenario {named:?}; did you mean {near:?}? `trial list` shows all of them")
        }
        None => bail!(
            "there is no scenario {named:?}; `trial list` shows the built-in ones, and a file's name ends in .toml"
        ),
    }
}

/// The text of a corpus file, with its name.
pub fn corpus(file: &Path) -> Result<(String, Bytes)> {
    let name = file.display().to_string();
    let text = std::fs::read(file).with_context(|| format!("--corpus {name}: cannot be read"))?;
    Ok((name, Bytes::from(text)))
}

/// Makes the report's folder and sees that it can be written, before the run is paid for. Returns the folders that were not there,
/// the innermost first.
pub fn report_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = folder.display();
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing = folder.ancestors().take_while(is_missing).map(Path::to_owned).collect();
    std::fs::create_dir_all(folder).with_context(|| format!("--report {name}: cannot be made"))?;
    let probe = folder.join(".trial-write-probe");
    std::fs::write(&probe, b"").with_context(|| format!("--report {name}: cannot be written to"))?;
    std::fs::remove_file(&probe).with_context(|| format!("--report {name}: cannot be written to"))?;
    Ok(missing)
}

/// What is written of a run into its history's file.
pub type HistoryForm = fn(&Finished) -> String;

/// How a history's file is written: its name says which form it has.
pub fn history_form(file: &Path) -> Result<HistoryForm> {
    let form: HistoryForm = match file.extension().and_then(|e| e.to_str()) {
        Some("ndjson") => |run| trial_reports::history_ndjson(&run.history),
        Some("edn") => |run| trial_reports::history_edn(&run.history, &run.read_uncommitted),
        _ => bail!(
            "--history {}: the name must end in .ndjson (JSON lines) or .edn (Jepsen's Kafka workload)",
            file.display()
        ),
    };
    writable("--history", file)?;
    Ok(form)
}

/// Sees that a file can be written, before the run is paid for.
pub fn writable(flag: &str, file: &Path) -> Result<()> {
    let probe = std::fs::OpenOptions::new().create(true).append(true).open(file);
    probe.map(drop).with_context(|| format!("{flag} {}: cannot be written", file.display()))
}

/// Writes a file that the user asked for.
pub fn write(flag: &str, file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("{flag} {}: cannot be written", file.display()))
}
