//! Files in memory, for simulation: what was not synced can be lost, a byte can go bad, the disk
//! can be full.
//!
//! Sparse and copied on write, so that a file of many gigabytes costs what was written to it.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::content::RangeSet;
use super::persist::{Files, StoreFile};

const PAGE: u64 = 4096;

/// A directory of numbered files in memory.
#[derive(Default)]
pub struct MemFiles {
    files: Mutex<HashMap<u64, Arc<MemFile>>>,
    /// What a crash of the machine leaves.
    synced: Mutex<HashMap<u64, Image>>,
    disk: Arc<Disk>,
}

struct Disk {
    used: AtomicU64,
    /// By what else lies on the disk.
    taken: AtomicU64,
    capacity: AtomicU64,
}

impl Disk {
    fn free(&self) -> u64 {
        let used = self.used.load(Ordering::Relaxed) + self.taken.load(Ordering::Relaxed);
        self.capacity.load(Ordering::Relaxed).saturating_sub(used)
    }
}

impl Default for Disk {
    fn default() -> Disk {
        Disk { used: AtomicU64::new(0), taken: AtomicU64::new(0), capacity: AtomicU64::new(u64::MAX) }
    }
}

/// One file of [`MemFiles`].
pub struct MemFile {
    number: u64,
    image: RwLock<Image>,
    disk: Weak<Disk>,
}

#[derive(Clone, Default)]
struct Image {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
    /// Pages that have their space and no data yet.
    allocated: RangeSet,
}

impl MemFiles {
    pub fn new() -> MemFiles {
        MemFiles::default()
    }

