//! A mount from its start to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Session};
use holdfast_engine::fileops::Fileops;
use rustix::mount::UnmountFlags;

use crate::error::MountError;
use crate::invalidate::Invalidator;
use crate::mountinfo;
use crate::options::MountOptions;
use crate::server::Server;
use crate::waits::Waits;
use crate::{place, recover};

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
    session: Option<BackgroundSession>,
    invalidator: Option<Invalidator>,
}

impl Mount {
    /// Mounts and serves; the mount answers when this returns. What a killed engine left at the
    /// place is taken away first. Reads `fileops.invalidations()` from now on.
    pub fn start(fileops: Fileops, options: MountOptions) -> Result<Mount, MountError> {
        let config = options.config(rustix::process::geteuid().is_root())?;
        let directory = place::prepare(&options.directory)?;
        let explain = |error| MountError::explain(&directory, &error);

        let invalidations = fileops.invalidations();
        let (server, waits, over) = Server::new(fileops).map_err(explain)?;
        let session = Session::new(server, &directory, &config).and_then(Session::spawn).map_err(explain)?;
        let invalidator =
            Invalidator::start(invalidations, session.notifier(), over.clone()).map_err(explain)?;
        let entry = mountinfo::top(&directory).ok().flatten();
        tracing::info!(?directory, "mounted");
        Ok(Mount { directory, entry, waits, over, session: Some(session), invalidator: Some(invalidator) })
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
        if let Some(entry) = self.entry.take() {
            self.leave(&entry);
        }
        // Now the other threads: the session's are gone, or serve what nobody can reach by name.
        self.invalidator = None;
        tracing::info!(directory = ?self.directory, "unmounted");
    }

    /// The mount is gone by name already, or programs are in it: they get some time.
    fn leave(&self, entry: &mountinfo::Entry) {
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
