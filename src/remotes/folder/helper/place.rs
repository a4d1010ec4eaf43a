//! The location's root as the helper sees it: found again and checked before each use.
//!
//! Nothing here follows a symbolic link below the root, leaves it, or crosses into another mount:
//! what is mounted below could vanish with its mount and would then look deleted.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_engine::model::{LocPath, Name};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::errno;
use super::fstype::FsType;
use crate::folder::identity::Identity;
use crate::folder::options::Pretend;
use crate::folder::protocol::Failure;

/// For how long one look at the root serves all calls.
const ROOT_FRESH: Duration = Duration::from_millis(200);
/// `openat2` and its older sisters take paths below 4096 bytes.
const PATH_BYTES: usize = 3800;

pub struct Place {
    pub root_path: PathBuf,
    pub owner: String,
    pub identity: Identity,
    pub fs: FsType,
    pub pretend: Pretend,
    /// Steps in which times are kept, as far as that could be found out.
    pub step: Duration,
    /// `renameat2` with flags, hard links: true until the file system says no.
    pub rename_flags: AtomicBool,
    pub hard_links: AtomicBool,
    /// What the probe found.
    pub xattrs: AtomicBool,
    pub modes: AtomicBool,
    pub set_times: AtomicBool,
    /// Held for a moment only: an open folder would keep the share from being unmounted.
    root: Mutex<Option<(Arc<OwnedFd>, Instant)>>,
}

impl Place {
    pub fn new(root_path: PathBuf, owner: String, identity: Identity, fs: FsType, pretend: Pretend) -> Place {
        Place {
            root_path,
            owner,
            identity,
            step: fs.keeps.step,
            fs,
            rename_flags: AtomicBool::new(!pretend.no_rename_flags),
            hard_links: AtomicBool::new(!pretend.no_hard_links),
            pretend,
            xattrs: AtomicBool::new(false),
            modes: AtomicBool::new(false),
            set_times: AtomicBool::new(false),
            root: Mutex::new(None),
        }
    }

    /// The root, looked at a moment ago at most.
    pub fn root(&self) -> Result<Arc<OwnedFd>, Failure> {
        let mut cached = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((fd, seen)) = &*cached
            && seen.elapsed() < ROOT_FRESH
        {
            return Ok(fd.clone());
        }
        *cached = None;
        let fd = Arc::new(self.open_root()?);
        *cached = Some((fd.clone(), Instant::now()));
        Ok(fd)
    }

    /// Lets the root go when it has not been used for a while.
    pub fn forget_root(&self, unless_fresh: bool) {
        // Whoever holds the lock is using it.
        if let Ok(mut cached) = self.root.try_lock()
            && !(unless_fresh && cached.as_ref().is_some_and(|(_, seen)| seen.elapsed() < ROOT_FRESH))
        {
            *cached = None;
        }
    }

    fn open_root(&self) -> Result<OwnedFd, Failure> {
        let fd = open_root(&self.root_path)?;
        let stat = stat_fd(&fd).map_err(|e| gone(&self.root_path, e))?;
        let same_ino = !self.fs.keeps.ino || stat.stx_ino == self.identity.ino;
        if dev(&stat) == self.identity.dev && same_ino {
            Ok(fd)
        } else {
            Err(Failure::Gone(format!("the folder {} is not mounted any more", self.root_path.display())))
        }
    }

