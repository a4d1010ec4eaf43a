//! Many requests at once over one SFTP connection: each answer finds who asked, and whoever does not
//! get on is ended.
//!
//! A session dies once and for ever, with the error that all its calls then end with. What is in
//! flight is bounded in number and in bytes; a handle that comes too late for anybody is closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_engine::remote::RemoteError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::answer::{Answer, Failure};
use super::codec::{Data, Extensions, Handle, Request, Response, SAFE_DATA_BYTES, encode};
use super::pump;
use super::ssh::{Child, Target};
use super::window::Window;
use crate::until::until;

/// Requests in flight at once.
const REQUESTS: usize = 1024;
/// As long as a server does not say how many files may be open.
const HANDLES: usize = 100;
const READ_WINDOW_KIB: (usize, usize) = (1 << 10, 16 << 10);
const WRITE_WINDOW_KIB: (usize, usize) = (512, 8 << 10);

/// One request that waits for its answer.
pub(super) struct Slot {
    reply: oneshot::Sender<Response>,
    pub slow: bool,
    /// The longest data that may come.
    data_bytes: usize,
    sent: Instant,
    /// Ticks of the clock since.
    pub age: u32,
    /// Answers that may come first: those asked for earlier.
    pub in_turn: u64,
    window: Option<Arc<Window>>,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

pub(super) struct Shared {
    /// `None` once the session is dead: nothing may wait on it.
    pub pending: Mutex<Option<HashMap<u32, Slot>>>,
    death: Mutex<Option<RemoteError>>,
    next_id: AtomicU32,
    /// Answers that came.
    pub answered: AtomicU64,
    /// Pieces of answers that came: a sign of life.
    pub heard: AtomicU64,
    pub fewer: Notify,
    died: Notify,
    pub silent_ticks: AtomicU32,
    out: mpsc::UnboundedSender<Vec<u8>>,
    requests: Arc<Semaphore>,
    handles: Arc<Semaphore>,
    reads: Arc<Window>,
    writes: Arc<Window>,
}

pub struct Session {
    shared: Arc<Shared>,
    pub extensions: Extensions,
    child: Arc<Child>,
    tasks: Vec<tokio::task::AbortHandle>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Starts `ssh` and says hello. A call without progress for `deadline` will end the session; hello
    /// may take a few times as long.
    pub async fn open(target: &Target, deadline: Duration) -> Result<Session, RemoteError> {
        let mut child = target.start().await?;
        let (out, queue) = mpsc::unbounded_channel();
        let mut ends = child.ends().ok_or_else(|| RemoteError::gone("the connection has no ends"))?;
        let (extensions, stderr) = pump::hello(&mut child, &mut ends, deadline).await?;
        let shared = Arc::new(Shared {
            pending: Mutex::new(Some(HashMap::new())),
            death: Mutex::new(None),
            next_id: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            fewer: Notify::new(),
            died: Notify::new(),
            silent_ticks: AtomicU32::new(0),
            out,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            handles: Arc::new(Semaphore::new(HANDLES)),
            reads: Arc::new(Window::new(READ_WINDOW_KIB)),
            writes: Arc::new(Window::new(WRITE_WINDOW_KIB)),
        });
        let child = Arc::new(child);
        let writer = tokio::spawn(pump::write(ends.input, queue)).abort_handle();
        tokio::spawn(pump::read(ends.output, shared.clone(), child.clone(), stderr, writer.clone()));
        let watcher = tokio::spawn(pump::watch_over(shared.clone(), child.clone(), deadline)).abort_handle();
        Ok(Session { shared, extensions, child, tasks: vec![writer, watcher] })
    }

    pub fn is_alive(&self) -> bool {
        lock(&self.shared.pending).is_some()
    }

    /// The largest piece to write at once: on a slow connection each is to arrive well within the deadline.
    pub fn write_bytes(&self, most: usize) -> usize {
        if self.shared.writes.is_wide() { most } else { most.min(SAFE_DATA_BYTES as usize) }
    }

