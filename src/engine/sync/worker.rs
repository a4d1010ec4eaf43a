//! One location at work: connects, looks, replays and fetches while the link is up, waits while it
//! is not, and starts anew from what is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use event_listener::Event;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::model::{Confidence, ItemId, Link, LocationId, OfflineReason, Time};
use crate::remote::{Capabilities, Remote, RemoteError};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::world::World;

use super::back_off::BackOff;
use super::fetch::Wanted;
use super::line::{Limits, Line, Metered, Who};
use super::observe::Stopped;

pub struct Worker {
    pub location: LocationId,
    pub(super) store: Store,
    pub(super) world: Arc<dyn World>,
    /// For looks, and whatever is small.
    pub(super) remote: Arc<dyn Remote>,
    /// The same for who waits for it, for what is fetched, and for replay.
    pub(super) for_program: Arc<dyn Remote>,
    pub(super) for_fetch: Arc<dyn Remote>,
    pub(super) for_replay: Arc<dyn Remote>,
    pub(super) line: Arc<Line>,
    /// In temporary names on the server.
    pub(super) owner: String,
    state: Mutex<LinkState>,
    /// Wakes whoever waits: a command came, or the link may be back.
    pub(super) wake: Event,
    /// A content that something is to be settled by could not be had.
    pub(super) unsettled: AtomicBool,
    /// Something is to be fetched.
    pub(super) to_fetch: Event,
    /// Something was done: who waits for the end of something looks again.
    pub progress: Event,
    pub(super) closing: AtomicBool,
    by_hand: AtomicBool,
    /// Somebody wants it online now, whatever the back-off.
    wanted_online: AtomicBool,
    /// Routes or addresses changed, and nobody has acted on it yet.
    pub(super) network_changed: AtomicBool,
    /// A call found no connection.
    pub(super) doubted: AtomicBool,
    /// Either of the two.
    pub(super) doubts: Event,
    /// Attempts to connect that ended, one way or the other.
    tries: AtomicU64,
    closed: AtomicBool,
    /// It waits for room on the disk of the store.
    pub(super) held_up: AtomicBool,
    /// Rounds of observation that were asked for, begun and done.
    pub(super) rounds: Rounds,
    /// Whole looks that came to their end.
    pub(super) looks: AtomicU64,
    /// When the link went.
    pub(super) down_since: Mutex<Option<Time>>,
    /// What the brake stopped may go on, once.
    pub(super) confirmed: AtomicBool,
    /// The log was found to have nothing more to send, at this journal record.
    pub(super) idle_at: AtomicU64,
    /// A look at everything is under way.
    pub(super) observing: futures::lock::Mutex<()>,
    /// What was found is being noted.
    pub(super) applying: futures::lock::Mutex<()>,
    pub(super) wanted: Mutex<Wanted>,
    /// Folders in which a call whose answer was lost may still leave a temporary name, and until when.
    pub(super) untidy: Mutex<BTreeMap<ItemId, Duration>>,
    /// Records with the remote.
    pub(super) flights: Mutex<Flights>,
    /// Records that were refused and would only be refused again now.
    pub(super) held_back: Mutex<BTreeMap<ItemId, HeldBack>>,
    /// How often the server refused a change although a look showed nothing new.
    pub(super) refusals: Mutex<BTreeMap<ItemId, u32>>,
    /// Folders in which the server hinted at changes.
    pub(super) hints: Mutex<Vec<crate::remote::Hint>>,
}

#[derive(Default)]
pub(super) struct Rounds {
    pub asked: AtomicU64,
    pub begun: AtomicU64,
    pub done: AtomicU64,
    /// After this one was done the log had nothing more to send.
    pub sent: AtomicU64,
}

/// Why a record that was refused is not sent again yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeldBack {
    /// The server is being looked at.
    Look,
    /// The brake keeps what was seen from being taken for true.
    Brake,
}

