//! The topic and broker configs that we honour, under Kafka's names.
//!
//! An effective value is, in this order: the topic's override, the broker's dynamic override, the cluster-wide dynamic
//! default, the operator's properties ([`StaticConfig`]), the default.

mod broker;
mod client_metrics;
mod group;
mod parse;
mod resolve;
mod shown;
mod topic;

pub use broker::{BROKER_CONFIGS, BrokerConfig};
pub use client_metrics::CLIENT_METRICS_CONFIGS;
pub use group::GROUP_CONFIGS;
pub(crate) use parse::suggestion;
pub use parse::{ConfigDef, ConfigError, ConfigKind, ConfigLink, parse_ratio};
pub(crate) use resolve::describe_topic_with;
pub use resolve::{
    ConfigEntry, ConfigSource, StaticConfig, describe_client_metrics, describe_group, describe_topic,
    topic_value,
};
pub use shown::{FIXED_BROKER_CONFIGS, FIXED_TOPIC_CONFIGS, KEPT_BROKER_CONFIGS};
pub use topic::TOPIC_CONFIGS;

/// Declares a table of configs, and if it is wanted a struct that holds the parsed values of those that name a field.
macro_rules! configs {
    (
        $(#[$struct_doc:meta])* struct $name:ident;
        $(#[$table_doc:meta])* table $table:ident;
        $( #[doc = $doc:literal] $key:literal $($field:ident: $type:ty)? = $default:literal, $kind:expr, $link:expr; )*
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $( #[doc = concat!("`", $key, "`: ", $doc)] pub $field: $type, )? )*
        }

        impl $name {
            /// Parses every value; `value_of` gives the effective, validated text of each.
            pub(super) fn from_values<'a>(value_of: impl Fn(&'static ConfigDef) -> &'a str) -> $name {
                let text = |key| value_of(ConfigDef::find($table, key).expect("the table is made of the same lines"));
                $name {
                    $( $( $field: <$type as crate::config::parse::FromConfig>::from_config(text($key)), )? )*
                }
            }
        }

        configs! {
            $(#[$table_doc])* table $table;
            $( #[doc = $doc] $key = $default, $kind, $link; )*
        }
    };
    (
        $(#[$table_doc:meta])* table $table:ident;
        $( #[doc = $doc:literal] $key:literal = $default:literal, $kind:expr, $link:expr; )*
    ) => {
        $(#[$table_doc])*
        pub static $table: &[ConfigDef] = &[
            $( ConfigDef { name: $key, kind: $kind, default: $default, link: $link, doc: $doc }, )*
        ];
    };
}
use configs;
