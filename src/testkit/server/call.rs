//! How a call gets to the server and its answer back, and what can happen to both on the way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use holdfast_engine::model::OfflineReason;
use holdfast_engine::remote::RemoteError;
use holdfast_engine::world::World;
use parking_lot::Mutex;

use super::{FakeServer, Line, Root};

type Answer<T> = Result<T, RemoteError>;

/// Of a thousand calls that were given up on their way, how many are done all the same.
const DONE_ALL_THE_SAME: u32 = 500;

/// One client's line to the server.
pub(super) struct Link {
    pub server: FakeServer,
    pub owner: String,
    state: Mutex<LinkState>,
}

#[derive(Default)]
struct LinkState {
    connection: Option<Connection>,
    in_flight: usize,
    /// Who waits until nothing is in flight.
    quiet: Vec<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Connection {
    /// Unlike that of any other connection to the server.
    serial: u64,
    /// The server's epoch in which it was made.
    epoch: u64,
}

/// A call on its way.
#[derive(Clone)]
pub(super) struct Call {
    pub link: Arc<Link>,
    connection: Connection,
    given_up: Arc<AtomicBool>,
    /// Nanoseconds for which the client itself held it up.
    held: Arc<AtomicU64>,
    name: &'static str,
}

/// Marks the call as given up when its future is dropped.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Link {
    pub(super) fn new(server: FakeServer, owner: &str) -> Link {
        Link { server, owner: owner.to_owned(), state: Mutex::default() }
    }

    fn world(&self) -> &crate::world::SimWorld {
        &self.server.inner.world
    }

    fn gone(&self) -> RemoteError {
        match self.server.inner.state.lock().line {
            Line::Down(reason) => {
                RemoteError::Gone { reason, message: "the server cannot be reached".into() }
            }
            Line::Up | Line::Frozen => RemoteError::gone("the connection was broken"),
        }
    }

    fn latency(&self) -> Duration {
        let mut guard = self.server.inner.state.lock();
        let state = &mut *guard;
        state.rng.duration(&state.profile.latency)
    }

    fn deadline(&self) -> Duration {
        self.server.inner.state.lock().profile.deadline
    }

    fn is_alive(&self, connection: Connection) -> bool {
        let now = self.state.lock().connection;
        let server = self.server.inner.state.lock();
        now == Some(connection) && server.epoch == connection.epoch && !matches!(server.line, Line::Down(_))
    }

    /// Ends the connection: every call on it ends with `Gone`.
    fn break_off(&self, connection: Connection) {
        let mut state = self.state.lock();
        if state.connection == Some(connection) {
            state.connection = None;
        }
        drop(state);
        self.server.forget_watchers(connection.serial);
    }

    /// Until the line is no longer frozen; at once where it is not.
    async fn thaw(&self) {
        loop {
            let waiting = {
                let mut state = self.server.inner.state.lock();
                if state.line != Line::Frozen {
                    return;
                }
                let (send, receive) = oneshot::channel();
                state.frozen.push(send);
                receive
            };
            // The sender is dropped when the line changes.
            let _ = waiting.await;
        }
    }

    pub(super) async fn connect(&self) -> Answer<u64> {
        self.server.inner.state.lock().traffic.connects += 1;
        let latency = self.latency();
        self.world().sleep(latency).await;
        let deadline = self.world().sleep(self.deadline());
        if let Either::Right(_) = select(Box::pin(self.thaw()), deadline).await {
            return Err(RemoteError::gone("the server does not answer"));
        }
        let made = {
            let mut guard = self.server.inner.state.lock();
            let state = &mut *guard;
            if let Line::Down(reason) = state.line {
                let message = match reason {
                    OfflineReason::SignInNeeded => "the server wants a password",
                    _ => "the server cannot be reached",
                };
                return Err(RemoteError::Gone { reason, message: message.into() });
            }
            if state.rng.chance(state.faults.breaks) {
                return Err(RemoteError::gone("the connection was broken"));
            }
            if state.root == Root::Unmounted {
                return Err(RemoteError::gone("the folder is not the one it was: nothing is mounted there"));
            }
            state.next_temp += 1;
            Connection { serial: state.next_temp, epoch: state.epoch }
        };
        let old = self.state.lock().connection;
        match old {
            Some(old) if self.is_alive(old) => return Ok(old.serial),
            Some(old) => self.break_off(old),
            None => {}
        }
        self.state.lock().connection = Some(made);
        self.server.trace(|| format!("{} is connected", self.owner));
        Ok(made.serial)
    }

    /// The connection that watches are made on.
    pub(super) fn serial(&self) -> Option<u64> {
        let connection = self.state.lock().connection?;
        self.is_alive(connection).then_some(connection.serial)
    }

    /// No call: it is neither counted nor hit by what hits calls.
    pub(super) async fn probe(&self, within: Duration) -> Answer<()> {
        let connection = self.state.lock().connection;
        let Some(connection) = connection.filter(|c| self.is_alive(*c)) else {
            return Err(self.gone());
        };
        let there_and_back = self.latency() + self.latency();
        let answer = async {
            self.world().sleep(there_and_back).await;
            self.thaw().await;
        };
        let deadline = self.world().sleep(within);
        if let Either::Right(_) = select(Box::pin(answer), deadline).await {
            self.break_off(connection);
            return Err(RemoteError::gone("the server does not answer"));
        }
        if self.is_alive(connection) { Ok(()) } else { Err(self.gone()) }
    }

