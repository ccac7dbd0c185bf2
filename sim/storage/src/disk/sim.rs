//! A disk in memory that knows what is only in the page cache.
//!
//! Files and folders are nodes in a table. A file keeps its content and how much of it is durable; a folder keeps its
//! names twice, as they are and as they are durable, with the operations between the two in order. Losing power keeps a
//! prefix of each folder's operations, and of each file's unsynced bytes all, none or a part.

mod damage;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trial_node::{Disk, DiskError, FileId, Rng};

use super::faulty::Faults;
use super::file::FileDisk;
use super::mirror::Mirror;
use super::rope::Rope;
use super::spares::Spares;

/// What the node has asked of its disk since [`SimDisk::take_usage`] was last called, for the world to charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes appended; they went to the page cache.
    pub bytes_written: u64,
    /// Calls of `sync` and `sync_folder`.
    pub syncs: u32,
    /// Bytes that those syncs had to move from the page cache to the device.
    pub bytes_synced: u64,
    /// All operations, reads, writes and syncs included.
    pub operations: u32,
}

/// One machine's disk. Survives the node's process; cheap to clone (content is shared until one side changes it).
#[derive(Clone, Debug)]
pub struct SimDisk {
    /// Slots; a freed one is used again. Node 0 is the data folder.
    nodes: Vec<Option<Node>>,
    free: Vec<u32>,
    /// Open files by id. Ids are not used twice before the process dies, so that a stale one is noticed.
    handles: Vec<Option<Handle>>,
    /// The nodes whose `dirty` flag is set, for the flusher.
    dirty: Vec<u32>,
    dirty_bytes: u64,
    usage: DiskUsage,
    /// Where everything is written to as well.
    mirror: Mirror,
    /// What is wrong with it, if anything is.
    faults: Option<Box<Faults>>,
    /// Lost files that a process has open. They go with it.
    lost: Vec<u32>,
    spares: Spares,
    /// Whether the device has changed any file.
    damaged: bool,
}

const NOT_OPEN: &str = "a file is used between its open and its close, by the process that opened it";

#[derive(Clone, Debug)]
struct Handle {
    node: u32,
    /// The file in the mirror, if there is one.
    mirrored: MirroredFile,
    /// The chunk of the file that was read last.
    cursor: usize,
    /// For error messages.
    path: Arc<str>,
}

/// An open file of the mirror.
#[derive(Clone, Copy, Debug)]
struct MirroredFile(FileId);

impl Default for MirroredFile {
    fn default() -> Self {
        MirroredFile(FileId(u32::MAX))
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// Whether the node is in `SimDisk::dirty`.
    dirty: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File(Arc<File>),
    Folder(Arc<Folder>),
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Rope,
    /// So many bytes of `content` are durable.
    synced: u64,
    /// What the device still holds behind `synced` because a truncation has not been synced.
    stale: Rope,
    /// How long the file was when the flusher last came by; `None` if it has not since the last sync or truncation.
    aged: Option<u64>,
    /// Bytes that the device has changed, by position. `content` is as it was written.
    damage: BTreeMap<u64, u8>,
    /// What lies before is not in the page cache any more, or was there before the machine was switched on.
    cold_to: u64,
    /// How much a device has said that it had written, and had not.
    unsynced_by_device: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    names: BTreeMap<String, u32>,
    durable: BTreeMap<String, u32>,
    /// What leads from `durable` to `names`, in order.
    pending: Vec<NameOp>,
    /// So many of `pending` were there when the flusher last came by.
    aged: usize,
    /// Whether a device has said that it had written them, and had not.
    unsynced_by_device: bool,
}

#[derive(Clone, Debug)]
enum NameOp {
    Set(String, u32),
    Clear(String),
    Rename(String, String),
}

impl NameOp {
    /// Applies the operation; returns the node whose name it took away.
    fn apply(&self, names: &mut BTreeMap<String, u32>) -> Option<u32> {
        match self {
            NameOp::Set(name, node) => names.insert(name.clone(), *node),
            NameOp::Clear(name) => names.remove(name),
            NameOp::Rename(from, to) => {
                let node = names.remove(from)?;
                names.insert(to.clone(), node)
            }
        }
    }
}

impl File {
    fn dirty_bytes(&self) -> u64 {
        self.content.len() - self.synced
    }

    fn is_dirty(&self) -> bool {
        self.dirty_bytes() > 0 || self.stale.len() > 0
    }

