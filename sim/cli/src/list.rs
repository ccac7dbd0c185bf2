//! `trial list`.

use anyhow::{Result, bail};
use trial_scenarios::catalog;

use crate::args::List;
use crate::out::say;

/// Lists scenarios, properties or configs, or prints one scenario's file.
pub fn list(list: &List) -> Result<bool> {
    if list.checkers {
        for property in trial_scenarios::PROPERTIES {
            say!("{:<26} {}\n{:<26}   [{}]", property.name, property.about, "", property.source);
        }
        return Ok(true);
    }
    if list.configs {
        let tables = [
            ("Brokers: [cluster] config, and broker_config of [[admin]]", trial_scenarios::BROKER_CONFIGS),
            ("Topics: config of [[topic]], and topic_config of [[admin]]", trial_scenarios::TOPIC_CONFIGS),
        ];
        for (index, (title, table)) in tables.into_iter().enumerate() {
            say!("{}{title}", if index == 0 { "" } else { "\n" });
            for config in table {
                say!("  {} = {:?}\n      {}", config.name, config.default, config.doc);
            }
        }
        return Ok(true);
    }
    if let Some(name) = &list.scenario {
        let Some((_, text)) = catalog::FILES.iter().find(|(n, _)| n == name) else {
            crate::input::scenario(name)?;
            bail!("{name} is a file of yours, not a built-in scenario");
        };
        say!("{}", text.trim_end());
        return Ok(true);
    }
    let width = catalog::FILES.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, _) in catalog::FILES {
        say!("{name:<width$} {}", crate::input::scenario(name)?.about);
    }
    say!("\nRun one with `trial run NAME`; print its file with `trial list NAME`.");
    Ok(true)
}