/// Calls whose answer is not known yet, by a running number.
#[derive(Default)]
pub(super) struct Flights {
    last: u64,
    under_way: BTreeSet<u64>,
}

impl Flights {
    pub fn begin(&mut self) -> u64 {
        self.last += 1;
        self.under_way.insert(self.last);
        self.last
    }

    pub fn end(&mut self, flight: u64) {
        self.under_way.remove(&flight);
    }
}

#[derive(Clone)]
struct LinkState {
    link: Link,
    detail: String,
    capabilities: Option<Capabilities>,
}

/// Why the work on a connection ended.
pub(super) enum End {
    /// By hand, or the engine closes.
    Asked,
    Lost(RemoteError),
    Store(StoreError),
}

impl From<Stopped> for End {
    fn from(stopped: Stopped) -> End {
        let Stopped::Remote(error) = stopped;
        End::Lost(error)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> End {
        End::Store(error)
    }
}

impl Worker {
    pub fn new(location: LocationId, store: Store, remote: Arc<dyn Remote>, owner: String) -> Worker {
        let (by_hand, limits) = {
            let tree = store.read();
            let row = tree.location(location).map(|live| &live.row);
            (row.is_some_and(|row| row.by_hand), row.map(Limits::of).unwrap_or_default())
        };
        let line = Arc::new(Line::new(store.world().clone(), limits));
        let face = |who| -> Arc<dyn Remote> {
            Arc::new(Metered { remote: remote.clone(), line: line.clone(), who })
        };
        let reason = if by_hand { OfflineReason::ByHand } else { OfflineReason::ServerGone };
        Worker {
            location,
            world: store.world().clone(),
            store,
            remote: face(Who::Look),
            for_program: face(Who::Program),
            for_fetch: face(Who::Fetch),
            for_replay: face(Who::Replay),
            line,
            owner,
            state: Mutex::new(LinkState {
                link: Link::Offline(reason),
                detail: String::new(),
                capabilities: None,
            }),
            wake: Event::new(),
            to_fetch: Event::new(),
            progress: Event::new(),
            closing: AtomicBool::new(false),
            by_hand: AtomicBool::new(by_hand),
            wanted_online: AtomicBool::new(false),
            network_changed: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            doubts: Event::new(),
            tries: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            rounds: Rounds::default(),
            looks: AtomicU64::new(0),
            down_since: Mutex::default(),
            confirmed: AtomicBool::new(false),
            idle_at: AtomicU64::new(0),
            observing: futures::lock::Mutex::new(()),
            applying: futures::lock::Mutex::new(()),
            wanted: Mutex::default(),
            untidy: Mutex::default(),
            flights: Mutex::default(),
            unsettled: AtomicBool::new(false),
            held_back: Mutex::default(),
            refusals: Mutex::default(),
            hints: Mutex::default(),
        }
    }

    pub fn link(&self) -> (Link, String) {
        let state = self.state.lock();
        (state.link, state.detail.clone())
    }

    pub fn is_online(&self) -> bool {
        !matches!(self.state.lock().link, Link::Offline(_))
    }

    /// As they were when it was last connected.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.state.lock().capabilities.clone()
    }

    pub fn confidence(&self) -> Confidence {
        self.state.lock().capabilities.as_ref().map_or(Confidence::Guessed, |c| c.confidence)
    }

    pub(super) fn can(&self) -> Capabilities {
        self.capabilities().unwrap_or(Capabilities {
            exchange: false,
            atomic_replace: false,
            file_ids: false,
            symlinks: true,
            hard_links: false,
            modes: true,
            xattrs: false,
            set_times: true,
            time_step: Duration::from_secs(1),
            ranged_write: false,
            case_sensitive: true,
            watches: false,
            confidence: Confidence::Guessed,
            caveat: String::new(),
        })
    }

