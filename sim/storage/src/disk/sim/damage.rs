//! What faults do to what a simulated disk holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trial_node::{Disk, FileId, Rng};

use super::{File, Kind, NameOp, SimDisk};
use crate::disk::fault::{DiskPart, EVERY_FILE};
use crate::disk::faulty::{Faults, SECTOR};
use crate::disk::rope::Rope;
use crate::log_dir::path_in;

impl File {
    /// Each sector of what was not synced is on the device or not by itself, up to where the length was written.
    pub(super) fn tear(&mut self, rng: &mut Rng) {
        let unsynced = self.dirty_bytes();
        let mut torn = self.content.split_off(self.synced);
        torn.split_off(rng.below(unsynced + 1));
        let mut torn = BytesMut::from(&torn.read(0, torn.len())[..]);
        let first = (SECTOR - self.synced % SECTOR).min(torn.len() as u64) as usize;
        let (head, rest) = torn.split_at_mut(first);
        for sector in std::iter::once(head).chain(rest.chunks_mut(SECTOR as usize)) {
            if rng.chance(1, 2) {
                sector.fill(0);
            }
        }
        self.content.push(torn.freeze());
    }

    /// The device puts other bytes where some are. All of the file has to come from the device again.
    fn overwrite(&mut self, position: u64, bytes: &[u8]) {
        self.damage.extend((position..).zip(bytes.iter().copied()));
        self.cold_to = self.content.len();
    }
}

impl SimDisk {
    /// The path that an open file was opened with.
    pub(in crate::disk) fn path(&self, file: FileId) -> &str {
        &self.handle(file).path
    }

    #[inline]
    pub(in crate::disk) fn faults(&self) -> Option<&Faults> {
        self.faults.as_deref()
    }

    pub(in crate::disk) fn faults_mut(&mut self) -> &mut Faults {
        self.faults.get_or_insert_default()
    }

    pub(in crate::disk) fn forget_faults(&mut self) {
        self.faults = None;
    }

    fn file_at(&self, path: &str) -> Option<&File> {
        match &self.nodes[self.lookup(path)? as usize].as_ref().expect("named nodes exist").kind {
            Kind::File(file) => Some(file),
            Kind::Folder(_) => None,
        }
    }

    /// The paths of all files in a folder, wherever it is, or on the whole disk.
    pub(super) fn files_in(&self, folder: Option<&str>) -> Vec<(String, u32)> {
        let (mut files, mut folders) = (Vec::new(), vec![(String::new(), 0)]);
        while let Some((prefix, inside)) = folders.pop() {
            for (name, id) in &self.folder(inside).names {
                let path = format!("{prefix}{name}");
                if self.is_folder(*id) {
                    folders.push((format!("{path}/"), *id));
                } else if DiskPart::has(folder, &path) {
                    files.push((path, *id));
                }
            }
        }
        files.sort_unstable();
        files
    }

    /// How many bytes the files in a folder have.
    pub(in crate::disk) fn used(&self, folder: Option<&str>) -> u64 {
        self.files_in(folder).iter().filter_map(|(path, _)| Some(self.file_at(path)?.content.len())).sum()
    }

    /// The files in a folder that are called `name` or end with it behind a dot ([`EVERY_FILE`] for all), and of which `wanted` takes as much as is synced;
    /// sorted.
    pub(in crate::disk) fn files_called(
        &self,
        folder: Option<&str>,
        name: &str,
        wanted: impl Fn(u64) -> bool,
    ) -> Vec<String> {
        let called = |path: &str| {
            let own = path.rsplit('/').next().unwrap_or(path);
            name == EVERY_FILE
                || own == name
                || own.strip_suffix(name).is_some_and(|stem| stem.ends_with('.'))
        };
        let files = self.files_in(folder).into_iter().map(|(path, _)| path);
        files.filter(|path| called(path) && wanted(self.synced_len(path))).collect()
    }

    /// How much of a file is on the device.
    pub(in crate::disk) fn synced_len(&self, path: &str) -> u64 {
        self.file_at(path).map_or(0, |file| file.synced)
    }

    pub(in crate::disk) fn content_len(&self, path: &str) -> u64 {
        self.file_at(path).map_or(0, |file| file.content.len())
    }

    /// A byte of a file as the device has it, which must be there.
    pub(in crate::disk) fn peek(&self, path: &str, position: u64) -> u8 {
        let file = self.file_at(path).expect("the caller has found it");
        let written = || file.content.clone().read(position, 1)[0];
        file.damage.get(&position).copied().unwrap_or_else(written)
    }

    /// The device puts other bytes where a file has some. Who looks past the faults still sees what was written.
    pub(in crate::disk) fn overwrite(&mut self, path: &str, position: u64, bytes: &[u8]) {
        let written = self.mirror.also(|folder| folder.overwrite(path, position, bytes));
        // It is kept for who comes next.
        drop(written);
        self.damaged = true;
        self.change_file(path, |file| file.overwrite(position, bytes));
    }

