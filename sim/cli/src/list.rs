//! `trial list`.

use anyhow::{Result, bail};
use trial_scenarios::catalog;

use crate::args::List;

/// Lists scenarios or properties, or prints one scenario's file.
pub fn list(list: &List) -> Result<bool> {
    if list.checkers {
        for property in trial_scenarios::PROPERTIES {
            println!("{:<26} {}\n{:<26}   [{}]", property.name, property.about, "", property.source);
        }
        return Ok(true);
    }
    if let Some(name) = &list.scenario {
        let Some((_, text)) = catalog::FILES.iter().find(|(n, _)| n == name) else {
            crate::input::scenario(name)?;
            bail!("{name} is a file of yours, not a built-in scenario");
        };
        print!("{text}");
        return Ok(true);
    }
    for (name, _) in catalog::FILES {
        println!("{name:<20} {}", crate::input::scenario(name)?.about);
    }
    println!("\nRun one with `trial run NAME`; print its file with `trial list NAME`.");
    Ok(true)
}