    fn set_link(&self, link: Link, detail: String) {
        {
            let mut state = self.state.lock();
            if state.link != link {
                tracing::info!(
                    location = self.location.0,
                    link = link.word(),
                    reason = link.reason(),
                    detail,
                    "link"
                );
            }
            state.link = link;
            state.detail = detail;
        }
        self.progress.notify(usize::MAX);
    }

    /// Says so where the line has become slow, or is not any more.
    pub(super) fn note_speed(&self) {
        let link = if self.line.is_slow() { Link::Slow } else { Link::Online };
        if self.is_online() && self.link().0 != link {
            self.set_link(link, self.line.sentence());
        }
    }

    /// At once, also for what is under way.
    pub fn set_limits(&self, limits: Limits) {
        self.line.set_limits(limits);
    }

    pub fn set_by_hand(&self, by_hand: bool) {
        self.by_hand.store(by_hand, SeqCst);
        self.wanted_online.store(!by_hand, SeqCst);
        self.kick();
    }

    /// Somebody asked to send without waiting for quiet.
    pub(super) fn is_cut_short(&self) -> bool {
        self.rounds.asked.load(SeqCst) > self.rounds.sent.load(SeqCst)
    }

    /// Look and send now, whatever the back-off. Returns the round to wait for.
    pub fn ask_round(&self) -> u64 {
        let round = self.rounds.asked.fetch_add(1, SeqCst) + 1;
        self.kick();
        round
    }

    pub fn confirm_brake(&self) {
        self.confirmed.store(true, SeqCst);
        self.ask_round();
    }

    pub(super) fn kick(&self) {
        self.wake.notify(usize::MAX);
        self.store.changed.notify(usize::MAX);
    }

    pub fn close(&self) {
        self.closing.store(true, SeqCst);
        self.kick();
    }

