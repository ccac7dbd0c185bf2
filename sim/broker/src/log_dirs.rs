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
    let found = read_meta_properties(io.disk, dir)?;
    let is_new = found.is_none();
    let id = match found {
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
    // A process that was still there when its directory was emptied may have left the marker as the last thing that it did: it
    // says nothing of what is there now.
    let clean_shutdown = take_clean_shutdown(io.disk, dir)?.filter(|_| !is_new);
    Ok(FoundDirectory { id, clean_shutdown })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use trial_node::{NodeId, Offset};
    use trial_storage::log_dir::{CheckpointFile, write_checkpoint, write_clean_shutdown};
    use trial_wire::StrBytes;

    use super::*;
    use crate::published::Published;
    use crate::testing::Surroundings;

    #[test]
    fn all_directories_must_say_that_they_were_closed_in_order_and_an_emptied_one_cannot() {
        let config = BrokerConfig {
            node_id: NodeId(0),
            cluster_id: StrBytes::from_static_str("trial"),
            voters: BTreeMap::from([(NodeId(0), StrBytes::from_static_str("broker-0"))]),
            rack: None,
            properties: BTreeMap::from([("log.dirs".to_owned(), "/a,/b".to_owned())]),
            users: BTreeMap::new(),
            acls: Vec::new(),
            features: BTreeMap::new(),
        };
        let static_config = Arc::new(config.static_config().unwrap());
        let published = Published::new(config.node_id, static_config.clone());
        let effective =
            trial_metadata::BrokerConfig::resolve(&static_config, &published.image, config.node_id);
        // What is lost before the next start, and the epoch that it then says.
        let log = "b/orders-0/00000000000000000005.log";
        let cases = [
            (None, 7),
            (Some("b/.kafka_cleanshutdown"), -1),
            (Some("b/meta.properties"), -1),
            (Some("b/orders-0"), -1),
            (Some(log), -1),
        ];
        for (lost, expected) in cases {
            let (epoch, _) = Surroundings::new().call(|io| {
                let first = open(&config, &effective, io).unwrap();
                assert_eq!(previous_broker_epoch(&first), -1);
                let file = io.disk.open(log, true).unwrap();
                io.disk.close(file);
                let ends = [("orders", 0, Offset(5))];
                write_checkpoint(io.disk, "b", CheckpointFile::RecoveryPoint, ends.into_iter()).unwrap();
                for directory in &first {
                    write_clean_shutdown(io.disk, &directory.path, 7).unwrap();
                }
                lost.into_iter().for_each(|path| io.disk.remove(path).unwrap());
                previous_broker_epoch(&open(&config, &effective, io).unwrap())
            });
            assert_eq!(epoch, expected, "{lost:?}");
        }
    }
}
