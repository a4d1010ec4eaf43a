//! Hints from inotify, where nobody changes the folder behind this kernel's back.
//!
//! Every folder below the watched one has a watch of its own. A folder that comes is watched and
//! hinted at, as things may have come into it before the watch did. Hints are gathered for a moment,
//! so that a file written in a thousand pieces is one.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_engine::model::{LocPath, Name};
use holdfast_engine::remote::TEMP_PREFIX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::output::Output;
use super::place::{Place, proc_path};
use super::{list, pool};
use crate::folder::protocol::{Answer, WireHint};

const GATHER: Duration = Duration::from_millis(50);
/// How soon it is seen that nobody wants the hints any more.
const LOOK_UP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

fn mask() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK
}

pub struct Watch {
    place: Arc<Place>,
    inotify: OwnedFd,
    folders: HashMap<i32, LocPath>,
    /// Not every folder could be watched.
    partial: bool,
}

impl Watch {
    /// `None` where the file system tells nothing, or not everything.
    pub fn start(place: &Arc<Place>, folder: &LocPath) -> Option<Watch> {
        if !place.fs.local {
            return None;
        }
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let mut watch = Watch { place: place.clone(), inotify, folders: HashMap::new(), partial: false };
        watch.add(folder, &mut HashSet::new());
        (!watch.partial && !watch.folders.is_empty()).then_some(watch)
    }

    /// Watches a folder and all below it.
    fn add(&mut self, top: &LocPath, seen: &mut HashSet<WireHint>) {
        let mut todo = vec![top.clone()];
        while let Some(path) = todo.pop() {
            pool::progress();
            // Gone again, or not ours to see: nothing to be told of it.
            let Ok(fd) = self.place.folder(&path) else {
                continue;
            };
            match inotify::add_watch(&self.inotify, proc_path(&fd).as_c_str(), mask()) {
                Ok(wd) => drop(self.folders.insert(wd, path.clone())),
                Err(Errno::NOSPC | Errno::NOMEM) => {
                    self.partial = true;
                    return;
                }
                Err(_) => continue,
            }
            // After the watch, so that none is missed.
            let below = list::folders(&fd).unwrap_or_default();
            todo.extend(below.iter().filter_map(|n| Name::new(n.to_bytes()).ok()).map(|n| path.join(&n)));
            seen.insert(WireHint::Folder(path));
        }
    }

    fn forget(&mut self, top: &LocPath) {
        let inotify = &self.inotify;
        self.folders.retain(|&wd, path| {
            let keep = !path.starts_with(top);
            if !keep {
                let _ = inotify::remove_watch(inotify, wd);
            }
            keep
        });
    }

    /// Sends hints under `id` until nobody wants them.
    pub fn run(mut self, output: &Output, id: u64, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
            match poll(&mut fds, Some(&LOOK_UP)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            std::thread::sleep(GATHER);
            let mut hints = HashSet::new();
            self.read(&mut hints);
            if self.partial || hints.contains(&WireHint::Everything) {
                hints = HashSet::from([WireHint::Everything]);
            }
            if !hints.is_empty() {
                output.send(id, &Answer::Hints(hints.into_iter().collect()));
            }
        }
    }

    fn read(&mut self, hints: &mut HashSet<WireHint>) {
        let mut events = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); 64 << 10];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            events.push((event.wd(), event.events(), event.file_name().map(CStr::to_owned)));
        }
        for (wd, what, name) in events {
            self.take(wd, what, name.as_deref(), hints);
        }
    }

    fn take(&mut self, wd: i32, what: ReadFlags, name: Option<&CStr>, hints: &mut HashSet<WireHint>) {
        if what.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT) {
            hints.insert(WireHint::Everything);
            return;
        }
        if what.contains(ReadFlags::IGNORED) {
            self.folders.remove(&wd);
            return;
        }
        let Some(folder) = self.folders.get(&wd).cloned() else {
            return;
        };
        let Some(name) = name.map(CStr::to_bytes).and_then(|n| Name::new(n).ok()) else {
            hints.insert(WireHint::Folder(folder));
            return;
        };
        if name.as_bytes().starts_with(TEMP_PREFIX) {
            return;
        }
        if what.contains(ReadFlags::ISDIR) {
            let path = folder.join(&name);
            if what.contains(ReadFlags::MOVED_FROM) {
                self.forget(&path);
            }
            if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                self.add(&path, hints);
            }
        }
        hints.insert(WireHint::Folder(folder));
    }
}
