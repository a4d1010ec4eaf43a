//! A mount from its start to its end.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Session};
use holdfast_engine::fileops::Fileops;
use rustix::mount::UnmountFlags;

use crate::error::MountError;
use crate::invalidate::Invalidator;
use crate::keeper::{Hold, KeeperPlace, Keeping, Kept};
use crate::mountinfo;
use crate::options::MountOptions;
use crate::server::Server;
use crate::waits::Waits;
use crate::{adopt, place, recover};

/// How long programs that still have something open get to let go.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked whether they have.
const TRIES: u32 = 20;

/// A served mount. Dropped, it is unmounted.
pub struct Mount {
    directory: PathBuf,
    /// Which entry of the table of mounts it is, where that is known.
    entry: Option<mountinfo::Entry>,
    waits: Arc<Waits>,
    over: async_channel::Receiver<()>,
    resends: Arc<AtomicBool>,
    session: Option<BackgroundSession>,
    /// fuser did not mount it, and will not unmount it.
    is_taken_over: bool,
    keeping: Option<Keeping>,
    invalidator: Option<Invalidator>,
}

impl Mount {
    /// Mounts and serves; the mount answers when this returns. What a killed engine left at the
    /// place is taken away first. Reads `fileops.invalidations()` from now on. The mount ends with
    /// this process.
    pub fn start(fileops: Fileops, options: &MountOptions) -> Result<Mount, MountError> {
        Mount::begin(fileops, options, 0, |_, _| None)
    }

    /// As [`start`](Self::start), and a keeper holds the mount from now on, so that it outlives this
    /// process. `connection` is its number.
    pub fn start_kept(
        fileops: Fileops,
        options: &MountOptions,
        connection: u64,
        keeper: &KeeperPlace,
    ) -> Result<Mount, MountError> {
        Mount::begin(fileops, options, connection, |mount, session| {
            let hold = Hold {
                id: connection,
                directory: &mount.directory,
                options: &options.options,
                minor: mount.entry.as_ref().map(|entry| entry.minor),
                resends: mount.resends.load(Relaxed),
            };
            keeper
                .hold(&hold, session.as_fd())
                .inspect_err(|error| tracing::warn!(%error, "no keeper: the mount ends with this process"))
                .ok()
        })
    }

    /// Goes on with a mount whose engine is gone; `fileops` has taken over what the kernel holds.
    pub fn take_over(fileops: Fileops, options: &MountOptions, kept: Kept) -> Result<Mount, MountError> {
        let config = options.config(rustix::process::geteuid().is_root())?;
        let directory = options.directory.clone();
        let explain = |error| MountError::explain(&directory, &error);
        let invalidations = fileops.invalidations();
        let (server, waits, over) = Server::new(fileops, kept.id()).map_err(explain)?;
        let resends = server.resends.clone();
        let session = adopt::session(server, &kept.fd, config).map_err(explain)?;
        // Before anything is read: what we took ourselves would come again too.
        adopt::ask_again(kept.fd.as_fd()).map_err(explain)?;
        let session = session.spawn().map_err(explain)?;
        let invalidator =
            Invalidator::start(invalidations, session.notifier(), over.clone()).map_err(explain)?;
        let entry = mountinfo::top(&directory).ok().flatten();
        tracing::info!(?directory, "taken over");
        Ok(Mount {
            directory: directory.clone(),
            entry,
            waits,
            over,
            resends,
            session: Some(session),
            is_taken_over: true,
            keeping: Some(kept.into_keeping()),
            invalidator: Some(invalidator),
        })
    }