    /// From here on so many files may be open at once.
    pub fn set_handles(&self, handles: usize) {
        if handles > HANDLES {
            self.shared.handles.add_permits(handles - HANDLES);
        } else {
            self.shared.handles.forget_permits(HANDLES - handles);
        }
    }

    /// A turn to open a file, until what is returned goes.
    pub async fn handle_turn(&self) -> Result<OwnedSemaphorePermit, RemoteError> {
        self.shared.handles.clone().acquire_owned().await.map_err(|_| self.shared.gone())
    }

    /// Sends a request, after those that were sent before, as soon as there is room.
    pub async fn begin(&self, request: Request<'_>) -> Result<Answer, RemoteError> {
        let mut answers = self.begin_all(&[request], None).await?;
        answers.pop().ok_or_else(|| self.shared.gone())
    }

    /// Sends these one after the other, with nothing between them and all or none; `closing` is what
    /// one of them closes.
    pub async fn begin_all(
        &self,
        requests: &[Request<'_>],
        closing: Option<Opened>,
    ) -> Result<Vec<Answer>, RemoteError> {
        let shared = &self.shared;
        let turns = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let turns = shared.requests.clone().acquire_many_owned(turns).await;
        let mut turns = turns.map_err(|_| shared.gone())?;
        let mut rooms = Vec::with_capacity(requests.len());
        for request in requests {
            let (window, bytes) = match request {
                Request::Read { len, .. } => (Some(&shared.reads), *len as usize),
                Request::Write { data, .. } => (Some(&shared.writes), data.len()),
                _ => (None, 0),
            };
            rooms.push(match window {
                Some(window) => Some((window.clone(), window.room(bytes).await.map_err(|_| shared.gone())?)),
                None => None,
            });
        }
        // From here on nobody can give up in between.
        let _turn = closing.map(Opened::release);
        let begin = |(request, room): (&Request<'_>, Option<_>)| {
            let (window, room) = room.unzip();
            let reply = shared.send(request, window, [turns.split(1), room])?;
            Ok(Answer::new(reply, shared.clone(), self.child.clone()))
        };
        requests.iter().zip(rooms).map(begin).collect()
    }

    /// Sends a request whose answer nobody waits for.
    pub fn tell(&self, request: Request<'_>) {
        // Dead already: then the server lets everything go by itself.
        let _ = self.shared.send(&request, None, [None, None]);
    }

    /// Waits until no call is under way.
    pub async fn quiet(&self) {
        let is_quiet = || lock(&self.shared.pending).as_ref().is_none_or(HashMap::is_empty);
        until(&self.shared.fewer, is_quiet).await;
    }

    /// Asks for a sign of life. One that comes from another call, or a part of one, is as good: on a slow
    /// connection the answer has to stand in line. Where none comes within this time it is the end, but
    /// not behind other requests: how long those may take is known to who watches over the session.
    pub async fn probe(&self, within: Duration) -> Result<(), RemoteError> {
        let heard = self.shared.heard.load(Ordering::Relaxed);
        let is_busy = lock(&self.shared.pending).as_ref().is_some_and(|all| !all.is_empty());
        let answer = async {
            match self.begin(Request::Realpath { path: b"." }).await?.name().await {
                Err(Failure::Lost(error)) => Err(error),
                _ => Ok(()),
            }
        };
        if let Ok(answer) = tokio::time::timeout(within, answer).await {
            return answer;
        }
        if is_busy || self.shared.heard.load(Ordering::Relaxed) != heard {
            return Ok(());
        }
        self.child.was_silent();
        Err(self.shared.fail(&self.child, &format!("the server {} does not answer", self.child.host())))
    }

    /// Returns why it has ended, once it has.
    pub async fn died(&self) -> RemoteError {
        until(&self.shared.died, || !self.is_alive()).await;
        self.shared.gone()
    }

    /// Ends it in order, and waits for that, but not longer than `wait`.
    pub async fn end(&self, wait: Duration) {
        // Closes the pipe, upon which ssh ends.
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
        self.child.end(wait).await;
        self.shared.die(RemoteError::gone("the location is not connected"));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
        self.child.kill();
    }
}

impl Shared {
    pub fn gone(&self) -> RemoteError {
        lock(&self.death).clone().unwrap_or_else(|| RemoteError::gone("the location is not connected"))
    }

