//! What the engine tells of its own accord.
//!
//! Events are found by comparing: when something has changed, what clients see is made anew, at
//! most ten times a second, and what differs is told. So an event always carries the whole new
//! value, and none is told twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::model::{
    ChangeReport, ConflictId, ConflictReport, LocationStatus, PinReport, ProblemId, ProblemReport, Target,
};

use super::core::{Core, Handle};

/// Between two looks at what has changed.
const PACE: Duration = Duration::from_millis(100);
/// So many events wait for a subscriber.
const QUEUE: usize = 4096;

/// Each carries the whole new value, so a client that lost one loses nothing by reading the next.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // Few of them live at a time.
pub enum Event {
    Location(LocationStatus),
    LocationRemoved(String),
    Pin(PinReport),
    Unpinned(Target),
    Change(ChangeReport),
    ChangeDone(u64),
    Conflict(ConflictReport),
    ConflictClosed(ConflictId),
    Problem(ProblemReport),
    ProblemClosed(ProblemId),
    /// Events were lost because the subscriber fell behind: read everything again.
    Lost,
}

/// An event and the revision of the engine's state after it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Revised {
    pub revision: u64,
    pub event: Event,
}

#[derive(Default)]
pub(super) struct Subscribers(Mutex<State>);

#[derive(Default)]
struct State {
    revision: u64,
    senders: Vec<Sender>,
    watching: bool,
}

struct Sender {
    sender: async_channel::Sender<Revised>,
    fell_behind: bool,
}

#[derive(Default)]
struct Seen {
    locations: BTreeMap<String, LocationStatus>,
    pins: BTreeMap<Target, PinReport>,
    changes: BTreeMap<u64, ChangeReport>,
    conflicts: BTreeMap<ConflictId, ConflictReport>,
    problems: BTreeMap<ProblemId, ProblemReport>,
}

impl Subscribers {
    pub fn add(&self, handle: &Handle) -> async_channel::Receiver<Revised> {
        let (sender, receiver) = async_channel::bounded(QUEUE);
        let begin = {
            let mut state = self.0.lock();
            state.senders.push(Sender { sender, fell_behind: false });
            !std::mem::replace(&mut state.watching, true)
        };
        if begin {
            let core = Arc::downgrade(&handle.0);
            let world = handle.0.store.world().clone();
            world.spawn(Box::pin(watch(core)));
        }
        receiver
    }

    fn tell(&self, events: Vec<Event>) {
        let mut state = self.0.lock();
        for event in events {
            state.revision += 1;
            let revised = Revised { revision: state.revision, event };
            for sender in &mut state.senders {
                if sender.fell_behind {
                    let lost = Revised { revision: revised.revision, event: Event::Lost };
                    sender.fell_behind = sender.sender.try_send(lost).is_err();
                } else {
                    sender.fell_behind = sender.sender.try_send(revised.clone()).is_err();
                }
            }
        }
        state.senders.retain(|s| !s.sender.is_closed());
        if state.senders.is_empty() {
            state.watching = false;
        }
    }
}

/// Looks for what has changed as long as somebody listens.
async fn watch(core: std::sync::Weak<Core>) {
    let mut seen = Seen::default();
    let mut first = true;
    loop {
        let Some(core) = core.upgrade() else { return };
        let handle = Handle(core.clone());
        let mut events = Vec::new();
        let now = look(&handle).await;
        if !first {
            differences(&seen, &now, &mut events);
        }
        first = false;
        seen = now;
        core.subscribers.tell(events);
        if !core.subscribers.0.lock().watching {
            return;
        }
        let changed = core.store.changed.listen();
        let world = core.store.world().clone();
        let progress: Vec<_> = core.sync.workers().iter().map(|w| w.progress.listen()).collect();
        drop((core, handle));
        let mut any = progress.into_iter().collect::<futures::stream::FuturesUnordered<_>>();
        futures::select_biased! {
            () = changed.fuse() => {}
            _ = futures::StreamExt::next(&mut any).fuse() => {}
            () = world.sleep(Duration::from_secs(1)).fuse() => {}
        }
        world.sleep(PACE).await;
    }
}

async fn look(handle: &Handle) -> Seen {
    let locations = handle.location_states();
    let changes = handle.changes(None).await.unwrap_or_default();
    let conflicts = handle.conflicts(None).await.unwrap_or_default();
    let problems = handle.problems(None).await.unwrap_or_default();
    Seen {
        locations: locations.into_iter().map(|l| (l.name.clone(), l)).collect(),
        pins: handle.pin_states().into_iter().map(|p| (p.path.clone(), p)).collect(),
        changes: changes.into_iter().map(|c| (c.id, c)).collect(),
        conflicts: conflicts.into_iter().map(|c| (c.id, c)).collect(),
        problems: problems.into_iter().map(|p| (p.id, p)).collect(),
    }
}

fn differences(old: &Seen, new: &Seen, events: &mut Vec<Event>) {
    fn part<K: Ord + Clone, V: PartialEq + Clone>(
        old: &BTreeMap<K, V>,
        new: &BTreeMap<K, V>,
        events: &mut Vec<Event>,
        changed: impl Fn(V) -> Event,
        gone: impl Fn(K) -> Event,
    ) {
        for (key, value) in new {
            if old.get(key) != Some(value) {
                events.push(changed(value.clone()));
            }
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            events.push(gone(key.clone()));
        }
    }
    part(&old.locations, &new.locations, events, Event::Location, Event::LocationRemoved);
    part(&old.pins, &new.pins, events, Event::Pin, Event::Unpinned);
    part(&old.changes, &new.changes, events, Event::Change, Event::ChangeDone);
    part(&old.conflicts, &new.conflicts, events, Event::Conflict, Event::ConflictClosed);
    part(&old.problems, &new.problems, events, Event::Problem, Event::ProblemClosed);
}