    fn begin(
        fileops: Fileops,
        options: &MountOptions,
        connection: u64,
        keep: impl FnOnce(&Mount, &Session<Server>) -> Option<Keeping>,
    ) -> Result<Mount, MountError> {
        let config = options.config(rustix::process::geteuid().is_root())?;
        let directory = place::prepare(&options.directory)?;
        let explain = |error| MountError::explain(&directory, &error);

        let invalidations = fileops.invalidations();
        let (server, waits, over) = Server::new(fileops, connection).map_err(explain)?;
        let resends = server.resends.clone();
        let session = Session::new(server, &directory, &config).map_err(explain)?;
        let mut mount = Mount {
            entry: mountinfo::top(&directory).ok().flatten(),
            directory: directory.clone(),
            waits,
            over: over.clone(),
            resends,
            session: None,
            is_taken_over: false,
            keeping: None,
            invalidator: None,
        };
        mount.keeping = keep(&mount, &session);
        let session = session.spawn().map_err(explain)?;
        mount.invalidator =
            Some(Invalidator::start(invalidations, session.notifier(), over).map_err(explain)?);
        mount.session = Some(session);
        tracing::info!(?directory, "mounted");
        Ok(mount)
    }

    /// Gives a word when another engine wants to take the mount over: [`leave`](Self::leave) it then.
    /// `None` where no keeper holds it.
    pub fn make_way(&self) -> Option<async_channel::Receiver<()>> {
        self.keeping.as_ref().map(Keeping::make_way)
    }

    /// Leaves the mount to its keeper. Requests are served until the process ends, which is to be soon:
    /// the next engine waits for that.
    pub fn leave(mut self) {
        std::mem::forget(self.session.take());
        std::mem::forget(self.keeping.take());
        std::mem::forget(self.invalidator.take());
    }

    /// Where it is, absolute and without symbolic links.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Closed when the mount has ended, also where somebody else unmounted it.
    pub fn ended(&self) -> async_channel::Receiver<()> {
        self.over.clone()
    }

    /// Unmounts and returns when no request is served any more. Requests that wait for the network
    /// fail; programs that keep something open get a few seconds and then errors.
    pub fn unmount(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        self.waits.stop();
        // Unmounts, unless a program is in it.
        drop(session);
        if self.is_taken_over && self.entry.as_ref().is_some_and(|entry| self.is_there(entry)) {
            recover::unmount(&self.directory);
        }
        if let Some(entry) = self.entry.take() {
            self.let_go(&entry);
        }
        if let Some(keeping) = self.keeping.take() {
            keeping.end();
        }
        // Now the other threads: the session's are gone, or serve what nobody can reach by name.
        self.invalidator = None;
        tracing::info!(directory = ?self.directory, "unmounted");
    }

    /// The mount is gone by name already, or programs are in it: they get some time.
    fn let_go(&self, entry: &mountinfo::Entry) {
        let plain = UnmountFlags::NOFOLLOW;
        for _ in 0..TRIES {
            if self.is_over_within(LET_GO_WITHIN / TRIES) {
                return;
            }
            // An ordinary user may not; fusermount3 has taken the name away at once.
            if self.is_there(entry) && rustix::mount::unmount(&self.directory, plain).is_ok() {
                tracing::debug!("the last program let go");
            }
        }
        tracing::warn!(directory = ?self.directory, "programs still use the mount: they get errors now");
        if self.is_there(entry)
            && let Err(cause) = recover::detach(&self.directory)
        {
            tracing::warn!(directory = ?self.directory, cause, "the mount stays");
        }
        recover::abort(entry.minor);
        self.is_over_within(LET_GO_WITHIN);
    }

    fn is_there(&self, entry: &mountinfo::Entry) -> bool {
        let top = mountinfo::top(&self.directory).ok().flatten();
        top.is_some_and(|top| top.id == entry.id)
    }

    fn is_over_within(&self, time: Duration) -> bool {
        let over = self.over.clone();
        let (tell, told) = mpsc::channel();
        let waiting = thread::Builder::new().name("mount-end".into()).spawn(move || {
            let _ = over.recv_blocking();
            let _ = tell.send(());
        });
        waiting.is_ok() && told.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.end();
    }
}
