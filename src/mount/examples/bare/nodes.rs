//! The table of nodes: which number stands for which name in which folder.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, openat, statat};
use rustix::io::{Errno, Result};

pub const ROOT: u64 = 1;

#[derive(Default)]
pub struct Nodes {
    all: HashMap<u64, Node>,
    last: u64,
}

struct Node {
    /// Where it can be reached; more than one with hard links, none once it is removed.
    places: Vec<(u64, OsString)>,
    folder: Option<Folder>,
    lookups: AtomicU64,
}

struct Folder {
    fd: Arc<OwnedFd>,
    children: HashMap<OsString, u64>,
}

impl Nodes {
    pub fn with_root(fd: OwnedFd) -> Nodes {
        let folder = Some(Folder { fd: Arc::new(fd), children: HashMap::new() });
        let root = Node { places: Vec::new(), folder, lookups: AtomicU64::new(1) };
        Nodes { all: HashMap::from([(ROOT, root)]), last: ROOT }
    }

    pub fn folder(&self, node: u64) -> Result<Arc<OwnedFd>> {
        let folder = self.all.get(&node).ok_or(Errno::STALE)?.folder.as_ref();
        Ok(folder.ok_or(Errno::NOTDIR)?.fd.clone())
    }

    /// A folder and the name in it by which the node can be reached; the root is `.` in itself.
    pub fn place(&self, node: u64) -> Result<(Arc<OwnedFd>, OsString)> {
        let found = self.all.get(&node).ok_or(Errno::STALE)?;
        match (found.places.first(), &found.folder) {
            (_, Some(folder)) => Ok((folder.fd.clone(), ".".into())),
            (Some((parent, name)), None) => Ok((self.folder(*parent)?, name.clone())),
            (None, None) => Err(Errno::STALE),
        }
    }

    /// The number of a name that is known, with one more reference of the kernel.
    pub fn known(&self, parent: u64, name: &OsStr) -> Option<u64> {
        let number = *self.all.get(&parent)?.folder.as_ref()?.children.get(name)?;
        self.all.get(&number)?.lookups.fetch_add(1, Relaxed);
        Some(number)
    }

    pub fn learn(&mut self, parent: u64, name: &OsStr, stat: &Stat) -> Result<u64> {
        if let Some(number) = self.known(parent, name) {
            return Ok(number);
        }
        let above = self.folder(parent)?;
        let folder = match stat.st_mode & 0o170_000 == 0o040_000 {
            true => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = openat(&above, name, flags, Mode::empty())?;
                Some(Folder { fd: Arc::new(fd), children: HashMap::new() })
            }
            false => None,
        };
        self.last += 1;
        let number = self.last;
        let places = vec![(parent, name.to_owned())];
        self.all.insert(number, Node { places, folder, lookups: AtomicU64::new(1) });
        self.enter(parent, name, number);
        Ok(number)
    }

    /// The node has one more name.
    pub fn link(&mut self, node: u64, parent: u64, name: &OsStr) {
        if let Some(found) = self.all.get_mut(&node) {
            found.places.push((parent, name.to_owned()));
            found.lookups.fetch_add(1, Relaxed);
        }
        self.enter(parent, name, node);
    }

    pub fn unlink(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        let folder = self.all.get_mut(&parent)?.folder.as_mut()?;
        let number = folder.children.remove(name)?;
        let node = self.all.get_mut(&number)?;
        node.places.retain(|place| *place != (parent, name.to_owned()));
        Some(number)
    }

    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) {
        self.unlink(to.0, to.1);
        if let Some(number) = self.unlink(from.0, from.1) {
            if let Some(node) = self.all.get_mut(&number) {
                node.places.push((to.0, to.1.to_owned()));
            }
            self.enter(to.0, to.1, number);
        }
    }

    pub fn forget(&mut self, node: u64, count: u64) {
        let Some(found) = self.all.get(&node) else { return };
        if found.lookups.fetch_sub(count, Relaxed) > count || node == ROOT {
            return;
        }
        let gone = self.all.remove(&node);
        for (parent, name) in gone.into_iter().flat_map(|node| node.places) {
            if let Some(folder) = self.all.get_mut(&parent).and_then(|p| p.folder.as_mut()) {
                folder.children.remove(&name);
            }
        }
    }

    fn enter(&mut self, parent: u64, name: &OsStr, number: u64) {
        if let Some(folder) = self.all.get_mut(&parent).and_then(|p| p.folder.as_mut()) {
            folder.children.insert(name.to_owned(), number);
        }
    }
}

pub fn stat(place: &(Arc<OwnedFd>, OsString)) -> Result<Stat> {
    statat(&place.0, &*place.1, AtFlags::SYMLINK_NOFOLLOW)
}
