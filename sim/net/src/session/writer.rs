//! Writing a session down, on a thread of its own.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::entry::Entry;
use super::{MAGIC, VERSION};

/// How many batches of entries may wait to be written. Whoever is faster than the disk waits for it.
const WAITING_MAX: usize = 64;
/// How much is gathered before it is written.
const BUFFER: usize = 256 << 10;

/// Writes a session's file as the session goes on: what was put into it is with the operating system as soon as nothing more
/// waits.
#[derive(Debug)]
pub struct Journal {
    /// `None` once it ends.
    entries: Option<SyncSender<Vec<Entry>>>,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Journal {
    /// Begins a file, which is emptied if it is there already. `header` says what the cluster is made of.
    ///
    /// # Errors
    /// What the operating system says.
    #[allow(
        clippy::disallowed_methods,
        reason = "a driver may have threads; the cluster never sees this one"
    )]
    pub fn create(file: &Path, header: String) -> io::Result<Journal> {
        let mut out = BufWriter::with_capacity(BUFFER, File::create(file)?);
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        put(Entry::Header(header), &mut Vec::new(), &mut out)?;
        out.flush()?;
        let (entries, waiting) = sync_channel(WAITING_MAX);
        let writing = std::thread::Builder::new().name("journal".to_owned());
        let writing = writing.spawn(move || write(&waiting, &mut out))?;
        Ok(Journal { entries: Some(entries), writing: Some(writing) })
    }

    /// Puts entries into the file. False if it cannot be written any more: [`Journal::close`] says why.
    #[must_use]
    pub fn put(&self, entries: Vec<Entry>) -> bool {
        self.entries.as_ref().is_some_and(|journal| journal.send(entries).is_ok())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// What the operating system said to the first write that failed; the file holds what came before.
    pub fn close(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.entries = None;
        self.writing.take().map_or(Ok(()), |writing| writing.join().expect("the thread does not panic"))
    }
}

/// A session that breaks off is in the file all the same, up to its last input.
impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants to know has closed it.
        drop(self.end());
    }
}

fn write(waiting: &Receiver<Vec<Entry>>, out: &mut BufWriter<File>) -> io::Result<()> {
    let mut scratch = Vec::new();
    loop {
        let entries = match waiting.try_recv() {
            Ok(entries) => entries,
            Err(TryRecvError::Empty) => {
                out.flush()?;
                match waiting.recv() {
                    Ok(entries) => entries,
                    Err(_) => return Ok(()),
                }
            }
            Err(TryRecvError::Disconnected) => return out.flush(),
        };
        for entry in entries {
            put(entry, &mut scratch, out)?;
        }
    }
}

/// Writes one entry.
pub(super) fn put(entry: Entry, scratch: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    scratch.clear();
    let frame = entry.encode(scratch);
    let length = u32::try_from(scratch.len() + frame.len()).map_err(io::Error::other)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(scratch), &frame);
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&crc.to_be_bytes())?;
    out.write_all(scratch)?;
    out.write_all(&frame)
}
