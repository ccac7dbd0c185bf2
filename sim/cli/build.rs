//! Tells the binary which commit it was built from.

use std::process::Command;

fn main() {
    // `logs/HEAD` changes with every commit and checkout; a source archive has neither it nor git.
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    let described =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).output();
    let commit = described
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".to_owned(), |text| text.trim().to_owned());
    println!("cargo:rustc-env=TRIAL_COMMIT={commit}");
}
