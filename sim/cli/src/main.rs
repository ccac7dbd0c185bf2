//! The `trial` binary: raw arguments in, a checked plan out, exit codes.

#![allow(
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the binary talks to people and measures how long a run takes; nothing below it does"
)]

mod args;
mod input;
mod list;
mod log;
mod out;
mod replay;
mod run;
mod serve;
mod session;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use out::complain;

/// A run allocates several times per simulated message, and keeps much of it until its end: with this allocator `leader-crash`
/// takes 8 % less CPU time than with glibc's, most of that because memory comes from the system in larger pieces.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Everything held.
const HOLDS: u8 = 0;
/// An invariant or an expectation failed.
const FAILS: u8 = 1;
/// Bad input: a scenario, a flag, a file.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let outcome = match arguments.command {
        args::Command::Run(run) => run::run(&run),
        args::Command::Serve(serve) => serve::serve(&serve),
        args::Command::Replay(replay) => replay::replay(&replay),
        args::Command::List(list) => list::list(&list),
        args::Command::Log(args::Log::Dump(dump)) => log::dump(&dump),
        args::Command::Verify(verify) => verify::verify(&verify),
    };
    match outcome {
        Ok(true) => ExitCode::from(HOLDS),
        Ok(false) => ExitCode::from(FAILS),
        Err(error) => {
            complain!("error: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}