    /// All who wait get this error; nothing is sent or taken any more.
    pub fn die(&self, error: RemoteError) {
        lock(&self.death).get_or_insert(error);
        *lock(&self.pending) = None;
        for waited_for in [&self.requests, &self.handles] {
            waited_for.close();
        }
        self.reads.close();
        self.writes.close();
        self.fewer.notify_waiters();
        self.died.notify_waiters();
    }

    pub fn fail(&self, child: &Child, why: &str) -> RemoteError {
        tracing::warn!(server = child.host(), why, "ending the connection");
        self.die(RemoteError::gone(why));
        child.kill();
        self.gone()
    }

    fn send(
        &self,
        request: &Request<'_>,
        window: Option<Arc<Window>>,
        permits: [Option<OwnedSemaphorePermit>; 2],
    ) -> Result<oneshot::Receiver<Response>, RemoteError> {
        let (reply, answer) = oneshot::channel();
        let mut pending = lock(&self.pending);
        let Some(all) = pending.as_mut() else {
            return Err(self.gone());
        };
        // One that went round and is still in use is passed over.
        let id = loop {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            if !all.contains_key(&id) {
                break id;
            }
        };
        let slot = Slot {
            reply,
            slow: request.is_slow(),
            data_bytes: if let Request::Read { len, .. } = request { *len as usize } else { 0 },
            sent: Instant::now(),
            age: 0,
            in_turn: self.answered.load(Ordering::Relaxed) + all.len() as u64,
            window,
            _permits: permits,
        };
        all.insert(id, slot);
        // Under the lock: the order of the queue is the order of those who began.
        self.out.send(encode(id, request)).map_err(|_| self.gone())?;
        Ok(answer)
    }

    /// Hands an answer to who waits for it. The error says what is wrong with it.
    pub fn take(&self, id: u32, response: Response) -> Result<(), &'static str> {
        let slot = match lock(&self.pending).as_mut() {
            Some(all) => all.remove(&id).ok_or("it answers what was never asked")?,
            None => return Ok(()),
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        if matches!(&response, Response::Data(data) if data.bytes().len() > slot.data_bytes) {
            return Err("it sends more bytes than were asked for");
        }
        if let Some(window) = &slot.window {
            window.feedback(slot.sent.elapsed());
        }
        // Who asked has given up, and nobody else would ever close it.
        if let Err(Response::Handle(handle)) = slot.reply.send(response) {
            let _ = self.send(&Request::Close { handle: &handle }, None, [None, None]);
        }
        self.fewer.notify_waiters();
        Ok(())
    }
}

/// An open file or folder of the server; closed when it goes.
pub struct Opened {
    session: Arc<Session>,
    handle: Option<Handle>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Opened {
    pub async fn new(session: &Arc<Session>, request: Request<'_>) -> Result<Opened, super::Failure> {
        let turn = Some(session.handle_turn().await?);
        let handle = session.begin(request).await?.handle().await?;
        Ok(Opened { session: session.clone(), handle: Some(handle), turn })
    }

    pub fn handle(&self) -> &[u8] {
        self.handle.as_deref().unwrap_or_default()
    }

    pub fn shared_handle(&self) -> Handle {
        self.handle.clone().unwrap_or_else(|| Handle::from(&[][..]))
    }

    /// Somebody else closes it; the turn is over when what is returned goes.
    fn release(mut self) -> Option<OwnedSemaphorePermit> {
        self.handle = None;
        self.turn.take()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.session.tell(Request::Close { handle: &handle });
        }
    }
}

/// What a read brought; `None` at the end of the file.
pub type Piece = Option<Data>;
