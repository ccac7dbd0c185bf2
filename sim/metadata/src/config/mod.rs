//! The topic and broker configs that we honour, under Kafka's names.
//!
//! An effective value is, in this order: the topic's override, the broker's dynamic override, the cluster-wide dynamic
//! default, the operator's properties ([`StaticConfig`]), the default.

mod broker;
mod parse;
mod resolve;
mod topic;

pub use broker::{BROKER_CONFIGS, BrokerConfig};
pub use parse::{
    CleanupPolicy, CompressionType, ConfigDef, ConfigError, ConfigKind, ConfigLink, TimestampType,
};
pub use resolve::{ConfigEntry, ConfigSource, StaticConfig};
pub use topic::{TOPIC_CONFIGS, TopicConfig};

/// Declares a table of configs together with the struct that holds their parsed values.
macro_rules! configs {
    (
        $(#[$struct_doc:meta])* struct $name:ident;
        $(#[$table_doc:meta])* table $table:ident;
        $( #[doc = $doc:literal] $key:literal $field:ident: $type:ty = $default:literal, $kind:expr, $link:expr; )*
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( #[doc = concat!("`", $key, "`: ", $doc)] pub $field: $type, )*
        }

        $(#[$table_doc])*
        pub static $table: &[ConfigDef] = &[
            $( ConfigDef { name: $key, kind: $kind, default: $default, link: $link, doc: $doc }, )*
        ];

        impl $name {
            /// Parses every value; `value_of` gives the effective, validated text of each.
            pub(super) fn from_values<'a>(mut value_of: impl FnMut(&'static ConfigDef) -> &'a str) -> $name {
                let mut defs = $table.iter();
                $name {
                    $( $field: <$type as crate::config::parse::FromConfig>::from_config(
                        value_of(defs.next().expect(concat!("the table has a line for ", $key)))
                    ), )*
                }
            }
        }
    };
}
use configs;