    /// Returns when the answers to all that is with the remote now have been noted.
    pub(super) async fn landed(&self) {
        let last = self.flights.lock().last;
        loop {
            let progress = self.progress.listen();
            if self.flights.lock().under_way.range(..=last).next().is_none() {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.closing.load(SeqCst) || self.by_hand.load(SeqCst)
    }

    /// Returns when it is known whether the server can be reached: just after a start nobody has asked.
    pub async fn tried(&self) {
        loop {
            let progress = self.progress.listen();
            if self.is_online() || self.tries() > 0 || self.is_stopping() {
                return;
            }
            progress.await;
        }
    }

    /// The last round of observation that is done.
    pub fn done_round(&self) -> u64 {
        self.rounds.done.load(SeqCst)
    }

    pub fn tries(&self) -> u64 {
        self.tries.load(SeqCst)
    }

    pub fn is_by_hand(&self) -> bool {
        self.by_hand.load(SeqCst)
    }

    /// Returns when nothing is in flight any more, after [`Worker::close`].
    pub async fn closed(&self) {
        loop {
            let progress = self.progress.listen();
            if self.closed.load(SeqCst) {
                return;
            }
            progress.await;
        }
    }

    /// Works until it is closed.
    pub async fn run(self: Arc<Self>) {
        let mut back_off = BackOff::new();
        while !self.closing.load(SeqCst) {
            if self.by_hand.load(SeqCst) {
                let woken = self.wake.listen();
                self.set_link(Link::Offline(OfflineReason::ByHand), String::new());
                if self.by_hand.load(SeqCst) && !self.closing.load(SeqCst) {
                    woken.await;
                }
                continue;
            }
            back_off.attempt(self.world.elapsed());
            self.wanted_online.store(false, SeqCst);
            self.network_changed.store(false, SeqCst);
            let asked = self.rounds.asked.load(SeqCst);
            let connected = futures::select_biased! {
                connected = self.remote.connect().fuse() => connected,
                () = self.attempt_is_vain(&mut back_off).fuse() => continue,
            };
            let error = match connected {
                Ok(capabilities) => {
                    self.state.lock().capabilities = Some(capabilities);
                    back_off.connected(self.world.elapsed());
                    match self.work_online().await {
                        End::Asked => continue,
                        End::Lost(error) => error,
                        End::Store(error) => {
                            tracing::error!(%error, "the store fails; the location waits");
                            RemoteError::Io(error.to_string())
                        }
                    }
                }
                Err(error) => error,
            };
            let reason = match &error {
                RemoteError::Gone { reason, .. } => *reason,
                _ => OfflineReason::Error,
            };
            self.tries.fetch_add(1, SeqCst);
            self.set_link(Link::Offline(reason), error.to_string());
            self.wait_offline(&mut back_off, asked.max(self.rounds.begun.load(SeqCst))).await;
        }
        self.remote.disconnect().await;
        self.closed.store(true, SeqCst);
        self.set_link(Link::Offline(OfflineReason::ByHand), String::new());
    }

    /// Until the next attempt is due. A round asked for after `asked`, and whoever wants it online, end
    /// the wait at once; a hint that the network is another cuts it short.
    async fn wait_offline(&self, back_off: &mut BackOff, asked: u64) {
        let now = self.world.elapsed();
        let mut until = now + back_off.failed(now, self.world.random());
        loop {
            let (woken, hint) = (self.wake.listen(), self.doubts.listen());
            if self.is_stopping() {
                return;
            }
            if self.wanted_online.swap(false, SeqCst) || self.rounds.asked.load(SeqCst) > asked {
                back_off.forget();
                return;
            }
            let now = self.world.elapsed();
            // Nothing that changed here makes a server take another credential.
            let is_refused = self.link().0 == Link::Offline(OfflineReason::SignInNeeded);
            if self.network_changed.swap(false, SeqCst) && !is_refused {
                until = until.min(back_off.hinted(now));
            }
            let left = until.saturating_sub(now);
            if left.is_zero() {
                return;
            }
            futures::select_biased! {
                () = woken.fuse() => {}
                () = hint.fuse() => {}
                () = self.world.sleep(left).fuse() => {}
            }
        }
    }

    /// Returns when an attempt that is under way is to be given up: nobody wants it any more, or it may
    /// go a way that is no more.
    async fn attempt_is_vain(&self, back_off: &mut BackOff) {
        let mut again = None;
        loop {
            let (woken, hint) = (self.wake.listen(), self.doubts.listen());
            if self.is_stopping() {
                return;
            }
            let now = self.world.elapsed();
            if self.network_changed.swap(false, SeqCst) {
                again = Some(back_off.hinted(now));
            }
            let left = again.map(|at: Duration| at.saturating_sub(now));
            if left == Some(Duration::ZERO) {
                return;
            }
            let due = self.world.sleep(left.unwrap_or(Duration::from_secs(3600)));
            futures::select_biased! {
                () = woken.fuse() => {}
                () = hint.fuse() => {}
                () = due.fuse() => {}
            }
        }
    }

    async fn work_online(self: &Arc<Self>) -> End {
        self.begin_reconnection();
        let end = futures::select_biased! {
            end = self.work().fuse() => end,
            end = self.prove_loop().fuse() => end,
            error = self.remote.lost().fuse() => End::Lost(error),
        };
        // Whatever was under way went with the loops.
        self.flights.lock().under_way.clear();
        self.held_back.lock().clear();
        self.wanted.lock().under_way = 0;
        // Also where the first round was not done: what it did stands in the history.
        self.lose_link();
        end
    }

    async fn work(self: &Arc<Self>) -> End {
        if let Err(end) = self.recover().await {
            return end;
        }
        self.set_link(Link::Online, String::new());
        self.held_up.store(false, SeqCst);
        self.want_all_pinned();
        futures::select_biased! {
            end = self.replay_loop().fuse() => end,
            end = self.with_room(|| self.observe_loop()).fuse() => end,
            end = self.with_room(|| self.fetch_loop()).fuse() => end,
        }
    }
}
