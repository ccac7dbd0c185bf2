//! A cluster's data on real disks, so that the next session finds it.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trial_node::{DiskError, Span};
use trial_storage::disk::file::FileDisk;
use trial_storage::disk::sim::SimDisk;
use trial_storage::log_dir::META_PROPERTIES;
use trial_world::HostId;

use crate::model::Scenario;
use crate::plan;
use crate::run::{Run, RunError};

/// The file that says whose data a folder holds.
const ABOUT: &str = "trial.json";
/// That file, before all of it is written.
const ABOUT_NEW: &str = "trial.json.new";
/// The file whose lock says that a process uses the folder.
const LOCK: &str = ".lock";
/// The version of the folder's layout.
const FORMAT: u32 = 1;

/// How long a cluster with data may take until it is served, however it is by then.
const SETTLES: Span = Span::from_secs(60);
/// How often it is looked at meanwhile.
const STEP: Span = Span::from_millis(100);

/// A folder with a cluster's data: a folder of each broker, named like its host. Locked as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// A folder that cannot hold a cluster's data.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system says no.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Another process uses it.
    #[error("{path}: another process uses it", path = .0.display())]
    Locked(PathBuf),
    /// It holds something else.
    #[error("{path}: it is not empty, and there is no {ABOUT} in it: choose another folder", path = .0.display())]
    Foreign(PathBuf),
    /// It holds another cluster.
    #[error("{path}: {what}", path = path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// A broker's data is where its `log.dirs` does not look for it.
    #[error(
        "{path}: it is a log directory of the data, and log.dirs = \"{log_dirs}\" leaves it out: the broker would begin without it",
        path = path.display()
    )]
    LeftOut {
        /// The log directory.
        path: PathBuf,
        /// `log.dirs` as it is now.
        log_dirs: String,
    },
    /// A broker's data cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The scenario has load of its own.
    #[error(
        "scenario {0} has load of its own: the next session would find its records, and take them for duplicates of its own. \
         A data folder is for clusters without [[workload]]"
    )]
    Loaded(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: u32,
    cluster_id: String,
    brokers: u32,
}

impl DataDir {
    /// The folder for this scenario's cluster; made if it is missing.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn open(root: &Path, scenario: &Scenario) -> Result<DataDir, DataDirError> {
        if !scenario.workloads.is_empty() {
            return Err(DataDirError::Loaded(scenario.name.clone()));
        }
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| DataDirError::Io { path, error }
        };
        fs::create_dir_all(root).map_err(at(root))?;
        // First: what another process is about to make is not judged half made.
        let lock_path = root.join(LOCK);
        let mut options = File::options();
        options.write(true);
        let (lock, is_mine) = match options.clone().create_new(true).open(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (options.open(&lock_path), false),
            made => (made, true),
        };
        let lock = lock.map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(DataDirError::Io { path: lock_path, error }),
        }
        let mut names = fs::read_dir(root).map_err(at(root))?;
        let about_path = root.join(ABOUT);
        let is_new = !about_path.exists();
        let foreign = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| ![LOCK, ABOUT_NEW].iter().any(|ours| entry.file_name() == *ours))
        };
        if is_new && names.any(foreign) {
            if is_mine {
                fs::remove_file(&lock_path).map_err(at(&lock_path))?;
            }
            return Err(DataDirError::Foreign(root.to_owned()));
        }
        let about = About {
            format: FORMAT,
            cluster_id: plan::CLUSTER_ID.to_owned(),
            brokers: scenario.cluster.nodes,
        };
        if is_new {
            let text = serde_json::to_string(&about).expect("it is made of text and numbers");
            // There as a whole, or not at all: a part of it would make no sense to the next session.
            let new = root.join(ABOUT_NEW);
            let written = File::create(&new).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&new, &about_path)?;
                File::open(root)?.sync_all()
            });
            written.map_err(at(&about_path))?;
        } else {
            let text = fs::read_to_string(&about_path).map_err(at(&about_path))?;
            let other = |what| DataDirError::Other { path: root.to_owned(), what };
            let found: About = serde_json::from_str(&text)
                .map_err(|error| other(format!("{ABOUT} makes no sense: {error}")))?;
            if found.brokers != about.brokers {
                return Err(other(format!(
                    "it holds a cluster of {} brokers, and scenario {} has {}",
                    found.brokers, scenario.name, about.brokers
                )));
            }
            if found != about {
                return Err(other(format!("it holds {found:?}, and this is {about:?}")));
            }
        }
        Ok(DataDir { root: root.to_owned(), _lock: lock })
    }
}