    fn sync(&mut self) {
        self.synced = self.content.len();
        self.stale = Rope::default();
        self.aged = None;
        self.unsynced_by_device = None;
    }

    fn truncate(&mut self, len: u64) {
        self.cold_to = self.cold_to.min(len);
        self.damage.split_off(&len);
        self.unsynced_by_device = self.unsynced_by_device.map(|said| said.min(len));
        let mut cut = self.content.split_off(len);
        if len < self.synced {
            cut.split_off(self.synced - len);
            cut.extend(std::mem::take(&mut self.stale));
            self.stale = cut;
            self.synced = len;
            self.aged = None;
        } else {
            self.aged = self.aged.map(|aged| aged.min(len));
        }
    }

    /// Decides what the device holds when the power has gone.
    fn lose_power(&mut self, rng: &mut Rng, torn: bool) {
        const PAGE: u64 = 4096;
        if self.unsynced_by_device.is_some() {
            self.content.split_off(self.synced);
            self.content.extend(std::mem::take(&mut self.stale));
            return self.sync();
        }
        if torn {
            self.tear(rng);
            return self.sync();
        }
        if self.stale.len() > 0 && rng.chance(1, 2) {
            self.content.split_off(self.synced);
            self.content.extend(std::mem::take(&mut self.stale));
        }
        self.stale = Rope::default();
        self.synced = self.synced.min(self.content.len());
        let unsynced = self.dirty_bytes();
        if unsynced > 0 {
            let mut lost = self.content.split_off(self.synced);
            match rng.below(5) {
                // All lost.
                0 => {}
                // All there.
                1 => self.content.extend(lost),
                // The length was written in part, and so was the content.
                2 => {
                    lost.split_off(rng.below(unsynced + 1));
                    self.content.extend(lost);
                }
                // A part of it, then what the device held in those blocks before.
                3 => {
                    let kept = rng.below(unsynced + 1);
                    lost.split_off(kept);
                    self.content.extend(lost);
                    let torn = rng.between(1, (unsynced - kept).clamp(1, PAGE));
                    let mut garbage = BytesMut::zeroed(torn as usize);
                    if rng.chance(1, 2) {
                        rng.fill(&mut garbage);
                    }
                    self.content.push(garbage.freeze());
                }
                // The whole length, but pages of it were never written.
                _ => {
                    let lost = lost.read(0, unsynced);
                    let mut torn = lost.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                    for page in torn.chunks_mut(PAGE as usize) {
                        if rng.chance(1, 2) {
                            page.fill(0);
                        }
                    }
                    self.content.push(torn.freeze());
                }
            }
        }
        self.sync();
    }
}

impl Folder {
    /// Makes the first `n` pending operations durable; returns the nodes that nothing names any more.
    fn commit(&mut self, n: usize) -> Vec<u32> {
        let mut unnamed = Vec::new();
        let ops: Vec<NameOp> = self.pending.drain(..n).collect();
        for op in &ops {
            if let Some(node) = op.apply(&mut self.durable) {
                unnamed.push(node);
            }
        }
        self.aged = self.aged.saturating_sub(n);
        unnamed.retain(|node| {
            let named = |names: &BTreeMap<String, u32>| names.values().any(|other| other == node);
            let awaited = self.pending.iter().any(|op| matches!(op, NameOp::Set(_, other) if other == node));
            !(named(&self.durable) || named(&self.names) || awaited)
        });
        unnamed
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk {
            nodes: vec![Some(Node { dirty: false, kind: Kind::Folder(Arc::default()) })],
            free: Vec::new(),
            handles: Vec::new(),
            dirty: Vec::new(),
            dirty_bytes: 0,
            usage: DiskUsage::default(),
            mirror: Mirror::default(),
            faults: None,
            lost: Vec::new(),
            spares: Spares::default(),
            damaged: false,
        }
    }

    /// A disk with what is in a real folder. From now on everything that is written to the disk is written there as well,
    /// and a sync of it is one there. A copy of the disk has no folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn mirrored(mut folder: FileDisk) -> Result<SimDisk, DiskError> {
        let mut disk = SimDisk::new();
        Mirror::tidy(&mut folder)?;
        for path in folder.files()? {
            let from = folder.open(&path, false)?;
            let content = folder.read(from, 0, folder.len(from))?;
            folder.close(from);
            let file = disk.open(&path, true)?;
            disk.append(file, &[content])?;
            disk.sync(file)?;
            disk.close(file);
        }
        disk.sync_everything();
        folder.close_all();
        disk.crash_process();
        disk.drop_cache();
        disk.take_usage();
        disk.mirror = Mirror::new(folder);
        Ok(disk)
    }

