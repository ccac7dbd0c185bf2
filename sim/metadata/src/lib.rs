//! The quorum controller, its records, and the metadata image that brokers build from them.
//!
//! - [`record`]: what the metadata log holds, in Kafka's own encoding;
//! - [`image`]: the state that the log amounts to: [`MetadataImage::replay`] applies one record and notes in a
//!   [`MetadataDelta`] what changed;
//! - [`controller`]: the active controller, which decides by returning records;
//! - [`feature`]: the features that a cluster finalizes at a level;
//! - [`quota`]: the quotas of clients, and which counts for whom;
//! - [`config`]: the names, types, defaults and ranges of the topic and broker configs that we honour.

pub mod config;
pub mod controller;
pub mod feature;
pub mod image;
pub mod quota;
pub mod record;

pub use config::{BrokerConfig, ConfigError, StaticConfig};
pub use controller::{ControllerConfig, ControllerResult, PRODUCER_ID_BLOCK_SIZE, QuorumController};
pub use feature::{
    BootstrapFeatures, FeatureError, METADATA_VERSION, METADATA_VERSION_FEATURE, supported_features,
};
pub use image::{MetadataDelta, MetadataImage, ReplayError, TopicImage};
pub use record::{
    BrokerEndpoint, BrokerFeature, BrokerRegistration, BrokerRegistrationChange, ConfigResource,
    LOST_DIRECTORY, LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration, QuotaEntity,
    QuotaName, QuotaValue, RESERVED_DIRECTORIES, RecordError, UNASSIGNED_DIRECTORY,
};
