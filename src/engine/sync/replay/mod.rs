//! Carrying the log out on the server.
//!
//! A record is first written down as an intent (its content synced and its digest known), then
//! handed to the remote, guarded by the version it is based on. Whatever comes back, the trees are
//! brought up to it in one step; where nothing comes back, [`recover`](super::recover) looks.

mod answer;
mod call;
mod plan;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::model::{ItemId, Kind, Meta, Name, Needs, Side};
use crate::remote::{Hint, RemoteError};
use crate::store::content::ContentError;
use crate::store::persist::StoreError;
use crate::store::rows::{Item, ServerSide};
use crate::sync::observe::Looked;
use crate::sync::schedule::Step;
use crate::sync::worker::{End, HeldBack, Worker};
use crate::world::blocking;

use answer::{After, aside_name, failed};
use call::{Handed, send};
use plan::{hand_over, plan, prepare};

pub use answer::{note_problem, succeeded};

/// Records with the remote at once.
const SENDS: usize = 512;
/// So many refusals that no look explains are a problem.
const REFUSALS: u32 = 3;
/// Changes made here are gathered for so long before the log is looked through.
const GATHER_CHANGES: Duration = Duration::from_millis(20);

/// A record that found no room is tried again after this.
const AFTER_FULL: Duration = Duration::from_secs(1);

/// What was handed over now, and what is to come.
#[derive(Default)]
struct Turn {
    handed: Vec<Handed>,
    /// `World::elapsed` at which the next record has settled.
    next: Option<Duration>,
    /// Records wait for bytes that are on their way.
    fetching: bool,
    /// They wait for room on the disk of the store.
    full: bool,
}

/// A refusal that a look at the server is to explain.
struct Puzzle {
    item: ItemId,
    error: RemoteError,
    /// What was displaced lies under this temporary name.
    kept: Option<Name>,
}

impl Worker {
    pub(super) async fn replay_loop(self: &Arc<Self>) -> End {
        let mut sends = FuturesUnordered::new();
        let mut looks = FuturesUnordered::new();
        let mut settled_at = 0;
        let mut settle_again = Duration::ZERO;
        // A folder is on its way: it changes the paths of all that lies in it, and goes alone.
        let mut moving = None;
        // Something could not be settled yet: what it waits for may leave no record (a close).
        let mut held = false;
        loop {
            let changed = self.store.changed.listen();
            let woken = self.wake.listen();
            let mut next = None;
            let mut fetching = false;
            let mut full = false;
            if !self.is_stopping() {
                let seq = self.store.item_seq();
                let round = self.rounds.done.load(SeqCst);
                let looked = self.looks.load(SeqCst);
                // After each answer it would cost more than what is sent.
                let began = self.world.elapsed();
                held |= self.unsettled.swap(false, SeqCst);
                if (seq != settled_at || held) && (sends.is_empty() || began >= settle_again) {
                    match self.settle_open() {
                        Ok(later) => held = later,
                        // What is sent may be what makes room.
                        Err(StoreError::Full) => (held, full) = (true, true),
                        Err(error) => return End::Store(error),
                    }
                    settled_at = self.store.item_seq();
                    let now = self.world.elapsed();
                    settle_again = now + (now - began) * 4;
                }
                if sends.len() <= SENDS / 2 && moving.is_none() {
                    match self.hand_over_ready(SENDS - sends.len(), sends.is_empty()).await {
                        Ok(turn) => {
                            next = turn.next;
                            fetching = turn.fetching;
                            full |= turn.full;
                            for handed in turn.handed {
                                if self.moves_folder(handed.item, handed.step) {
                                    moving = Some(handed.item);
                                }
                                let worker = self.clone();
                                let flight = self.flights.lock().begin();
                                sends.push(async move {
                                    let result = send(&worker.for_replay, &handed).await;
                                    (flight, handed, result)
                                });
                            }
                        }
                        Err(error) => return End::Store(error),
                    }
                }
                if full {
                    let again = self.world.elapsed() + AFTER_FULL;
                    next = Some(next.map_or(again, |next: Duration| next.min(again)));
                }
                if sends.is_empty() && looks.is_empty() && !fetching && !full {
                    self.idle_at.store(seq.max(settled_at), SeqCst);
                    self.rounds.sent.fetch_max(round, SeqCst);
                    if self.is_reconnected(looked, next.is_none()) {
                        self.end_reconnection();
                    }
                    self.progress.notify(usize::MAX);
                }
            } else if sends.is_empty() {
                return End::Asked;
            }
            let pause = next.map_or(Duration::from_secs(3600), |at: Duration| {
                at.saturating_sub(self.world.elapsed()).max(Duration::from_millis(1))
            });
            futures::select_biased! {
                (flight, handed, result) = sends.select_next_some() => {
                    moving = moving.filter(|item| *item != handed.item);
                    let puzzle = self.answered(handed.item, handed.step, result);
                    self.flights.lock().end(flight);
                    self.progress.notify(usize::MAX);
                    match puzzle {
                        Ok(None) => {}
                        Ok(Some(puzzle)) => {
                            let worker = self.clone();
                            looks.push(async move { worker.look_into(puzzle).await });
                        }
                        Err(end) => return end,
                    }
                }
                looked = looks.select_next_some() => {
                    if let Err(end) = looked {
                        return end;
                    }
                }
                () = changed.fuse() => {
                    // A program that does much at once is not looked at for each thing it does.
                    if sends.is_empty() && !self.is_cut_short() {
                        self.world.sleep(GATHER_CHANGES).await;
                    }
                }
                () = woken.fuse() => {}
                () = self.world.sleep(pause).fuse() => {}
            }
        }
    }