    /// What was read at `position` of an open file, as the device has it.
    #[inline]
    pub(in crate::disk) fn as_on_device(&self, file: FileId, position: u64, bytes: Bytes) -> Bytes {
        if !self.damaged || self.damage_at(file, position, bytes.len()).next().is_none() {
            return bytes;
        }
        let mut changed = BytesMut::from(&bytes[..]);
        self.damage_into(file, position, &mut changed);
        changed.freeze()
    }

    /// As [`SimDisk::as_on_device`], in place.
    #[inline]
    pub(in crate::disk) fn damage_into(&self, file: FileId, position: u64, out: &mut [u8]) {
        if self.damaged {
            self.damage_at(file, position, out.len()).for_each(|(at, byte)| out[at] = byte);
        }
    }

    fn damage_at(&self, file: FileId, position: u64, len: usize) -> impl Iterator<Item = (usize, u8)> {
        let damage = self.file(file).damage.range(position..position + len as u64);
        damage.map(move |(at, byte)| ((at - position) as usize, *byte))
    }

    fn change_file(&mut self, path: &str, change: impl FnOnce(&mut File)) {
        let id = self.lookup(path).expect("the caller has found it");
        if let Kind::File(file) = &mut self.nodes[id as usize].as_mut().expect("named nodes exist").kind {
            change(Arc::make_mut(file));
        }
    }

    /// Takes a file's name away for good. Who has it open keeps it.
    pub(in crate::disk) fn lose_file(&mut self, path: &str) {
        let removed = self.mirror.also(|folder| folder.remove(path));
        // It is kept for who comes next.
        drop(removed);
        let (folder, name) = self.parent(path).expect("the caller has found it");
        let id = self.folder(folder).names[name];
        self.lost.push(id);
        if let Kind::Folder(inner) =
            &mut self.nodes[folder as usize].as_mut().expect("named nodes exist").kind
        {
            let inner = Arc::make_mut(inner);
            inner.names.remove(name);
            inner.durable.retain(|_, node| *node != id);
            inner.pending.retain(|op| !matches!(op, NameOp::Set(_, node) if *node == id));
        }
        if self.handles.iter().flatten().all(|handle| handle.node != id) {
            let lost = std::mem::take(&mut self.lost);
            self.release(lost.iter().copied().filter(|lost| *lost == id).collect());
            self.lost = lost.into_iter().filter(|lost| *lost != id).collect();
        }
    }

    /// The device says that what leads to a folder's names is written, and it is not.
    pub(super) fn lose_folder_sync(&mut self, id: u32) {
        if let Kind::Folder(folder) = &mut self.nodes[id as usize].as_mut().expect("named nodes exist").kind
            && !folder.pending.is_empty()
        {
            Arc::make_mut(folder).unsynced_by_device = true;
        }
    }

    /// The device writes what it had said that it had written, except where it loses syncs still.
    pub(in crate::disk) fn settle_lost_syncs(&mut self) {
        let lost = self.nodes_that_lose_syncs();
        for id in (0..self.nodes.len() as u32).filter(|id| !lost.contains(id)) {
            match self.nodes[id as usize].as_mut().map(|node| &mut node.kind) {
                Some(Kind::File(file)) if file.unsynced_by_device.is_some() => {
                    let file = Arc::make_mut(file);
                    let said = file.unsynced_by_device.take().unwrap_or_default();
                    self.dirty_bytes -= said.saturating_sub(file.synced);
                    file.synced = file.synced.max(said);
                    file.stale = Rope::default();
                }
                Some(Kind::Folder(folder)) if folder.unsynced_by_device => self.commit_folder(id),
                _ => {}
            }
        }
    }

    /// The files and folders whose syncs are lies. What has no name any more is not among them: no loss of power leaves it.
    fn nodes_that_lose_syncs(&self) -> BTreeSet<u32> {
        let mut lost = BTreeSet::new();
        let Some(faults) = self.faults() else { return lost };
        let mut found = vec![(String::new(), 0)];
        while let Some((path, id)) = found.pop() {
            if faults.loses_sync(&path) {
                lost.insert(id);
            }
            if self.is_folder(id) {
                let names = self.folder(id).names.iter();
                found.extend(names.map(|(name, inside)| (path_in(&path, name), *inside)));
            }
        }
        lost
    }

    /// The nodes whose unsynced sectors a loss of power tears one by one.
    pub(super) fn torn_nodes(&self) -> BTreeSet<u32> {
        let folders = self.faults.iter().flat_map(|faults| faults.torn());
        folders.flat_map(|folder| self.files_in(folder)).map(|(_, id)| id).collect()
    }

    /// The page cache is empty: what files hold comes from the device.
    pub(super) fn drop_cache(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            if let Kind::File(file) = &mut node.kind
                && file.cold_to != file.content.len()
            {
                let file = Arc::make_mut(file);
                file.cold_to = file.content.len();
            }
        }
    }
}