    /// Makes all names durable.
    fn sync_everything(&mut self) {
        for id in 0..self.nodes.len() as u32 {
            if self.nodes[id as usize].is_some() && self.is_folder(id) {
                self.commit_folder(id);
            }
        }
        self.dirty.iter().for_each(|id| {
            if let Some(node) = &mut self.nodes[*id as usize] {
                node.dirty = false;
            }
        });
        self.dirty.clear();
    }

    /// Every file with its path and content, and every folder with its path.
    fn contents(&self) -> Vec<(String, Option<Bytes>)> {
        let (mut all, mut folders) = (Vec::new(), vec![(String::new(), 0)]);
        while let Some((prefix, folder)) = folders.pop() {
            for (name, id) in &self.folder(folder).names {
                let path = format!("{prefix}{name}");
                match &self.nodes[*id as usize].as_ref().expect("named nodes exist").kind {
                    Kind::Folder(_) => {
                        folders.push((format!("{path}/"), *id));
                        all.push((path, None));
                    }
                    Kind::File(file) => {
                        let mut content = file.content.clone();
                        all.push((path, Some(content.read(0, file.content.len()))));
                    }
                }
            }
        }
        all
    }

    /// The node's process died: its open files are forgotten; everything that it wrote is kept.
    pub fn crash_process(&mut self) {
        self.handles.clear();
        self.mirror.close_all();
        let lost = std::mem::take(&mut self.lost);
        self.release(lost);
    }