/// Looks whether a broker's folder has a log directory that is none of these.
fn all_named(broker: &Path, log_dirs: &[String]) -> Result<(), DataDirError> {
    let at = |error| DataDirError::Io { path: broker.to_owned(), error };
    let mut found = vec![("/".to_owned(), broker.to_owned())];
    match fs::read_dir(broker) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(at)?;
                found.push((format!("/{}", entry.file_name().display()), entry.path()));
            }
        }
    }
    let mut left_out = found
        .into_iter()
        .filter(|(dir, path)| !log_dirs.contains(dir) && path.join(META_PROPERTIES).exists())
        .map(|(_, path)| path)
        .collect::<Vec<_>>();
    left_out.sort();
    let Some(path) = left_out.into_iter().next() else { return Ok(()) };
    Err(DataDirError::LeftOut { path, log_dirs: log_dirs.join(",") })
}

impl Run {
    /// Gives every broker the disk that the folder has for it. Before anything has happened.
    ///
    /// # Errors
    /// [`DataDirError`]: a folder cannot be read, or has data that a broker would not find.
    pub fn keep_in(&mut self, data: &DataDir) -> Result<(), DataDirError> {
        let log_dirs = self.broker_config().log_dirs;
        for host in (0..self.scenario.cluster.nodes).map(HostId) {
            let path = data.root.join(self.world.name(host));
            all_named(&path, &log_dirs)?;
            let folder = FileDisk::new(&path).map_err(|error| DataDirError::Io { path, error })?;
            self.world.set_disk(host, SimDisk::mirrored(folder)?);
        }
        self.watch.checkers.begins_with_data();
        Ok(())
    }

    /// Lets a cluster that has found data come to rest: the controller takes a broker back only when it has given up waiting for the
    /// process that it knew (`broker.session.timeout.ms`), as after a crash of all of them.
    ///
    /// # Errors
    /// [`RunError`]: the run cannot go on.
    pub fn settle(&mut self) -> Result<(), RunError> {
        let deadline = self.now() + SETTLES;
        let mut applied = VecDeque::from([self.metadata_applied()]);
        while self.now() < deadline && !self.pending(&mut applied).is_empty() {
            self.run_until(self.now() + STEP)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BARE, RunOptions};

    fn scenario(text: &str) -> Scenario {
        Scenario::to_serve("test.toml", text).expect("it is good")
    }

    #[test]
    fn the_next_session_finds_what_the_last_one_left() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let topic = "topic = [{ name = \"orders\", partitions = 2, replication_factor = 3 }]";
        let made = scenario(&BARE.replace("topic = []", topic));
        let session = |scenario: &Scenario| {
            let data = DataDir::open(folder.path(), scenario).expect("it is free");
            let options = RunOptions { outside: Some(0), ..RunOptions::default() };
            let mut run = Run::new(scenario.clone(), options).expect("there is no corpus to fail");
            run.keep_in(&data).expect("it can be read");
            run.run_until(run.warm()).expect("the cluster forms");
            run.settle().expect("it goes on");
            let topics: Vec<String> = run.topics_at_the_end().iter().map(|topic| topic.to_string()).collect();
            let finished = run.finish(&mut |_| ()).expect("it comes to its end");
            assert_eq!(finished.record.violations, []);
            topics
        };
        assert_eq!(session(&made), ["orders"]);
        // Nothing in this one's scenario tells of it, and it is audited all the same.
        assert_eq!(session(&scenario(BARE)), ["orders"]);
    }

