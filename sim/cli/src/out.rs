//! Standard output and standard error, whose reader may have gone away (`trial list | head -1`).

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// What a shell reports for a program that a broken pipe (SIGPIPE) ended.
const BROKEN_PIPE: i32 = 128 + 13;

/// Writes a line to standard output. Without a reader there is nothing left to do: the program ends, as by SIGPIPE.
pub fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.write_all(b"\n")) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(BROKEN_PIPE),
        Err(error) => {
            complaint(format_args!("error: standard output: {error}"));
            std::process::exit(i32::from(crate::BAD_INPUT));
        }
    }
}

/// Writes a line to standard error. Without a reader the program ends, as by SIGPIPE; of any other failure there is nobody to
/// tell, and the program goes on.
pub fn complaint(text: Arguments<'_>) {
    let mut out = std::io::stderr().lock();
    let written = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
    if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        std::process::exit(BROKEN_PIPE);
    }
}

/// `println!` by way of [`line`].
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// `eprintln!` by way of [`complaint`].
macro_rules! complain {
    ($($text:tt)*) => { $crate::out::complaint(format_args!($($text)*)) };
}
pub(crate) use complain;