    /// The machine lost power: open files are forgotten, and of what was not synced each file and each folder keeps all,
    /// nothing or a part, as `rng` decides.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        self.handles.clear();
        self.lost.clear();
        let torn = self.torn_nodes();
        for id in 0..self.nodes.len() as u32 {
            let Some(node) = &mut self.nodes[id as usize] else { continue };
            node.dirty = false;
            match &mut node.kind {
                Kind::File(file) if file.is_dirty() => {
                    let file = Arc::make_mut(file);
                    file.lose_power(rng, torn.contains(&id));
                    // What is written there from now on is as it is written.
                    file.damage.split_off(&file.content.len());
                }
                Kind::Folder(folder) if !folder.pending.is_empty() => {
                    let folder = Arc::make_mut(folder);
                    let kept = match folder.unsynced_by_device {
                        true => 0,
                        false => rng.below(folder.pending.len() as u64 + 1) as usize,
                    };
                    folder.commit(kept);
                    folder.pending.clear();
                    folder.aged = 0;
                    folder.unsynced_by_device = false;
                    folder.names = folder.durable.clone();
                }
                Kind::File(_) | Kind::Folder(_) => {}
            }
        }
        self.dirty.clear();
        self.dirty_bytes = 0;
        self.drop_cache();
        self.sweep();
        if self.mirror.is_there() {
            self.mirror.close_all();
            let contents = self.contents();
            self.mirror.rewrite(&contents);
        }
    }

    /// The kernel's flusher: makes durable whatever was already dirty when this was last called, and returns how many
    /// bytes that moved to the device. Called every 30 s it makes data durable 30 to 60 s after it was written.
    pub fn write_back(&mut self) -> u64 {
        let before = self.dirty_bytes;
        let mut still = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let Some(node) = &mut self.nodes[id as usize] else { continue };
            let (dirty, unnamed) = match &mut node.kind {
                Kind::File(file) => {
                    let file = Arc::make_mut(file);
                    if let Some(aged) = file.aged
                        && file.unsynced_by_device.is_none()
                    {
                        self.dirty_bytes -= aged.saturating_sub(file.synced);
                        file.synced = file.synced.max(aged);
                        file.stale = Rope::default();
                    }
                    file.aged = file.is_dirty().then_some(file.content.len());
                    (file.is_dirty(), Vec::new())
                }
                Kind::Folder(folder) => {
                    let folder = Arc::make_mut(folder);
                    let unnamed =
                        if folder.unsynced_by_device { Vec::new() } else { folder.commit(folder.aged) };
                    folder.aged = folder.pending.len();
                    (!folder.pending.is_empty(), unnamed)
                }
            };
            node.dirty = dirty;
            if dirty {
                still.push(id);
            }
            self.release(unnamed);
        }
        // Slots freed above may have been listed too.
        still.retain(|id| self.nodes[*id as usize].is_some());
        self.dirty = still;
        before - self.dirty_bytes
    }

    /// How many bytes are in the page cache only.
    pub fn dirty_bytes(&self) -> u64 {
        self.dirty_bytes
    }

    /// What was asked of the disk since the last call.
    pub fn take_usage(&mut self) -> DiskUsage {
        std::mem::take(&mut self.usage)
    }

    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    fn folder(&self, id: u32) -> &Folder {
        match &self.nodes[id as usize].as_ref().expect("named nodes exist").kind {
            Kind::Folder(folder) => folder,
            Kind::File(_) => unreachable!("callers have checked that it is a folder"),
        }
    }

    fn is_folder(&self, id: u32) -> bool {
        matches!(self.nodes[id as usize].as_ref().expect("named nodes exist").kind, Kind::Folder(_))
    }

    /// The open file, to be read.
    fn file(&self, file: FileId) -> &File {
        match &self.nodes[self.handle(file).node as usize].as_ref().expect("open files exist").kind {
            Kind::File(file) => file,
            Kind::Folder(_) => unreachable!("only files are opened"),
        }
    }

    /// The open file, to be changed. A reader joins chunks, so it needs this too.
    fn file_mut(&mut self, file: FileId) -> &mut File {
        let node = self.handle(file).node;
        match &mut self.nodes[node as usize].as_mut().expect("open files exist").kind {
            Kind::File(file) => Arc::make_mut(file),
            Kind::Folder(_) => unreachable!("only files are opened"),
        }
    }

    /// The content of an open file, to be read at `position`, and the reader's cursor.
    #[inline]
    fn content_for(
        &mut self,
        file: FileId,
        position: u64,
        len: u64,
    ) -> Result<(&Rope, &mut usize), DiskError> {
        let handle = self.handles[file.0 as usize].as_mut().expect(NOT_OPEN);
        let Some(Node { kind: Kind::File(inner), .. }) = &self.nodes[handle.node as usize] else {
            unreachable!("only files are opened, and open files exist")
        };
        let file_len = inner.content.len();
        if position.checked_add(len).is_some_and(|end| end <= file_len) {
            self.usage.operations += 1;
            self.usage.bytes_read += len;
            return Ok((&inner.content, &mut handle.cursor));
        }
        Err(DiskError::PastEnd { path: handle.path.to_string(), position, len, file_len })
    }

    fn handle(&self, file: FileId) -> &Handle {
        self.handles.get(file.0 as usize).and_then(Option::as_ref).expect(NOT_OPEN)
    }

    fn mark_dirty(&mut self, id: u32) {
        let node = self.nodes[id as usize].as_mut().expect("dirty nodes exist");
        if !node.dirty {
            node.dirty = true;
            self.dirty.push(id);
        }
    }

    fn allocate(&mut self, kind: Kind) -> u32 {
        let node = Some(Node { dirty: false, kind });
        match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
    }

    /// Changes the names in a folder; durable once it is synced.
    fn change(&mut self, folder: u32, op: NameOp) {
        match &mut self.nodes[folder as usize].as_mut().expect("named nodes exist").kind {
            Kind::Folder(inner) => {
                let inner = Arc::make_mut(inner);
                op.apply(&mut inner.names);
                inner.pending.push(op);
            }
            Kind::File(_) => unreachable!("callers have checked that it is a folder"),
        }
        self.mark_dirty(folder);
    }

    fn commit_folder(&mut self, id: u32) {
        let Kind::Folder(folder) = &mut self.nodes[id as usize].as_mut().expect("named nodes exist").kind
        else {
            unreachable!("callers have checked that it is a folder")
        };
        if !folder.pending.is_empty() {
            let folder = Arc::make_mut(folder);
            let unnamed = folder.commit(folder.pending.len());
            folder.unsynced_by_device = false;
            self.release(unnamed);
        }
    }

    /// Frees nodes, with what is in them.
    fn release(&mut self, mut ids: Vec<u32>) {
        while let Some(id) = ids.pop() {
            let Some(node) = self.nodes[id as usize].take() else { continue };
            self.free.push(id);
            if node.dirty {
                self.dirty.retain(|dirty| *dirty != id);
            }
            match node.kind {
                Kind::File(file) => self.dirty_bytes -= file.dirty_bytes(),
                Kind::Folder(folder) => {
                    ids.extend(folder.names.values());
                    ids.extend(folder.durable.values());
                }
            }
        }
    }

    /// Frees every node that no name leads to.
    fn sweep(&mut self) {
        let mut reached = vec![false; self.nodes.len()];
        let mut stack = vec![0u32];
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut reached[id as usize], true) && self.is_folder(id) {
                stack.extend(self.folder(id).names.values());
            }
        }
        for (id, reached) in reached.into_iter().enumerate() {
            if !reached && self.nodes[id].take().is_some() {
                self.free.push(id as u32);
            }
        }
    }

    /// The node at `path`.
    fn lookup(&self, path: &str) -> Option<u32> {
        let mut id = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !self.is_folder(id) {
                return None;
            }
            id = *self.folder(id).names.get(name)?;
        }
        Some(id)
    }

    /// The folder that `path` is in, and the last part of it.
    fn parent<'p>(&self, path: &'p str) -> Option<(u32, &'p str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let id = self.lookup(folder)?;
        (self.is_folder(id) && !name.is_empty()).then_some((id, name))
    }

    fn make_folders(&mut self, path: &str) -> Result<u32, DiskError> {
        let mut id = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = match self.folder(id).names.get(name) {
                Some(next) if self.is_folder(*next) => *next,
                Some(_) => return Err(failed(path, "a file is where a folder should be")),
                None => {
                    let next = self.allocate(Kind::Folder(Arc::default()));
                    self.change(id, NameOp::Set(name.to_owned(), next));
                    next
                }
            };
        }
        Ok(id)
    }

    /// Takes the names of everything in a folder away, as removing it recursively does.
    fn clear_folder(&mut self, id: u32) {
        let children: Vec<(String, u32)> =
            self.folder(id).names.iter().map(|(name, child)| (name.clone(), *child)).collect();
        for (name, child) in children {
            if self.is_folder(child) {
                self.clear_folder(child);
            }
            self.change(id, NameOp::Clear(name));
        }
    }
}