    #[test]
    fn data_that_log_dirs_no_longer_names_is_refused() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let told = |log_dirs: &str| {
            let config = format!("config = {{ \"log.dirs\" = \"{log_dirs}\", ");
            let scenario = scenario(&BARE.replace("config = { ", &config));
            let data = DataDir::open(folder.path(), &scenario).expect("it is free");
            let options = RunOptions { outside: Some(0), ..RunOptions::default() };
            let mut run = Run::new(scenario, options).expect("there is no corpus to fail");
            if let Err(error) = run.keep_in(&data) {
                return error.to_string().replace(&folder.path().display().to_string(), "DATA");
            }
            run.run_until(run.warm()).expect("the cluster forms");
            run.finish(&mut |_| ()).expect("it comes to its end");
            String::new()
        };
        let left_out = |dir: &str, log_dirs: &str| {
            format!(
                "DATA/{dir}: it is a log directory of the data, and log.dirs = \"{log_dirs}\" leaves it out: the broker would \
                 begin without it"
            )
        };
        assert_eq!(told("/a,/b"), "");
        assert_eq!(told("/b,/a,/c"), "");
        assert_eq!(told("/a,/c"), left_out("broker-1/b", "/a,/c"));
        assert_eq!(told("/"), left_out("broker-1/a", "/"));
        fs::rename(folder.path().join("broker-1/a"), folder.path().join("a")).expect("it can be moved");
        fs::remove_dir_all(folder.path().join("broker-1")).expect("it can be removed");
        fs::rename(folder.path().join("a"), folder.path().join("broker-1")).expect("it can be moved");
        assert_eq!(told("/a,/b,/c"), left_out("broker-1", "/a,/b,/c"));
    }

    #[test]
    fn a_folder_that_is_being_made_is_locked_and_one_that_was_not_made_to_the_end_is_new() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let root = folder.path();
        let lock = File::create(root.join(LOCK)).expect("it can be made");
        lock.lock().expect("nobody else has it");
        fs::write(root.join(ABOUT_NEW), "{\"form").expect("it can be written");
        fs::create_dir(root.join("broker-1")).expect("it can be made");
        let refused = DataDir::open(root, &scenario(BARE)).expect_err("another uses it");
        assert!(matches!(refused, DataDirError::Locked(_)), "{refused}");
        drop(lock);
        fs::remove_dir(root.join("broker-1")).expect("it is empty");
        drop(DataDir::open(root, &scenario(BARE)).expect("it is new"));
        let mut names: Vec<_> = fs::read_dir(root)
            .expect("it is there")
            .map(|entry| entry.expect("it is read").file_name())
            .collect();
        names.sort();
        assert_eq!(names, [LOCK, ABOUT]);
    }

    #[test]
    fn a_folder_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let error = |root: &Path, text: &str| {
            DataDir::open(root, &scenario(text)).expect_err("it does not fit").to_string()
        };
        let held = DataDir::open(folder.path(), &scenario(BARE)).expect("it is new");
        assert!(error(folder.path(), BARE).ends_with("another process uses it"));
        drop(held);
        let four = BARE.replace("nodes = 3", "nodes = 4");
        assert!(
            error(folder.path(), &four)
                .ends_with("it holds a cluster of 3 brokers, and scenario serve has 4")
        );
        fs::create_dir(folder.path().join("other")).expect("it can be made");
        fs::write(folder.path().join("other/letter"), "").expect("it can be written");
        assert!(error(&folder.path().join("other"), BARE).contains("it is not empty"));
        let names = fs::read_dir(folder.path().join("other")).expect("it is there");
        assert_eq!(names.count(), 1, "what is somebody else's stays as it is");
        let loaded = include_str!("../catalog/leader-crash.toml");
        assert!(error(folder.path(), loaded).contains("has load of its own"));
    }
}