    /// Bytes that fit; what goes past it is an error of kind `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk.capacity.store(bytes, Ordering::Relaxed);
    }

    /// From now on what is there fits, and nothing more.
    pub fn fill_up(&self) {
        let used = self.disk.used.load(Ordering::Relaxed) + self.disk.taken.load(Ordering::Relaxed);
        self.set_capacity(used);
    }

    /// Something else on the same disk takes so many bytes; false where they do not fit.
    pub fn take(&self, bytes: u64) -> bool {
        let fits = bytes <= self.disk.free();
        if fits {
            self.disk.taken.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// It gives them back.
    pub fn give(&self, bytes: u64) {
        self.disk.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The machine goes down: whatever was not synced is gone. Files that are open keep what they
    /// had, as those of a dead process would, and are no longer part of this.
    pub fn crash(&self) {
        self.crash_keeping(|_, _| false);
    }

    /// As [`crash`](Self::crash), but the kernel had already written some of what was not synced:
    /// `keep` says so for each page that differs (number of the file, number of the page), and with
    /// `u64::MAX` as the page for a file's name and length.
    pub fn crash_keeping(&self, mut keep: impl FnMut(u64, u64) -> bool) {
        let mut synced = self.synced.lock();
        let mut files = self.files.lock();
        let mut numbers: Vec<u64> = synced.keys().chain(files.keys()).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut after = HashMap::new();
        for number in numbers {
            let now = files.get(&number).map(|file| file.image.read().clone());
            let image = match (synced.get(&number), now) {
                (Some(old), Some(now)) => Some(mixed(number, old, &now, &mut keep)),
                (None, Some(now)) => {
                    keep(number, u64::MAX).then(|| mixed(number, &Image::default(), &now, &mut keep))
                }
                (Some(old), None) => (!keep(number, u64::MAX)).then(|| old.clone()),
                (None, None) => None,
            };
            if let Some(image) = image {
                after.insert(number, image);
            }
        }
        let used: u64 = after.values().map(Image::disk_bytes).sum();
        self.disk.used.store(used, Ordering::Relaxed);
        *files = after
            .iter()
            .map(|(number, image)| (*number, Arc::new(MemFile::new(*number, image.clone(), &self.disk))))
            .collect();
        *synced = after;
    }

    /// Turns the bits of one byte over, in what is there and in what is synced. Nothing happens
    /// where there is no such byte.
    pub fn spoil(&self, number: u64, offset: u64) {
        if let Some(file) = self.files.lock().get(&number) {
            file.image.write().spoil(offset);
        }
        if let Some(image) = self.synced.lock().get_mut(&number) {
            image.spoil(offset);
        }
    }
}

/// The old image with the pages of the new one that `keep` lets through.
fn mixed(number: u64, old: &Image, now: &Image, keep: &mut impl FnMut(u64, u64) -> bool) -> Image {
    let mut image = old.clone();
    if old.len != now.len && keep(number, u64::MAX) {
        image.resize(now.len);
    }
    let pages: std::collections::BTreeSet<u64> = old.pages.keys().chain(now.pages.keys()).copied().collect();
    for page in pages {
        let same = match (old.pages.get(&page), now.pages.get(&page)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if !same && page * PAGE < image.len && keep(number, page) {
            match now.pages.get(&page) {
                Some(data) => image.pages.insert(page, data.clone()),
                None => image.pages.remove(&page),
            };
        }
    }
    // Past the end there is nothing, in the last page neither.
    image.punch(image.len..image.len.next_multiple_of(PAGE));
    image
}

impl Files for MemFiles {
    fn create(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        let file = Arc::new(MemFile::new(number, Image::default(), &self.disk));
        match self.files.lock().entry(number) {
            std::collections::hash_map::Entry::Occupied(_) => Err(io::ErrorKind::AlreadyExists.into()),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(file.clone());
                Ok(file)
            }
        }
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        match self.files.lock().get(&number) {
            Some(file) => Ok(file.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        if let Some(file) = self.files.lock().remove(&number) {
            self.disk.used.fetch_sub(file.image.read().disk_bytes(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self.files.lock().keys().copied().collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn copy(&self, from: &dyn StoreFile, to: &dyn StoreFile, range: Range<u64>) -> io::Result<()> {
        let mut buf = vec![0; 1 << 20];
        let mut at = range.start;
        while at < range.end {
            let want = buf.len().min((range.end - at) as usize);
            let got = from.read_at(at, &mut buf[..want])?;
            if got == 0 {
                break;
            }
            to.write_at(at, &buf[..got])?;
            at += got as u64;
        }
        Ok(())
    }

    fn sync(&self, files: &[Arc<dyn StoreFile>]) -> io::Result<()> {
        let mut synced = self.synced.lock();
        let here = self.files.lock();
        for file in files {
            if let Some(file) = here.get(&file.number()) {
                synced.insert(file.number, file.image.read().clone());
            }
        }
        // Removals need no sync of their own: this syncs the folder.
        synced.retain(|number, _| here.contains_key(number));
        Ok(())
    }

    fn space(&self) -> io::Result<(u64, u64, u64)> {
        Ok((self.disk.capacity.load(Ordering::Relaxed), self.disk.free(), PAGE))
    }
}

impl MemFile {
    fn new(number: u64, image: Image, disk: &Arc<Disk>) -> MemFile {
        MemFile { number, image: RwLock::new(image), disk: Arc::downgrade(disk) }
    }

    /// Changes the image and keeps count of the space; nothing is changed where it does not fit.
    fn change(&self, most_new_pages: u64, change: impl FnOnce(&mut Image)) -> io::Result<()> {
        let mut image = self.image.write();
        let disk = self.disk.upgrade();
        if disk.as_ref().is_some_and(|disk| most_new_pages * PAGE > disk.free()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let before = image.disk_bytes();
        change(&mut image);
        if let Some(disk) = disk {
            disk.used.fetch_add(image.disk_bytes().wrapping_sub(before), Ordering::Relaxed);
        }
        Ok(())
    }

    fn new_pages(&self, range: &Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        let image = self.image.read();
        let missing = image.allocated.pieces(pages).into_iter().filter(|(_, allocated)| !allocated);
        missing.map(|(piece, _)| piece.end - piece.start - image.pages.range(piece).count() as u64).sum()
    }
}

impl StoreFile for MemFile {
    fn number(&self) -> u64 {
        self.number
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.image.read().read(offset, buf))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = offset..offset + data.len() as u64;
        self.change(self.new_pages(&range), |image| image.write(offset, data))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.image.read().len)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.change(0, |image| image.resize(size))
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.change(0, |image| image.punch(range))
    }

    fn allocate(&self, range: Range<u64>, keep_size: bool) -> io::Result<()> {
        self.change(self.new_pages(&range), |image| {
            let pages = range.start / PAGE..range.end.div_ceil(PAGE);
            image.allocated.insert(pages.clone());
            for (page, _) in image.pages.range(pages) {
                image.allocated.remove(*page..page + 1);
            }
            if !keep_size {
                image.len = image.len.max(range.end);
            }
        })
    }

    fn seek(&self, offset: u64, data: bool) -> io::Result<Option<u64>> {
        Ok(self.image.read().seek(offset, data))
    }

    fn disk_bytes(&self) -> io::Result<u64> {
        Ok(self.image.read().disk_bytes())
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        let image = self.image.read().clone();
        let fd = rustix::fs::memfd_create("holdfast", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(fd);
        for (page, data) in &image.pages {
            std::io::Seek::seek(&mut file, io::SeekFrom::Start(page * PAGE))?;
            file.write_all(&data[..])?;
        }
        file.set_len(image.len)?;
        std::io::Seek::rewind(&mut file)?;
        Ok(file.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Image {
    fn disk_bytes(&self) -> u64 {
        let allocated: u64 = self.allocated.as_slice().iter().map(|pages| pages.end - pages.start).sum();
        (self.pages.len() as u64 + allocated) * PAGE
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let len = (buf.len() as u64).min(self.len.saturating_sub(offset)) as usize;
        let buf = &mut buf[..len];
        buf.fill(0);
        let end = offset + len as u64;
        for (page, data) in self.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = page * PAGE;
            let from = start.max(offset);
            let to = (start + PAGE).min(end);
            if from < to {
                buf[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&data[(from - start) as usize..(to - start) as usize]);
            }
        }
        len
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let start = at / PAGE * PAGE;
            let to = (start + PAGE).min(end);
            self.allocated.remove(at / PAGE..at / PAGE + 1);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[(at - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(at - offset) as usize..(to - offset) as usize]);
            at = to;
        }
        if !data.is_empty() {
            self.len = self.len.max(end);
        }
    }

    fn resize(&mut self, size: u64) {
        if size < self.len {
            self.punch(size..self.len.next_multiple_of(PAGE));
            self.allocated.remove(size.div_ceil(PAGE)..u64::MAX);
        }
        self.len = size;
    }

    fn punch(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let whole = range.start.div_ceil(PAGE)..range.end / PAGE;
        if !whole.is_empty() {
            self.allocated.remove(whole);
        }
        let inside: Vec<u64> =
            self.pages.range(range.start / PAGE..range.end.div_ceil(PAGE)).map(|(page, _)| *page).collect();
        for page in inside {
            let start = page * PAGE;
            let from = range.start.max(start);
            let to = range.end.min(start + PAGE);
            if to - from == PAGE {
                self.pages.remove(&page);
            } else if let Some(data) = self.pages.get_mut(&page) {
                Arc::make_mut(data)[(from - start) as usize..(to - start) as usize].fill(0);
            }
        }
    }

    fn seek(&self, offset: u64, data: bool) -> Option<u64> {
        if offset >= self.len {
            return None;
        }
        if data {
            let page = *self.pages.range(offset / PAGE..).next()?.0;
            return Some(offset.max(page * PAGE)).filter(|at| *at < self.len);
        }
        let mut at = offset;
        while at < self.len && self.pages.contains_key(&(at / PAGE)) {
            at = (at / PAGE + 1) * PAGE;
        }
        Some(at.min(self.len))
    }

    fn spoil(&mut self, offset: u64) {
        if offset < self.len {
            let mut byte = [0];
            self.read(offset, &mut byte);
            self.write(offset, &[!byte[0]]);
        }
    }
}
