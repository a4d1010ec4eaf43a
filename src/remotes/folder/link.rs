//! One helper process as the engine's side sees it: calls go out, answers come back by their
//! number, and whoever does not get on is ended.
//!
//! A link dies once and for ever, with a sentence; a new one is made by the next `connect`.

use std::collections::HashMap;
use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_engine::remote::RemoteError;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::frame::{self, Frame};
use super::options::HelperCommand;
use super::protocol::{Answer, Ask};
use crate::spawn::{self, Process, Running};
use crate::until::until;

/// As in the helper: so many ticks without progress are the deadline.
pub const TICKS: u32 = 8;
const QUEUED_FRAMES: usize = 64;
const PIPE_BUFFER_BYTES: usize = 64 << 10;

type Reply = (Answer, Vec<u8>);

/// One call that waits, or one watch.
struct Waiting {
    answers: mpsc::UnboundedSender<Reply>,
    /// A watch has no deadline.
    urgent: bool,
}

struct Shared {
    /// `None` once the link is dead: nothing may wait on it.
    waiting: Mutex<Option<HashMap<u64, Waiting>>>,
    /// Why it died.
    death: Mutex<Option<String>>,
    fewer: Notify,
    died: Notify,
    silent_ticks: AtomicU32,
    process: Process,
    place: String,
}

pub struct Link {
    shared: Arc<Shared>,
    frames: mpsc::Sender<Frame>,
    next_id: AtomicU64,
    exited: Mutex<Option<oneshot::Receiver<Option<ExitStatus>>>>,
    tasks: [tokio::task::AbortHandle; 2],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Starts a helper. `place` names the folder in sentences.
    pub async fn start(command: &HelperCommand, tick: Duration, place: &str) -> io::Result<Link> {
        let mut program = std::process::Command::new(&command.program);
        program.args(&command.args);
        let Running { stdin, stdout, process, exited, .. } = spawn::start(program).await?;
        let (to, from) = (pipe::Sender::from_owned_fd(stdin)?, pipe::Receiver::from_owned_fd(stdout)?);
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Some(HashMap::new())),
            death: Mutex::new(None),
            fewer: Notify::new(),
            died: Notify::new(),
            silent_ticks: AtomicU32::new(0),
            process,
            place: place.to_owned(),
        });
        let (frames, queue) = mpsc::channel(QUEUED_FRAMES);
        // The writer must not keep the link alive: the pipe closes with the last sender.
        let writer = tokio::spawn(write_frames(to, queue)).abort_handle();
        tokio::spawn(read_answers(from, shared.clone(), writer.clone()));
        let watcher = tokio::spawn(watch_over(shared.clone(), tick, writer.clone())).abort_handle();
        Ok(Link {
            shared,
            frames,
            next_id: AtomicU64::new(1),
            exited: Mutex::new(Some(exited)),
            tasks: [writer, watcher],
        })
    }

    pub fn is_alive(&self) -> bool {
        lock(&self.shared.waiting).is_some()
    }

    /// Sends a request. The answers come through the [`Call`].
    pub async fn call(&self, ask: &Ask, payload: Vec<u8>) -> Result<Call, RemoteError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = frame::encode(id, ask, payload).map_err(|e| RemoteError::Io(e.to_string()))?;
        let (answers, replies) = mpsc::unbounded_channel();
        let waiting = Waiting { answers, urgent: !matches!(ask, Ask::Watch { .. }) };
        match lock(&self.shared.waiting).as_mut() {
            Some(all) => drop(all.insert(id, waiting)),
            None => return Err(self.shared.gone()),
        }
        let call = Call { id, replies, shared: self.shared.clone() };
        if self.frames.send(frame).await.is_err() {
            return Err(self.shared.gone());
        }
        Ok(call)
    }

    /// Sends a request that has no answer, if there is room for it now.
    pub fn tell(&self, ask: &Ask) {
        if let Ok(frame) = frame::encode(0, ask, Vec::new())
            && let Err(mpsc::error::TrySendError::Full(frame)) = self.frames.try_send(frame)
        {
            let frames = self.frames.clone();
            tokio::spawn(async move { frames.send(frame).await });
        }
    }

    /// Waits until no call is under way.
    pub async fn quiet(&self) {
        let is_quiet =
            || !lock(&self.shared.waiting).as_ref().is_some_and(|all| all.values().any(|w| w.urgent));
        until(&self.shared.fewer, is_quiet).await;
    }

    /// Returns why it has ended, once it has.
    pub async fn died(&self) -> RemoteError {
        until(&self.shared.died, || !self.is_alive()).await;
        self.shared.gone()
    }

    /// Ends the helper in order and waits for that, but not longer than `wait`.
    pub async fn end(&self, wait: Duration) {
        // Closes the pipe, upon which the helper ends.
        self.tasks[0].abort();
        let exited = lock(&self.exited).take();
        if let Some(exited) = exited
            && tokio::time::timeout(wait, exited).await.is_err()
        {
            self.shared.process.kill();
        }
        self.shared.die("the folder is not connected");
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn gone(&self) -> RemoteError {
        RemoteError::gone(lock(&self.death).clone().unwrap_or_else(|| "the folder is not connected".into()))
    }

    /// All who wait get `Gone`; nothing is sent or taken any more.
    fn die(&self, why: &str) {
        lock(&self.death).get_or_insert_with(|| why.to_owned());
        *lock(&self.waiting) = None;
        self.fewer.notify_waiters();
        self.died.notify_waiters();
    }

    fn kill(&self, why: &str) {
        tracing::warn!(place = %self.place, why, "ending the helper");
        self.die(why);
        self.process.kill();
    }
}