    /// After a failure of one thing: is it the whole server?
    pub fn judge(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Io(_) => {
                self.forget_root(false);
                self.root()
                    .and_then(|root| stat_at(&root, c".", false).map_err(|e| gone(&self.root_path, e)))
                    .map_or_else(|whole| whole, |_| failure)
            }
            other => other,
        }
    }

    /// A folder, by names only: `O_PATH`, good for the `*at` calls.
    pub fn folder(&self, path: &LocPath) -> Result<Arc<OwnedFd>, Failure> {
        let mut at = self.root()?;
        let mut piece = Vec::new();
        for name in path.names() {
            if piece.len() + name.as_bytes().len() > PATH_BYTES {
                at = Arc::new(open_below(&at, &piece).map_err(errno::failure)?);
                piece.clear();
            }
            if !piece.is_empty() {
                piece.push(b'/');
            }
            piece.extend_from_slice(name.as_bytes());
        }
        if piece.is_empty() { Ok(at) } else { Ok(Arc::new(open_below(&at, &piece).map_err(errno::failure)?)) }
    }

    /// The folder that holds a path, and its name in it.
    pub fn parent(&self, path: &LocPath) -> Result<(Arc<OwnedFd>, CString), Failure> {
        let (folder, name) = path
            .split_last()
            .ok_or_else(|| Failure::Forbidden("this is the folder of the location itself".into()))?;
        Ok((self.folder(&folder)?, c_name(&name)))
    }

    pub fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    /// Waits while a test holds the helper at this point.
    pub fn gate(&self, point: &str) {
        let Some(gate) = &self.pretend.gate else { return };
        let reached = gate.join(format!("{point}.reached"));
        if std::fs::rename(gate.join(point), &reached).is_ok() {
            while reached.exists() {
                super::pool::progress();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

pub fn c_name(name: &Name) -> CString {
    CString::new(name.as_bytes()).expect("a Name holds no NUL")
}

pub fn dev(stat: &Statx) -> u64 {
    u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor)
}

pub fn gone(root: &std::path::Path, errno: Errno) -> Failure {
    Failure::Gone(format!("the folder {} cannot be reached: {}", root.display(), errno::text(errno)))
}

/// The path is the person's own: links in it are followed.
pub fn open_root(path: &std::path::Path) -> Result<OwnedFd, Failure> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| {
        match e {
            Errno::NOENT => Failure::Gone(format!("the folder {} is not there", path.display())),
            Errno::NOTDIR => Failure::Gone(format!("{} is not a folder", path.display())),
            Errno::ACCESS => Failure::Forbidden(errno::text(e)),
            _ => gone(path, e),
        }
    })
}

fn open_below(at: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(at, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or forbidden by a sandbox that does not know it.
        Err(Errno::NOSYS) => {
            let mut fd = None::<OwnedFd>;
            for name in path.split(|&b| b == b'/') {
                fd = Some(rustix::fs::openat(fd.as_ref().unwrap_or(at), name, flags, Mode::empty())?);
            }
            fd.ok_or(Errno::NOENT)
        }
        other => other,
    }
}

/// A second, readable descriptor of a folder.
pub fn readable(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(folder, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// What is under a name, the link itself. `fresh` asks the server past this computer's cache.
pub fn stat_at(folder: &OwnedFd, name: &std::ffi::CStr, fresh: bool) -> Result<Statx, Errno> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if fresh {
        flags |= AtFlags::STATX_FORCE_SYNC;
    }
    rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID)
}

pub fn stat_fd(fd: &OwnedFd) -> Result<Statx, Errno> {
    rustix::fs::statx(
        fd,
        c"",
        AtFlags::EMPTY_PATH,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID,
    )
}

/// A path that leads to what an open descriptor holds, whatever its name is now. For the calls that
/// do not take a descriptor opened by `O_PATH`.
pub fn proc_path(fd: &OwnedFd) -> CString {
    use std::os::fd::AsRawFd;
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("digits hold no NUL")
}

/// Brings the names in a folder to disk, where that can be asked for.
pub fn sync_folder(folder: &OwnedFd) -> Result<(), Failure> {
    let fd = match readable(folder) {
        Ok(fd) => fd,
        // May be written but not read: nothing to hold on to.
        Err(Errno::ACCESS) => return Ok(()),
        Err(e) => return Err(errno::failure(e)),
    };
    sync(&fd)
}

/// `fsync`, where the file system has it.
pub fn sync(fd: &OwnedFd) -> Result<(), Failure> {
    match rustix::fs::fsync(fd) {
        Err(e) if !errno::lacks(e) && e != Errno::BADF => Err(errno::failure(e)),
        _ => Ok(()),
    }
}
