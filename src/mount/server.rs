//! What serves one mount: the engine's operations, and where to put what takes longer.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fuser::Request;
use holdfast_engine::fileops::{Caller, Fileops, Need, OpError};

use crate::answer::Outcome;
use crate::convert::{self, errno};
use crate::waits::{Retry, Waits};
use crate::workers::Workers;

/// Programs that sync at the same time beyond this wait for one another.
const MOST_SYNCS: usize = 32;

pub(crate) struct Server {
    pub fileops: Fileops,
    waits: Arc<Waits>,
    syncs: Workers,
    /// The connection's number.
    connection: u64,
    /// Whether the kernel can send requests again.
    pub resends: Arc<AtomicBool>,
    /// Dropped with the server: the session is over.
    _alive: async_channel::Sender<()>,
}

impl Server {
    /// Also what tells that its session is over: the receiver is closed then.
    pub fn new(
        fileops: Fileops,
        connection: u64,
    ) -> io::Result<(Server, Arc<Waits>, async_channel::Receiver<()>)> {
        let waits = Arc::new(Waits::new(fileops.clone())?);
        let (alive, over) = async_channel::bounded(1);
        let server = Server {
            fileops,
            waits: waits.clone(),
            syncs: Workers::new("mount-sync", MOST_SYNCS),
            connection,
            resends: Arc::default(),
            _alive: alive,
        };
        Ok((server, waits, over))
    }

    pub fn caller(&self, request: &Request) -> Caller {
        convert::caller(self.connection, request)
    }

    /// One operation and its reply. What is here is answered at once; where something is not, the
    /// request waits elsewhere and is tried again. `attempt` gets the reply only to fill it.
    pub fn serve<R, T>(
        &self,
        caller: Caller,
        mut reply: R,
        mut attempt: impl FnMut(&Fileops, &mut R) -> Result<T, OpError> + Send + 'static,
        answer: impl FnOnce(R, Outcome<T>) + Send + 'static,
    ) where
        R: Send + 'static,
        T: Send + 'static,
    {
        match guarded(|| attempt(&self.fileops, &mut reply)) {
            Err(OpError::NotHere(need)) => self.wait(caller, need, reply, attempt, answer),
            result => answer(reply, result.map_err(|error| errno(&error))),
        }
    }

    /// The second half of `serve`, for an operation that has been tried already.
    pub fn wait<R, T>(
        &self,
        caller: Caller,
        need: Need,
        reply: R,
        mut attempt: impl FnMut(&Fileops, &mut R) -> Result<T, OpError> + Send + 'static,
        answer: impl FnOnce(R, Outcome<T>) + Send + 'static,
    ) where
        R: Send + 'static,
        T: Send + 'static,
    {
        let retry = Retry {
            caller,
            reply,
            attempt: move |fileops: &Fileops, reply: &mut R| guarded(|| attempt(fileops, reply)),
            answer,
        };
        self.waits.begin(need, retry);
    }

    /// As `serve`, for what waits for a disk.
    pub fn serve_slowly<R: Send + 'static>(
        &self,
        reply: R,
        operation: impl FnOnce(&Fileops) -> Result<(), OpError> + Send + 'static,
        answer: impl FnOnce(R, Outcome<()>) + Send + 'static,
    ) {
        let fileops = self.fileops.clone();
        self.syncs.run(move || {
            let result = guarded(|| operation(&fileops));
            answer(reply, result.map_err(|error| errno(&error)));
        });
    }
}

/// A fault in one operation fails that operation, and not the thread that serves all others.
pub(crate) fn guarded<T>(operation: impl FnOnce() -> Result<T, OpError>) -> Result<T, OpError> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or(Err(OpError::Io))
}

/// As `guarded`, for what nobody waits for.
pub(crate) fn guarded_quietly(operation: impl FnOnce()) {
    // The panic has been reported where it happened.
    let _ = catch_unwind(AssertUnwindSafe(operation));
}
