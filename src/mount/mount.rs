//! A mount from its start to its end.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Session};
use holdfast_engine::fileops::Fileops;
use rustix::mount::UnmountFlags;

use crate::adopt::{self, Channel};
use crate::error::MountError;
use crate::invalidate::Invalidator;
use crate::keeper::{About, KeeperPlace, Keeping, Kept};
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
    channel: Option<Channel>,
    keeping: Option<Keeping>,
    invalidator: Option<Invalidator>,
}

impl Mount {
    /// Mounts and serves; the mount answers when this returns. What a killed engine left at the
    /// place is taken away first. Reads `fileops.invalidations()` from now on. The mount ends with
    /// this process.
    pub fn start(fileops: Fileops, options: &MountOptions) -> Result<Mount, MountError> {
        Mount::fresh(fileops, options, 0, None)
    }

    /// As [`start`](Self::start), and a keeper holds the mount from now on, so that it outlives this
    /// process. `connection` is its number.
    pub fn start_kept(
        fileops: Fileops,
        options: &MountOptions,
        connection: u64,
        keeper: &KeeperPlace,
    ) -> Result<Mount, MountError> {
        Mount::fresh(fileops, options, connection, Some(keeper))
    }

    fn fresh(
        fileops: Fileops,
        options: &MountOptions,
        connection: u64,
        keeper: Option<&KeeperPlace>,
    ) -> Result<Mount, MountError> {
        let config = options.config(rustix::process::geteuid().is_root())?;
        let directory = place::prepare(&options.directory)?;
        Mount::serve(fileops, &directory, connection, |server| {
            let resends = server.resends.clone();
            let session = Session::new(server, &directory, &config)?;
            let keeping = keeper.and_then(|keeper| {
                let minor = entry_at(&directory).map(|entry| entry.minor);
                let resends = resends.load(Relaxed);
                let about = About::new(connection, &directory, &options.options, minor, resends);
                let held = keeper.hold(about, session.as_fd());
                held.inspect_err(
                    |error| tracing::warn!(%error, "no keeper: the mount ends with this process"),
                )
                .ok()
            });
            Ok((session, keeping))
        })
    }

    /// Goes on with a mount whose engine is gone; `fileops` has taken over what the kernel holds.
    pub fn take_over(fileops: Fileops, options: &MountOptions, kept: Kept) -> Result<Mount, MountError> {
        let config = options.config(rustix::process::geteuid().is_root())?;
        Mount::serve(fileops, &options.directory, kept.id(), |server| {
            let session = adopt::session(server, &kept.fd, config)?;
            // Before anything is read: what we took ourselves would come again too.
            adopt::ask_again(kept.fd.as_fd())?;
            Ok((session, Some(kept.into_keeping())))
        })
    }

    fn serve(
        fileops: Fileops,
        directory: &Path,
        connection: u64,
        open: impl FnOnce(Server) -> io::Result<(Session<Server>, Option<Keeping>)>,
    ) -> Result<Mount, MountError> {
        let explain = |error| MountError::explain(directory, &error);
        let invalidations = fileops.invalidations();
        let (server, waits, over) = Server::new(fileops, connection).map_err(explain)?;
        let (session, keeping) = open(server).map_err(explain)?;
        let channel = Channel::of(&session);
        let session = session.spawn().map_err(explain)?;
        let invalidator =
            Invalidator::start(invalidations, session.notifier(), over.clone()).map_err(explain)?;
        tracing::info!(?directory, "mounted");
        Ok(Mount {
            directory: directory.to_owned(),
            entry: entry_at(directory),
            waits,
            over,
            session: Some(session),
            channel: Some(channel),
            keeping,
            invalidator: Some(invalidator),
        })
    }

    /// Gives a word when another engine wants to take the mount over: [`fall_silent`](Self::fall_silent),
    /// end what is to be ended, and [`leave`](Self::leave) it. `None` where no keeper holds it.
    pub fn make_way(&self) -> Option<async_channel::Receiver<()>> {
        self.keeping.as_ref().map(Keeping::make_way)
    }

    /// Nothing is answered any more: all that waits and all that comes is the next engine's, also what
    /// fails here because the rest of the engine is ending.
    pub fn fall_silent(&self) {
        if let Some(Err(error)) = self.channel.as_ref().map(Channel::silence) {
            tracing::warn!(%error, "programs may see errors until the next engine is there");
        }
    }

    /// Leaves the mount to its keeper. The process is to end soon: the next engine waits for that.
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
        self.channel = None;
        // Unmounts, unless a program is in it, or it was taken over.
        drop(session);
        if self.entry.as_ref().is_some_and(|entry| self.is_there(entry)) {
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
        entry_at(&self.directory).is_some_and(|top| top.id == entry.id)
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

fn entry_at(directory: &Path) -> Option<mountinfo::Entry> {
    mountinfo::top(directory).ok().flatten()
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.end();
    }
}
