//! The log directories at the start of the process: whose they are, and which can be used.

use trial_node::{Io, OpenError};
use trial_storage::log_dir::{
    MetaProperties, path_in, read_meta_properties, take_clean_shutdown, write_meta_properties,
};

use crate::BrokerConfig;
use crate::lifecycle::random_uuid;
use crate::replica::{FoundDirectory, LogDirectory, as_disk_error};

/// Reads whose the directories are; makes empty ones ours, as `kafka-storage format` does. One that the disk fails for is
/// offline, unless it is the first: the metadata log is there.
///
/// # Errors
/// [`OpenError`] if the first directory cannot be used, or any is another node's.
pub(crate) fn open(
    config: &BrokerConfig,
    effective: &trial_metadata::BrokerConfig,
    io: &mut Io<'_>,
) -> Result<Vec<LogDirectory>, OpenError> {
    let mut directories = Vec::with_capacity(effective.log_dirs.len());
    for dir in &effective.log_dirs {
        let path = dir.trim_start_matches('/').to_owned();
        let found = match format_or_check(config, io, &path) {
            Err(error @ OpenError::Corrupt { .. }) => return Err(error),
            Err(error) if directories.is_empty() => return Err(error),
            found => found.map_err(as_disk_error),
        };
        directories.push(LogDirectory { path, found });
    }
    Ok(directories)
}

/// The broker epoch of the last run if it was shut down in order, as every directory must say; else −1 (KIP-966). An empty
/// directory in the place of one that was lost does not say so.
pub(crate) fn previous_broker_epoch(directories: &[LogDirectory]) -> i64 {
    let mut epochs = directories.iter().map(|directory| directory.found.as_ref().ok()?.clean_shutdown);
    match epochs.next().flatten() {
        Some(first) if epochs.all(|epoch| epoch == Some(first)) => first,
        _ => -1,
    }
}

fn format_or_check(config: &BrokerConfig, io: &mut Io<'_>, dir: &str) -> Result<FoundDirectory, OpenError> {
    let id = match read_meta_properties(io.disk, dir)? {
        Some(meta) => {
            check(config, dir, &meta)?;
            meta.directory_id
        }
        None => {
            let meta = MetaProperties {
                cluster_id: config.cluster_id.to_string(),
                node_id: config.node_id,
                directory_id: random_uuid(io),
            };
            write_meta_properties(io.disk, dir, &meta)?;
            meta.directory_id
        }
    };
    Ok(FoundDirectory { id, clean_shutdown: take_clean_shutdown(io.disk, dir)? })
}

fn check(config: &BrokerConfig, dir: &str, meta: &MetaProperties) -> Result<(), OpenError> {
    if meta.cluster_id == config.cluster_id.as_str() && meta.node_id == config.node_id {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path_in(dir, "meta.properties"),
        what: format!(
            "the folder belongs to node {} of cluster {}, not to node {} of cluster {}",
            meta.node_id,
            meta.cluster_id,
            config.node_id,
            config.cluster_id.as_str()
        ),
    })
}