    /// Writes down what may be sent now; what is written down is on the disk when this returns.
    async fn hand_over_ready(&self, most: usize, alone: bool) -> Result<Turn, StoreError> {
        let cut_short = self.is_cut_short();
        let mut plan =
            plan(&self.store, self.location, self.world.elapsed(), cut_short, most, &self.held_back.lock());
        let mut turn = Turn { next: plan.next, ..Turn::default() };
        for (id, content) in &plan.lacking {
            turn.fetching |= self.want_for(*id, *content)?;
        }
        if let Some(at) = plan.ready.iter().position(|(id, step)| self.moves_folder(*id, *step)) {
            plan.ready = if alone { vec![plan.ready[at]] } else { Vec::new() };
        }
        let mut aside = None;
        if plan.ready.is_empty()
            && alone
            && let Some(id) = plan.circle
        {
            plan.ready.push((id, Step::Move));
            aside = Some(aside_name(&self.owner, self.world.random()));
        }
        if plan.ready.is_empty() {
            return Ok(turn);
        }
        let (store, ready) = (self.store.clone(), plan.ready.clone());
        let prepared = blocking(&self.world, move || prepare(&store, &ready))
            .await
            .unwrap_or_else(|| Err(StoreError::Damaged("work in the background was given up".into())));
        let refused = match prepared {
            Err(StoreError::Full) => return Ok(Turn { full: true, ..turn }),
            prepared => prepared?,
        };
        for (id, error) in refused {
            plan.ready.retain(|(ready, _)| *ready != id);
            if let ContentError::NotHere { content, .. } = error {
                turn.fetching |= self.want_for(id, content)?;
                continue;
            }
            self.store.write(|tx| {
                note_problem(tx, id, Needs::Retry, format!("it cannot be sent: {error}"));
                Ok::<_, StoreError>(())
            })?;
        }
        turn.handed = hand_over(&self.store, &plan.ready, &self.can(), aside.as_ref())?;
        self.store.flushed().await?;
        Ok(turn)
    }

    fn moves_folder(&self, id: ItemId, step: Step) -> bool {
        let tree = self.store.read();
        step == Step::Move
            && tree.item(id).and_then(|i| i.base.as_deref()).is_some_and(|b| b.meta.kind == Kind::Folder)
    }

    /// Notes an answer. What only a look at the server explains is returned.
    fn answered(
        &self,
        item: ItemId,
        step: Step,
        result: Result<Option<Meta>, RemoteError>,
    ) -> Result<Option<Puzzle>, End> {
        let error = match result {
            Ok(meta) => {
                self.refusals.lock().remove(&item);
                let can = self.can();
                self.store.write_in_reserve(|tx| {
                    succeeded(tx, item, meta, &can);
                    Ok::<_, StoreError>(())
                })?;
                return Ok(None);
            }
            Err(error) => error,
        };
        let kept =
            match self.store.write_in_reserve(|tx| Ok::<_, StoreError>(failed(tx, item, step, &error)))? {
                After::Offline => return Err(End::Lost(error)),
                After::Problem => return Ok(None),
                After::Look => None,
                After::Keep(name) => Some(name),
            };
        self.held_back.lock().insert(item, HeldBack::Look);
        Ok(Some(Puzzle { item, error, kept }))
    }