/// The answers to one request. Dropped, the answers are too.
pub struct Call {
    pub id: u64,
    replies: mpsc::UnboundedReceiver<Reply>,
    shared: Arc<Shared>,
}

impl Call {
    /// The next answer; a refusal of the helper and the end of the link are errors.
    pub async fn next(&mut self) -> Result<Reply, RemoteError> {
        match self.replies.recv().await {
            Some((Answer::Failed(failure), _)) => Err(failure.into()),
            Some(reply) => Ok(reply),
            None => Err(self.shared.gone()),
        }
    }

    /// Drops the answers that have come and were not looked at.
    pub fn forget_queued(&mut self) {
        while self.replies.try_recv().is_ok() {}
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(all) = lock(&self.shared.waiting).as_mut() {
            all.remove(&self.id);
        }
        self.shared.fewer.notify_waiters();
    }
}

async fn write_frames(to: pipe::Sender, mut queue: mpsc::Receiver<Frame>) {
    let mut to = BufWriter::with_capacity(PIPE_BUFFER_BYTES, to);
    while let Some(frame) = queue.recv().await {
        let sent = async {
            to.write_all(&frame.head).await?;
            to.write_all(&frame.payload).await?;
            if queue.is_empty() { to.flush().await } else { Ok(()) }
        };
        // The reader sees the same end and says so.
        if let Err(e) = sent.await {
            tracing::debug!(error = %e, "the helper takes no more");
            return;
        }
    }
}

async fn read_answers(from: pipe::Receiver, shared: Arc<Shared>, writer: tokio::task::AbortHandle) {
    let mut from = BufReader::with_capacity(PIPE_BUFFER_BYTES, from);
    loop {
        match frame::read_async::<Answer>(&mut from).await {
            Ok((_, Answer::Beat { stuck: true }, _)) => {
                shared.kill(&format!("{} does not answer", shared.place))
            }
            Ok((id, answer, payload)) => {
                shared.silent_ticks.store(0, Ordering::Relaxed);
                if let Some(waiting) = lock(&shared.waiting).as_ref().and_then(|all| all.get(&id)) {
                    // Whoever asked may have given up.
                    let _ = waiting.answers.send((answer, payload));
                }
            }
            Err(e) => {
                tracing::debug!(error = %e, "the helper is gone");
                break;
            }
        }
    }
    shared.die("the helper process for this folder ended");
    writer.abort();
}

/// Ends a helper that says nothing at all. Counts ticks, so that a machine that slept, or a runtime
/// that stood still, is not taken for a silent helper.
async fn watch_over(shared: Arc<Shared>, tick: Duration, writer: tokio::task::AbortHandle) {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match lock(&shared.waiting).as_ref() {
            None => break,
            Some(all) if all.values().any(|w| w.urgent) => {}
            Some(_) => shared.silent_ticks.store(0, Ordering::Relaxed),
        }
        if shared.silent_ticks.fetch_add(1, Ordering::Relaxed) >= TICKS {
            shared.kill(&format!("{} does not answer", shared.place));
            break;
        }
    }
    writer.abort();
}
