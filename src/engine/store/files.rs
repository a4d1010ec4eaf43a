//! The files that hold contents: `content/xx/NNNNNNNNNNNN`, a number in hexadecimal in a folder by
//! its last byte.
//!
//! Nothing here knows what the bytes mean. Files are for their owner only and are always reached
//! from the folder opened at first, never by a path that may lead elsewhere later.

use std::any::Any;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::persist::{Files, StoreFile};

mod copy;

/// From this many files on, one sync of the whole file system is cheaper than one for each.
const MANY_FILES: usize = 16;

/// Content files in a folder.
#[derive(Debug)]
pub struct DirFiles {
    content: File,
    /// Of the 256 folders: whether a name in it may not be on the disk yet.
    names: Vec<Unsynced>,
    /// The same of the folder that holds them.
    folders: Unsynced,
}

/// Counts what was done and what of it is on the disk; equal where nothing waits.
#[derive(Debug)]
struct Unsynced {
    done: AtomicU64,
    synced: AtomicU64,
}

impl Unsynced {
    /// What an earlier run left may not be on the disk.
    fn new() -> Unsynced {
        Unsynced { done: AtomicU64::new(1), synced: AtomicU64::new(0) }
    }

    fn mark(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// What has to be synced, if anything does.
    fn waiting(&self) -> Option<u64> {
        let done = self.done.load(Ordering::Acquire);
        (done > self.synced.load(Ordering::Acquire)).then_some(done)
    }

    fn is_synced(&self, done: u64) {
        self.synced.fetch_max(done, Ordering::AcqRel);
    }

    fn sync_with(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if let Some(done) = self.waiting() {
            sync()?;
            self.is_synced(done);
        }
        Ok(())
    }
}

impl DirFiles {
    /// Opens `content` in the folder of the store; both are made where there are none.
    pub fn open(dir: &Path) -> io::Result<DirFiles> {
        let path = dir.join("content");
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let content = File::open(&path)?;
        File::open(dir)?.sync_all()?;
        Ok(DirFiles { content, names: (0..256).map(|_| Unsynced::new()).collect(), folders: Unsynced::new() })
    }

    fn open_at(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::io::retry_on_intr(|| rustix::fs::openat(&self.content, path, flags, mode))?.into())
    }

    fn make_folder(&self, number: u64) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.content, folder_of(number), Mode::RWXU) {
            Ok(()) => self.folders.mark(),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// One after the other, but all under way first: then the first wait is for all of them, and one
    /// commit of the file system has them all.
    fn sync_each(&self, files: &[Arc<dyn StoreFile>]) -> io::Result<()> {
        if files.len() > 1 {
            for file in files {
                begin_writing(&ours(file.as_ref())?.file);
            }
        }
        for file in files {
            ours(file.as_ref())?.file.sync_data()?;
        }
        for file in files {
            let number = file.number();
            self.names[slot(number)].sync_with(|| {
                self.open_at(&folder_of(number), OFlags::RDONLY | OFlags::DIRECTORY)?.sync_all()
            })?;
        }
        self.folders.sync_with(|| self.content.sync_all())
    }

    fn sync_all(&self) -> io::Result<()> {
        let every = || self.names.iter().chain([&self.folders]);
        let waiting: Vec<_> = every().map(Unsynced::waiting).collect();
        rustix::fs::syncfs(&self.content)?;
        for (what, done) in every().zip(waiting) {
            what.is_synced(done.unwrap_or(0));
        }
        Ok(())
    }
}

impl Files for DirFiles {
    fn create(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        let path = path_of(number);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = match self.open_at(&path, flags) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folder(number)?;
                self.open_at(&path, flags)
            }
            other => other,
        }?;
        self.names[slot(number)].mark();
        Ok(Arc::new(DirFile { number, file }))
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn StoreFile>> {
        let file = self.open_at(&path_of(number), OFlags::RDWR)?;
        Ok(Arc::new(DirFile { number, file }))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.content, path_of(number), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for folder in 0..=0xff {
            let dir = match self.open_at(&folder_of(folder), OFlags::RDONLY | OFlags::DIRECTORY) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in rustix::fs::Dir::read_from(&dir)? {
                let name = entry?;
                let number = name.file_name().to_str().ok().and_then(|n| u64::from_str_radix(n, 16).ok());
                // What is not named as here is not ours.
                numbers.extend(number.filter(|&number| {
                    slot(number) == folder as usize
                        && name.file_name().to_bytes() == name_of(number).as_bytes()
                }));
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn copy(&self, from: &dyn StoreFile, to: &dyn StoreFile, range: Range<u64>) -> io::Result<()> {
        copy::copy(ours(from)?, ours(to)?, range)
    }

    fn sync(&self, files: &[Arc<dyn StoreFile>]) -> io::Result<()> {
        if files.len() < MANY_FILES { self.sync_each(files) } else { self.sync_all() }
    }

    fn space(&self) -> io::Result<(u64, u64, u64)> {
        let stat = rustix::fs::fstatvfs(&self.content)?;
        let block = if stat.f_frsize == 0 { stat.f_bsize } else { stat.f_frsize };
        Ok((stat.f_blocks.saturating_mul(block), stat.f_bavail.saturating_mul(block), block))
    }
}

/// Has the kernel begin to write a file's changed pages. A hint: where it does nothing, syncing does it.
fn begin_writing(file: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: takes a descriptor that is open and three numbers, and touches no memory of ours.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

fn slot(number: u64) -> usize {
    (number & 0xff) as usize
}

fn folder_of(number: u64) -> String {
    format!("{:02x}", slot(number))
}

fn name_of(number: u64) -> String {
    format!("{number:012x}")
}

fn path_of(number: u64) -> String {
    format!("{:02x}/{number:012x}", slot(number))
}

fn ours(file: &dyn StoreFile) -> io::Result<&DirFile> {
    file.as_any().downcast_ref().ok_or_else(|| io::Error::other("a content file of another store"))
}

/// One open content file.
#[derive(Debug)]
struct DirFile {
    number: u64,
    file: File,
}

impl StoreFile for DirFile {
    fn number(&self) -> u64 {
        self.number
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, range.start, range.end - range.start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(range),
            other => Ok(other?),
        }
    }

    fn allocate(&self, range: Range<u64>, keep_size: bool) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let flags = if keep_size { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() };
        Ok(rustix::fs::fallocate(&self.file, flags, range.start, range.end - range.start)?)
    }

    fn seek(&self, offset: u64, data: bool) -> io::Result<Option<u64>> {
        if i64::try_from(offset).is_err() {
            return Ok(None);
        }
        let to = if data { SeekFrom::Data(offset) } else { SeekFrom::Hole(offset) };
        match rustix::fs::seek(&self.file, to) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // Not known here: all is data, and the hole is at the end.
            Err(Errno::INVAL) => {
                let len = self.len()?;
                Ok((offset < len).then_some(if data { offset } else { len }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn disk_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        // By the open file, not by its name: it may have been removed meanwhile.
        Ok(File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl DirFile {
    /// Zeros up to the end of the file; what lies past it is zero as it is.
    fn write_zeros(&self, range: Range<u64>) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let end = range.end.min(self.len()?);
        let mut at = range.start;
        while at < end {
            let n = (end - at).min(ZEROS.len() as u64);
            self.file.write_all_at(&ZEROS[..n as usize], at)?;
            at += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