    pub(super) async fn disconnect(&self) {
        let quiet = {
            let mut state = self.state.lock();
            if state.in_flight == 0 {
                None
            } else {
                let (send, receive) = oneshot::channel();
                state.quiet.push(send);
                Some(receive)
            }
        };
        if let Some(quiet) = quiet {
            let _ = quiet.await;
        }
        let connection = self.state.lock().connection;
        if let Some(connection) = connection {
            self.break_off(connection);
        }
    }

    fn end_one(&self) {
        let told = {
            let mut state = self.state.lock();
            state.in_flight -= 1;
            if state.in_flight == 0 { std::mem::take(&mut state.quiet) } else { Vec::new() }
        };
        drop(told);
    }

    /// Sends a call; `bytes` travel with it, for which the deadline is longer.
    pub(super) async fn call<T, W, F>(
        self: &Arc<Self>,
        name: &'static str,
        about: String,
        bytes: u64,
        work: W,
    ) -> Answer<T>
    where
        T: Send + 'static,
        W: FnOnce(Call) -> F + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let connection = self.state.lock().connection;
        let Some(connection) = connection.filter(|c| self.is_alive(*c)) else {
            return Err(self.gone());
        };
        let at_once = {
            let mut state = self.state.lock();
            state.in_flight += 1;
            state.in_flight as u64
        };
        {
            let traffic = &mut self.server.inner.state.lock().traffic;
            traffic.calls += 1;
            traffic.most_at_once = traffic.most_at_once.max(at_once);
        }
        self.server.trace(|| format!("{} {name} {about}", self.owner));
        let give_up = GiveUp(Arc::default());
        let held = Arc::new(AtomicU64::new(0));
        let call =
            Call { link: self.clone(), connection, given_up: give_up.0.clone(), held: held.clone(), name };
        let (send, receive) = oneshot::channel();
        self.world().spawn(Box::pin(async move {
            let answer = call.carry_out(work).await;
            call.link.server.trace(|| match &answer {
                Ok(_) => format!("{name} {about}: done"),
                Err(error) => format!("{name} {about}: {error}"),
            });
            call.link.end_one();
            // Nobody may be waiting any more.
            let _ = send.send(answer);
        }));
        let deadline = self.deadline() + self.server.transfer_time(bytes) * 4;
        let deadline = Box::pin(async {
            let mut left = deadline;
            while !left.is_zero() {
                self.world().sleep(left).await;
                left = Duration::from_nanos(held.swap(0, Ordering::Relaxed));
            }
        });
        match select(receive, deadline).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), _)) => Err(self.gone()),
            Either::Right(_) => {
                self.break_off(connection);
                Err(RemoteError::gone("the server does not answer"))
            }
        }
    }
}

impl Call {
    async fn carry_out<T, W, F>(&self, work: W) -> Answer<T>
    where
        W: FnOnce(Call) -> F,
        F: Future<Output = Answer<T>>,
    {
        self.travel().await;
        self.still_wanted()?;
        if self.draw(|faults| faults.breaks) {
            self.link.break_off(self.connection);
            return Err(self.link.gone());
        }
        let answer = work(self.clone()).await;
        if self.draw(|faults| faults.lost_answers) && !matches!(answer, Err(RemoteError::Gone { .. })) {
            self.link.server.trace(|| format!("the answer to {} is lost", self.name));
            self.link.break_off(self.connection);
        }
        self.travel().await;
        if !self.link.is_alive(self.connection) {
            return Err(self.link.gone());
        }
        answer
    }

    async fn travel(&self) {
        let latency = self.link.latency();
        self.link.world().sleep(latency).await;
        self.link.thaw().await;
    }

    /// Whether the call still reaches the server.
    fn still_wanted(&self) -> Answer<()> {
        let alive = self.link.is_alive(self.connection);
        if !alive || (self.is_given_up() && !self.draw(|_| DONE_ALL_THE_SAME)) {
            return Err(self.link.gone());
        }
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn draw(&self, per_mille: impl FnOnce(&super::Faults) -> u32) -> bool {
        let mut guard = self.link.server.inner.state.lock();
        let state = &mut *guard;
        state.rng.chance(per_mille(&state.faults))
    }

    /// A short while at the server, between two of its steps.
    pub(super) async fn pause(&self) {
        let latency = self.link.latency();
        self.link.world().sleep(latency / 4).await;
    }

    /// Bytes travel to the server; `Gone` where the sender or the line went meanwhile.
    pub(super) async fn send(&self, bytes: u64) -> Answer<()> {
        self.link.server.inner.state.lock().traffic.bytes_up += bytes;
        self.link.world().sleep(self.link.server.transfer_time(bytes)).await;
        self.link.thaw().await;
        if self.is_given_up() || !self.link.is_alive(self.connection) {
            return Err(self.link.gone());
        }
        Ok(())
    }

    /// The client waits for something of its own: that is no time of the server's.
    pub(super) async fn held_up(&self, wait: impl Future<Output = ()>) {
        let began = self.link.world().elapsed();
        wait.await;
        let took = self.link.world().elapsed() - began;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.held.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Bytes travel back.
    pub(super) async fn receive(&self, bytes: u64) {
        self.link.server.inner.state.lock().traffic.bytes_down += bytes;
        self.link.world().sleep(self.link.server.transfer_time(bytes)).await;
    }
}

impl FakeServer {
    fn transfer_time(&self, bytes: u64) -> Duration {
        let rate = self.inner.state.lock().profile.bytes_per_second.max(1);
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate)
    }

    fn forget_watchers(&self, serial: u64) {
        let dropped: Vec<_> = {
            let mut state = self.inner.state.lock();
            state.watchers.extract_if(.., |w| w.connection == serial).collect()
        };
        drop(dropped);
    }
}
