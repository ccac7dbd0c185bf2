//! Scenario files: what a run is made of, and the runner that carries it out.
//!
//! - [`Scenario`]: a scenario file, read and checked ([`Scenario::from_toml`]);
//! - [`catalog`]: the scenarios that are built into the binary;
//! - [`Corpus`]: the texts that records are cut from;
//! - [`Run`]: a scenario with a seed, made into a world, run to its end, judged, and written down as a
//!   [`trial_reports::RunRecord`]; clients from outside may take part.

mod by_hand;
mod check;
mod consistency;
mod corpus;
mod data_dir;
mod member;
mod metrics;
mod model;
mod observe;
mod operate;
mod outside;
mod plan;
mod record;
mod roles;
mod run;
mod security;
mod text;
mod timeline;
mod traffic;
mod variant;

pub mod catalog;

pub use check::ScenarioError;
pub use corpus::{CorpusError, cut, generate};
pub use data_dir::{DataDir, DataDirError};
pub use member::{Member, MemberConfig};
pub use model::{
    Bank, Cluster, Expect, ExpectedPipeline, Lists, Machine, Network, Pipeline, Scenario, Semantics, Topic,
    Value, Which, Workload,
};
pub use operate::AdminEntry;
pub use outside::{BARE, OUTSIDE};
pub use run::{Finished, Run, RunError, RunOptions};
pub use trial_checkers::PROPERTIES;
pub use trial_metadata::config::{BROKER_CONFIGS, TOPIC_CONFIGS};
pub use trial_world::Wire;
pub use variant::{GroupProtocol, NoSuchVariant, Variant, Variants};