fn failed(path: &str, what: &str) -> DiskError {
    DiskError::Failed { path: path.to_owned(), what: what.to_owned() }
}

fn not_found(path: &str) -> DiskError {
    DiskError::NotFound { path: path.to_owned() }
}

impl Disk for SimDisk {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        self.usage.operations += 1;
        let node = match self.lookup(path) {
            Some(node) if self.is_folder(node) => return Err(failed(path, "is a folder")),
            Some(node) => node,
            None if !create => return Err(not_found(path)),
            None => {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let folder = self.make_folders(folder)?;
                let node = self.allocate(Kind::File(Arc::default()));
                self.change(folder, NameOp::Set(name.to_owned(), node));
                node
            }
        };
        let mirrored = self.mirror.also(|folder| folder.open(path, true).map(MirroredFile))?;
        self.handles.push(Some(Handle { node, mirrored, cursor: 0, path: path.into() }));
        Ok(FileId(self.handles.len() as u32 - 1))
    }

    fn close(&mut self, file: FileId) {
        if let Some(handle) = self.handles[file.0 as usize].take() {
            self.mirror.close(handle.mirrored.0);
        }
    }

    fn len(&self, file: FileId) -> u64 {
        self.file(file).content.len()
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        let Handle { node, mirrored, .. } = *self.handle(file);
        self.mirror.also(|folder| folder.append(mirrored.0, chunks))?;
        let content = &mut self.file_mut(file).content;
        let before = content.len();
        content.write(chunks);
        let written = content.len() - before;
        self.dirty_bytes += written;
        self.usage.bytes_written += written;
        self.usage.operations += 1;
        self.mark_dirty(node);
        Ok(())
    }

    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        let (content, cursor) = self.content_for(file, position, len)?;
        Ok(match content.read_within(cursor, position, len) {
            Some(bytes) => bytes,
            None => {
                let mut spares = std::mem::take(&mut self.spares);
                let read = self.file_mut(file).content.read_across(position, len, &mut spares);
                self.spares = spares;
                read
            }
        })
    }

    fn read_some(&mut self, file: FileId, position: u64, least: u64, most: u64) -> Result<Bytes, DiskError> {
        assert!(least <= most, "at least {least} and at most {most} bytes");
        let shared = if least < most { self.file(file).content.shared_from(position) } else { 0 };
        let len = if shared >= least { shared.min(most) } else { most };
        self.read(file, position, len)
    }

    fn read_into(&mut self, file: FileId, position: u64, out: &mut [u8]) -> Result<(), DiskError> {
        let len = out.len() as u64;
        let (content, cursor) = self.content_for(file, position, len)?;
        match content.peek_within(cursor, position, len) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => out.copy_from_slice(&self.file_mut(file).content.read(position, len)),
        }
        Ok(())
    }

    fn is_cached(&self, file: FileId, position: u64) -> bool {
        position >= self.file(file).cold_to
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        assert!(len <= self.len(file), "truncating to {len}, but the file has {}", self.len(file));
        let Handle { node, mirrored, .. } = *self.handle(file);
        self.mirror.also(|folder| folder.truncate(mirrored.0, len))?;
        let inner = self.file_mut(file);
        let before = inner.dirty_bytes();
        inner.truncate(len);
        let after = inner.dirty_bytes();
        self.dirty_bytes -= before - after;
        self.usage.operations += 1;
        self.mark_dirty(node);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        let mirrored = self.handle(file).mirrored;
        self.mirror.also(|folder| folder.sync(mirrored.0))?;
        let lost = self.faults.as_ref().is_some_and(|faults| faults.loses_sync(self.path(file)));
        let inner = self.file_mut(file);
        let flushed = inner.dirty_bytes();
        if lost {
            inner.unsynced_by_device = Some(inner.content.len());
        } else {
            inner.sync();
            self.dirty_bytes -= flushed;
        }
        self.usage.operations += 1;
        self.usage.syncs += 1;
        self.usage.bytes_synced += flushed;
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.usage.operations += 1;
        let (source, from_name) = self.parent(from).ok_or_else(|| not_found(from))?;
        let node = *self.folder(source).names.get(from_name).ok_or_else(|| not_found(from))?;
        let (target, to_name) = self.parent(to).ok_or_else(|| not_found(to))?;
        match self.folder(target).names.get(to_name) {
            Some(old) if *old == node => return Ok(()),
            Some(old) if self.is_folder(*old) => return Err(failed(to, "a folder has this name")),
            Some(_) | None => {}
        }
        self.mirror.also(|folder| folder.rename(from, to))?;
        if source == target {
            self.change(source, NameOp::Rename(from_name.to_owned(), to_name.to_owned()));
        } else {
            // Each folder keeps its own journal, so a move between two could lose the file in both. No journalling file
            // system does that, and nobody here moves files: it is simply durable.
            self.change(target, NameOp::Set(to_name.to_owned(), node));
            self.commit_folder(target);
            self.change(source, NameOp::Clear(from_name.to_owned()));
            let Kind::Folder(folder) =
                &mut self.nodes[source as usize].as_mut().expect("named nodes exist").kind
            else {
                unreachable!("it has names")
            };
            let folder = Arc::make_mut(folder);
            let n = folder.pending.len();
            let mut unnamed = folder.commit(n);
            unnamed.retain(|other| *other != node);
            self.release(unnamed);
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.usage.operations += 1;
        let (folder, name) = self.parent(path).ok_or_else(|| not_found(path))?;
        let node = *self.folder(folder).names.get(name).ok_or_else(|| not_found(path))?;
        self.mirror.also(|folder| folder.remove(path))?;
        if self.is_folder(node) {
            self.clear_folder(node);
        }
        self.change(folder, NameOp::Clear(name.to_owned()));
        Ok(())
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.usage.operations += 1;
        match self.lookup(folder) {
            None => Ok(Vec::new()),
            Some(id) if self.is_folder(id) => Ok(self.folder(id).names.keys().cloned().collect()),
            Some(_) => Err(failed(folder, "is a file")),
        }
    }

    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        self.usage.operations += 1;
        self.usage.syncs += 1;
        match self.lookup(folder) {
            Some(id) if self.is_folder(id) => {
                self.mirror.also(|mirror| mirror.sync_folder(folder))?;
                match self.faults.as_ref().is_some_and(|faults| faults.loses_sync(folder)) {
                    true => self.lose_folder_sync(id),
                    false => self.commit_folder(id),
                }
                Ok(())
            }
            Some(_) => Err(failed(folder, "is a file")),
            None => Err(not_found(folder)),
        }
    }
}
