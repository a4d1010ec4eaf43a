//! One location at work: connects, looks, replays and fetches while the link is up, waits while it
//! is not, and starts anew from what is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use event_listener::Event;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::model::{Confidence, ItemId, Link, LocationId, OfflineReason};
use crate::remote::{Capabilities, Remote, RemoteError};
use crate::store::Store;
use crate::store::persist::StoreError;
use crate::world::World;

use super::fetch::Wanted;
use super::observe::Stopped;

/// First and longest pause between two attempts to connect.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

pub struct Worker {
    pub location: LocationId,
    pub(super) store: Store,
    pub(super) world: Arc<dyn World>,
    pub(super) remote: Arc<dyn Remote>,
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
    /// Attempts to connect that ended, one way or the other.
    tries: AtomicU64,
    closed: AtomicBool,
    /// It waits for room on the disk of the store.
    pub(super) held_up: AtomicBool,
    /// Rounds of observation that were asked for, begun and done.
    pub(super) rounds: Rounds,
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
    pub(super) untidy: Mutex<BTreeMap<crate::model::LocPath, Duration>>,
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
        let by_hand = store.read().location(location).is_some_and(|l| l.row.by_hand);
        let reason = if by_hand { OfflineReason::ByHand } else { OfflineReason::ServerGone };
        Worker {
            location,
            world: store.world().clone(),
            store,
            remote,
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
            tries: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            rounds: Rounds::default(),
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

    pub fn set_by_hand(&self, by_hand: bool) {
        self.by_hand.store(by_hand, SeqCst);
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
        let mut pause = BACK_OFF.0;
        let mut asked = 0;
        while !self.closing.load(SeqCst) {
            let mut woken = self.wake.listen();
            if self.by_hand.load(SeqCst) {
                self.set_link(Link::Offline(OfflineReason::ByHand), String::new());
                woken.await;
                continue;
            }
            let error = match self.remote.connect().await {
                Ok(capabilities) => {
                    self.state.lock().capabilities = Some(capabilities);
                    pause = BACK_OFF.0;
                    match self.work_online().await {
                        End::Asked => continue,
                        End::Lost(error) => error,
                        End::Store(error) => {
                            // What woke the work that failed is no reason to try again at once. A
                            // listener that is dropped hands on what it was told.
                            drop(woken);
                            woken = self.wake.listen();
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
            asked = asked.max(self.rounds.begun.load(SeqCst));
            futures::select_biased! {
                () = woken.fuse() => {}
                () = self.world.sleep(pause).fuse() => {}
            }
            pause = (pause * 2).min(BACK_OFF.1);
            if self.rounds.asked.load(SeqCst) > asked {
                asked = self.rounds.asked.load(SeqCst);
                pause = BACK_OFF.0;
            }
        }
        self.remote.disconnect().await;
        self.closed.store(true, SeqCst);
        self.set_link(Link::Offline(OfflineReason::ByHand), String::new());
    }

    async fn work_online(self: &Arc<Self>) -> End {
        if let Err(end) = self.recover().await {
            return end;
        }
        self.set_link(Link::Online, String::new());
        self.held_up.store(false, SeqCst);
        self.want_all_pinned();
        let end = futures::select_biased! {
            end = self.replay_loop().fuse() => end,
            end = self.with_room(|| self.observe_loop()).fuse() => end,
            end = self.with_room(|| self.fetch_loop()).fuse() => end,
        };
        // Whatever was under way went with the loops.
        self.flights.lock().under_way.clear();
        self.held_back.lock().clear();
        self.wanted.lock().under_way = 0;
        end
    }
}
