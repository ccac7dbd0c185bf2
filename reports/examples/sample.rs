//! Writes the reports of records made by hand into an existing folder, to look at them.

#[path = "../tests/records/mod.rs"]
mod records;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        return ExitCode::from(2);
    };
    let all = [
        ("leader-crash", records::leader_crash()),
        ("unclean", records::unclean()),
        ("empty", records::empty()),
        ("crowd", records::crowd()),
        ("small", records::small()),
    ];
    for (name, record) in all {
        let folder = Path::new(&folder).join(name);
        let written =
            std::fs::create_dir_all(&folder).is_ok() && trial_reports::write(&record, &folder).is_ok();
        if !written {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