    /// Looks at the server because of a refusal; other records go on meanwhile.
    async fn look_into(&self, puzzle: Puzzle) -> Result<(), End> {
        let looked = self.explain(&puzzle).await;
        // What the brake holds back cannot be told apart from what is gone: until it is off, it waits.
        if self.is_braked() {
            self.held_back.lock().insert(puzzle.item, HeldBack::Brake);
        } else {
            self.held_back.lock().remove(&puzzle.item);
        }
        self.kick();
        looked
    }

    async fn explain(&self, puzzle: &Puzzle) -> Result<(), End> {
        if let Some(name) = &puzzle.kept {
            return self.keep_displaced(puzzle.item, name).await;
        }
        let before = self.store.read().item(puzzle.item).cloned();
        self.look_again(puzzle.item);
        // What keeps a folder from going lies in it.
        if puzzle.error == RemoteError::NotEmpty {
            let folder = self.store.read().path(puzzle.item, Side::Server);
            self.hints.lock().extend(folder.map(Hint::Folder));
        }
        match self.look_at_hints().await? {
            _ if self.is_braked() => Ok(()),
            Looked::All => Ok(self.refused_again(puzzle.item, before, &puzzle.error)?),
            Looked::Partly => Ok(()),
        }
    }

    /// The look showed nothing that explains the refusal: after some more it is a problem, and no
    /// loop.
    fn refused_again(&self, id: ItemId, before: Option<Item>, error: &RemoteError) -> Result<(), StoreError> {
        let now = self.store.read().item(id).cloned();
        let unexplained = match (&before, &now) {
            (Some(before), Some(now)) => {
                now.conflict.is_none()
                    && now.server == ServerSide::AsBase
                    && now.base == before.base
                    && now.entry == before.entry
                    && now.pending.is_some()
            }
            _ => false,
        };
        let count = {
            let mut refusals = self.refusals.lock();
            if !unexplained {
                refusals.remove(&id);
                return Ok(());
            }
            let count = refusals.entry(id).or_default();
            *count += 1;
            *count
        };
        if count < REFUSALS {
            return Ok(());
        }
        self.refusals.lock().remove(&id);
        let (needs, message) = match self.like_named(id) {
            Some(other) => {
                let other = String::from_utf8_lossy(other.as_bytes()).into_owned();
                let message = format!(
                    "the server takes its name for that of {other}, which is there; rename one of them"
                );
                (Needs::Name, message)
            }
            None => (Needs::Retry, format!("the server refuses it, and shows no reason: {error}")),
        };
        self.store.write(|tx| {
            note_problem(tx, id, needs, message);
            Ok(())
        })
    }

    /// What is in the way on a server for which names that differ only in case are one.
    fn like_named(&self, id: ItemId) -> Option<Name> {
        if self.can().case_sensitive {
            return None;
        }
        let tree = self.store.read();
        let (parent, name) = tree.place(tree.item(id)?, Side::Local)?;
        let folded = |name: &Name| String::from_utf8_lossy(name.as_bytes()).to_lowercase();
        let wanted = folded(&name);
        let there = tree.server_children(parent);
        let other = there.into_iter().find(|(n, child)| *child != id && folded(n) == wanted);
        other.map(|(name, _)| name)
    }

    /// What the server had was replaced at the very moment it changed, and lies under a temporary name:
    /// it goes to the stash. What stands at the path now may be ours or somebody's third one: as after
    /// an answer that was lost, a look tells.
    async fn keep_displaced(&self, id: ItemId, name: &Name) -> Result<(), End> {
        let beside = {
            let tree = self.store.read();
            let place = tree.item(id).and_then(|item| tree.place(item, Side::Server));
            place.and_then(|(folder, _)| Some((folder, tree.path(folder, Side::Server)?.join(name))))
        };
        if let Some((folder, path)) = beside {
            match self.remote.stat(&path).await {
                Ok(meta) => self.clear_known(folder, &path, &meta).await?,
                Err(error @ RemoteError::Gone { .. }) => return Err(End::Lost(error)),
                Err(error) => tracing::warn!(item = id.0, %error, "a displaced version is not found"),
            }
        }
        self.recover_one(id).await?;
        self.store.write(|tx| {
            tx.happened(
                id,
                "it changed on the server at the moment it was replaced; that version is in the stash",
            );
            Ok::<_, StoreError>(())
        })?;
        self.look_again(id);
        self.look_at_hints().await?;
        Ok(())
    }
}
