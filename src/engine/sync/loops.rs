//! What a location does while its link is up: replay, observe, settle; each a loop of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::model::{ItemId, Meta, Needs, ProblemId, Side};
use crate::remote::{Hint, RemoteError};
use crate::store::content::ContentError;
use crate::store::persist::StoreError;
use crate::store::rows::{Aspects, Item, Problem, ServerSide};
use crate::world::blocking;

use super::observe::{Applied, Braked, Scope, observe, settle_all};
use super::replay::{self, After, Handed, aside_name, hand_over, plan, prepare};
use super::schedule::Step;
use super::worker::{End, Worker};
use crate::reconcile::{Settled, settle};

/// Records with the remote at once.
const SENDS: usize = 64;
/// So many refusals that no look explains are a problem.
const REFUSALS: u32 = 3;
/// Between two looks at the whole location: where hints come, and where none do.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(60));
/// Changes made here are gathered for so long before the log is looked through.
const GATHER_CHANGES: Duration = Duration::from_millis(20);
/// So often the server is listed again at once because of what moved meanwhile.
const LOOKS: usize = 4;
/// Hints are gathered for so long.
const GATHER_HINTS: Duration = Duration::from_millis(200);

/// What was handed over now, and what is to come.
#[derive(Default)]
struct Turn {
    handed: Vec<Handed>,
    /// `World::elapsed` at which the next record has settled.
    next: Option<Duration>,
    /// Records wait for bytes that are on their way.
    fetching: bool,
}

impl Worker {
    // --- replay -------------------------------------------------------------------------------

    pub(super) async fn replay_loop(self: &Arc<Self>) -> End {
        let mut sends = FuturesUnordered::new();
        let mut settled_at = 0;
        // Something could not be settled yet: what it waits for may leave no record (a close).
        let mut held = false;
        loop {
            let changed = self.store.changed.listen();
            let woken = self.wake.listen();
            let mut next = None;
            let mut fetching = false;
            if !self.is_stopping() {
                let seq = self.store.seq();
                if seq != settled_at || held {
                    match self.settle_open() {
                        Ok(later) => held = later,
                        Err(error) => return End::Store(error),
                    }
                    settled_at = self.store.seq();
                }
                if sends.len() <= SENDS / 2 {
                    match self.hand_over_ready(SENDS - sends.len(), sends.is_empty()).await {
                        Ok(turn) => {
                            next = turn.next;
                            fetching = turn.fetching;
                            for handed in turn.handed {
                                let worker = self.clone();
                                sends.push(async move {
                                    let result = replay::send(&worker.remote, &handed).await;
                                    (handed, result)
                                });
                            }
                        }
                        Err(error) => return End::Store(error),
                    }
                }
                if sends.is_empty() && !fetching {
                    self.idle_at.store(seq.max(settled_at), SeqCst);
                    self.progress.notify(usize::MAX);
                }
            } else if sends.is_empty() {
                return End::Asked;
            }
            let pause = next.map_or(Duration::from_secs(3600), |at: Duration| {
                at.saturating_sub(self.world.elapsed()).max(Duration::from_millis(1))
            });
            futures::select_biased! {
                done = sends.select_next_some() => {
                    if let Some(end) = self.answered(done).await {
                        return end;
                    }
                }
                () = changed.fuse() => {
                    // A program that does much at once is not looked at for each thing it does.
                    if sends.is_empty() && !self.cut_short.load(SeqCst) {
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
        let cut_short = self.cut_short.load(SeqCst);
        let mut plan = plan(&self.store, self.location, self.world.elapsed(), cut_short, most);
        let mut turn = Turn { next: plan.next, ..Turn::default() };
        for (id, content) in &plan.lacking {
            turn.fetching |= self.want_for(*id, *content)?;
        }
        // A folder on its way changes the paths of all that lies in it: it goes alone.
        if let Some(at) = plan.ready.iter().position(|(id, step)| self.moves_folder(*id, *step)) {
            if !alone {
                plan.ready.retain(|(id, step)| !self.moves_folder(*id, *step));
                plan.ready.clear();
            } else {
                plan.ready = vec![plan.ready[at]];
            }
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
        let refused = blocking(&self.world, move || prepare(&store, &ready))
            .await
            .unwrap_or_else(|| Err(StoreError::Damaged("work in the background was given up".into())))?;
        for (id, error) in refused {
            plan.ready.retain(|(ready, _)| *ready != id);
            if let ContentError::NotHere { content, .. } = error {
                turn.fetching |= self.want_for(id, content)?;
                continue;
            }
            self.store.write(|tx| {
                replay::note_problem(tx, id, Needs::Retry, format!("it cannot be sent: {error}"));
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
            && tree
                .item(id)
                .and_then(|i| i.base.as_deref())
                .is_some_and(|b| b.meta.kind == crate::model::Kind::Folder)
    }

    async fn answered(&self, (handed, result): (Handed, Result<Option<Meta>, RemoteError>)) -> Option<End> {
        let id = handed.item;
        let can = self.can();
        let after = match result {
            Ok(meta) => {
                self.refusals.lock().remove(&id);
                let done = self.store.write(|tx| {
                    replay::succeeded(tx, id, meta, &can);
                    Ok::<_, StoreError>(())
                });
                self.progress.notify(usize::MAX);
                return done.err().map(End::Store);
            }
            Err(error) => {
                let after =
                    self.store.write(|tx| Ok::<_, StoreError>(replay::failed(tx, id, handed.step, &error)));
                match after {
                    Ok(After::Offline) => return Some(End::Lost(error)),
                    Ok(after) => (after, error),
                    Err(error) => return Some(End::Store(error)),
                }
            }
        };
        match after {
            (After::Look, error) => {
                let before = self.store.read().item(id).cloned();
                self.look_again(id);
                // Until somebody has looked, it would only be refused again.
                if let Err(end) = self.look_at_hints().await {
                    return Some(end);
                }
                self.refused_again(id, before, &error).err().map(End::Store)
            }
            (After::Keep(name), _) => self.keep_displaced(id, &name).await.err(),
            _ => None,
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
            replay::note_problem(tx, id, needs, message);
            Ok(())
        })
    }

    /// What is in the way on a server for which names that differ only in case are one.
    fn like_named(&self, id: ItemId) -> Option<crate::model::Name> {
        if self.can().case_sensitive {
            return None;
        }
        let tree = self.store.read();
        let (parent, name) = tree.place(tree.item(id)?, Side::Local)?;
        let folded = |name: &crate::model::Name| String::from_utf8_lossy(name.as_bytes()).to_lowercase();
        let wanted = folded(&name);
        let there = tree.server_children(parent);
        let other = there.into_iter().find(|(n, child)| *child != id && folded(n) == wanted);
        other.map(|(name, _)| name)
    }

    /// What the server had was replaced at the very moment it changed, and lies under a temporary name:
    /// it goes to the stash. What stands at the path now may be ours or somebody's third one: as after
    /// an answer that was lost, a look tells.
    async fn keep_displaced(&self, id: ItemId, name: &crate::model::Name) -> Result<(), End> {
        let path = self.store.read().path(id, Side::Server);
        if let Some((folder, _)) = path.and_then(|path| path.split_last()) {
            let kept = folder.join(name);
            match self.remote.stat(&kept).await {
                Ok(meta) => self.clear_leftover(&kept, &meta).await?,
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
        self.look_at_hints().await
    }

    // --- settling -----------------------------------------------------------------------------

    /// Settles again what could not be before, and what was changed here under an open conflict.
    /// Whether something is left for later.
    fn settle_open(&self) -> Result<bool, StoreError> {
        let open: Vec<ItemId> = {
            let tree = self.store.read();
            let Some(live) = tree.location(self.location) else {
                return Ok(false);
            };
            let is_open = |id: &&ItemId| {
                tree.item(**id).is_some_and(|i| {
                    i.sending.is_none()
                        && (i.server != ServerSide::AsBase || i.conflict.is_some() || {
                            // New in a folder that the server removed, or moved into it.
                            i.entry.is_some()
                                && (i.base.is_none()
                                    || i.pending.is_some_and(|p| p.aspects.contains(Aspects::PLACE)))
                        })
                })
            };
            let mut open: Vec<ItemId> = live.attention.iter().filter(is_open).copied().collect();
            // What lies deepest goes first, so that emptied folders can follow.
            open.reverse();
            open
        };
        if open.is_empty() {
            return Ok(false);
        }
        let left = settle_all(&self.store, open)?;
        let later = left.iter().any(|(_, settled)| *settled == Settled::Later);
        self.follow_up(left);
        Ok(later)
    }

    fn follow_up(&self, left: Vec<(ItemId, Settled)>) {
        for (id, settled) in left {
            match settled {
                Settled::Compare | Settled::Conflict => {
                    if self.server_source(id).is_some() {
                        let _ = self.want_urgently(id);
                    } else if settled == Settled::Compare {
                        self.compared(id);
                    }
                }
                Settled::Done | Settled::Later => {}
            }
        }
    }

    /// The server's content is here: if it is one that is known, it takes that one's identity.
    pub(super) fn compared(&self, id: ItemId) {
        let contents = self.store.contents();
        let before = self.store.seq();
        let (theirs, candidates) = {
            let tree = self.store.read();
            let Some(item) = tree.item(id) else { return };
            let ServerSide::At(state) = &item.server else {
                return;
            };
            let Some(theirs) = state.content.and_then(|c| contents.get(c)) else {
                return;
            };
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let local = node.filter(|l| l.writers == 0).and_then(|l| l.row.content);
            let base = item.base.as_deref().and_then(|b| b.content);
            (theirs, [base, local])
        };
        if !theirs.is_whole() {
            return;
        }
        let digest = match theirs.seal() {
            Ok(digest) => digest,
            Err(error) => {
                tracing::error!(item = id.0, %error, "a fetched content cannot be read");
                return;
            }
        };
        let same = candidates.into_iter().flatten().filter_map(|c| contents.get(c)).find(|content| {
            content.id() != theirs.id()
                && content.is_whole()
                && content.size() == theirs.size()
                && content.seal().is_ok_and(|d| d == digest)
        });
        let settled = self.store.write(|tx| {
            // It may have been let go of since.
            if let Some(same) = same.filter(|same| tx.tree().is_referred(same.id())) {
                tx.touch_content(same.id());
                tx.edit_item(id, |item| {
                    if let ServerSide::At(state) = &mut item.server
                        && state.content == Some(theirs.id())
                    {
                        state.content = Some(same.id());
                    }
                });
            }
            Ok::<_, StoreError>(settle(tx, id))
        });
        match settled {
            Ok(settled) => {
                if settled == Settled::Compare {
                    tracing::warn!(item = id.0, "a comparison did not tell");
                }
            }
            Err(error) => tracing::error!(%error, "a comparison cannot be recorded"),
        }
        if self.store.seq() != before {
            self.kick();
        }
    }

    // --- observation --------------------------------------------------------------------------

    pub(super) async fn observe_loop(self: &Arc<Self>) -> End {
        let root = crate::model::LocPath::root();
        let hints = self.remote.watch(&root).await;
        let watches = hints.is_some();
        let every = if watches { LOOK_EVERY.0 } else { LOOK_EVERY.1 };
        let mut hints = hints.unwrap_or_else(|| async_channel::bounded(1).1);
        let mut due = true;
        loop {
            let woken = self.wake.listen();
            if self.is_stopping() {
                return End::Asked;
            }
            if due || self.rounds.asked.load(SeqCst) > self.rounds.begun.load(SeqCst) {
                due = false;
                if let Err(end) = self.look_everywhere().await {
                    return end;
                }
                continue;
            }
            if !self.hints.lock().is_empty() {
                self.world.sleep(GATHER_HINTS).await;
                if let Err(end) = self.look_at_hints().await {
                    return end;
                }
                continue;
            }
            futures::select_biased! {
                () = woken.fuse() => {}
                hint = hints.recv().fuse() => match hint {
                    Ok(hint) => self.hints.lock().push(hint),
                    // No more hints: look from time to time.
                    Err(_) => {
                        hints = async_channel::bounded(1).1;
                        futures::select_biased! {
                            () = self.wake.listen().fuse() => {}
                            () = self.world.sleep(LOOK_EVERY.1).fuse() => due = true,
                        }
                    }
                },
                () = self.world.sleep(every).fuse() => due = true,
            }
        }
    }

    async fn look_everywhere(&self) -> Result<(), End> {
        let round = self.rounds.asked.load(SeqCst);
        self.rounds.begun.store(round, SeqCst);
        self.hints.lock().clear();
        self.look(&Scope::Everything).await?;
        self.tidy_up().await?;
        self.store.write(|tx| {
            let now = tx.now();
            tx.edit_location(self.location, |l| l.last_sync = Some(now));
            Ok::<_, StoreError>(())
        })?;
        self.want_all_pinned();
        self.rounds.done.store(round, SeqCst);
        // The log may have been found idle before what was just learnt.
        self.kick();
        self.progress.notify(usize::MAX);
        Ok(())
    }

    pub(super) async fn look_at_hints(&self) -> Result<(), End> {
        let hints = std::mem::take(&mut *self.hints.lock());
        if hints.contains(&Hint::Everything) {
            return self.look(&Scope::Everything).await;
        }
        let folders = self.folders_of(&hints);
        if folders.is_empty() {
            return Ok(());
        }
        self.look(&Scope::Folders(folders)).await?;
        self.want_all_pinned();
        Ok(())
    }

    /// The hinted folders whose names are known here, or are to be.
    fn folders_of(&self, hints: &[Hint]) -> BTreeSet<ItemId> {
        let tree = self.store.read();
        let is_known = |folder: &ItemId| {
            let node = tree.item(*folder).and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node));
            node.is_none_or(|live| live.row.listed) || tree.is_pinned(*folder)
        };
        let folder = |hint: &Hint| match hint {
            Hint::Folder(path) => tree.resolve(self.location, path, Side::Server),
            Hint::Everything => None,
        };
        hints.iter().filter_map(folder).filter(is_known).collect()
    }

    /// Observes and applies; again where what was found did not count, because our own replay moved
    /// folders under the walk, or where only a look at everything can tell.
    pub(super) async fn look(&self, scope: &Scope) -> Result<(), End> {
        let mut scope = scope.clone();
        for _ in 0..LOOKS {
            let applied = match scope {
                Scope::Everything => {
                    let _one_at_a_time = self.observing.lock().await;
                    self.look_once(&scope).await?
                }
                _ => self.look_once(&scope).await?,
            };
            if applied.again {
                self.hints.lock().push(Hint::Everything);
                self.wake.notify(usize::MAX);
            }
            if applied.ask_all {
                scope = Scope::Everything;
            } else if applied.stale.is_empty() {
                return Ok(());
            } else {
                scope = Scope::Below(applied.stale);
            }
        }
        self.hints.lock().push(Hint::Everything);
        self.wake.notify(usize::MAX);
        Ok(())
    }

    /// The server is listed while others list and apply: only noting what was found is one at a time.
    async fn look_once(&self, scope: &Scope) -> Result<Applied, End> {
        let mut found = observe(&self.store, &self.remote, self.location, scope).await?;
        let _one_at_a_time = self.applying.lock().await;
        self.note_unreadable(&found.refused, &found.unreadable)?;
        // Only a look at everything can take the brake off, or carry out what was consented to.
        let everything = *scope == Scope::Everything;
        // Consent is for what is seen now: unused, it must not let a later removal through.
        let consented = everything && self.confirmed.swap(false, SeqCst);
        match found.braked(&self.store) {
            Some(braked) if !consented => {
                self.note_brake(Some(braked))?;
                return Ok(Applied::default());
            }
            _ if everything => self.note_brake(None)?,
            _ if self.is_braked() => found.forget_missing(),
            _ => {}
        }
        let mut applied = found.apply(&self.store, &self.can())?;
        self.follow_up(std::mem::take(&mut applied.left));
        self.kick();
        Ok(applied)
    }

    fn is_braked(&self) -> bool {
        let tree = self.store.read();
        tree.location(self.location).is_some_and(|l| l.row.brake.is_some())
    }

    fn note_brake(&self, braked: Option<Braked>) -> Result<(), StoreError> {
        self.store.write(|tx| {
            let Some(live) = tx.tree().location(self.location) else {
                return Ok(());
            };
            let old = live.row.brake.clone();
            let new = match braked {
                None => None,
                Some(Braked { missing, of }) => {
                    let id = old.as_ref().map_or_else(|| ProblemId(tx.new_id()), |p| p.id);
                    let message = format!(
                        "the server no longer lists {missing} of {of} files and folders; nothing was deleted \
                         here. If they are meant to go, confirm"
                    );
                    Some(Problem { id, needs: Needs::Confirm, message })
                }
            };
            if old != new {
                tx.edit_location(self.location, |l| l.brake = new);
            }
            Ok(())
        })
    }

    fn note_unreadable(
        &self,
        refused: &[(ItemId, Vec<u8>, String)],
        unreadable: &[(ItemId, RemoteError)],
    ) -> Result<(), StoreError> {
        let mut texts: std::collections::BTreeMap<ItemId, String> = std::collections::BTreeMap::new();
        for (folder, name, sentence) in refused {
            let text = format!("{} in it is left out: {sentence}", String::from_utf8_lossy(name));
            texts.entry(*folder).or_insert(text);
        }
        for (folder, error) in unreadable {
            if *error != RemoteError::NotFound {
                texts.insert(*folder, format!("cannot be listed: {error}"));
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        self.store.write(|tx| {
            for (id, text) in texts {
                let known =
                    tx.tree().item(id).and_then(|i| i.problem.as_ref()).is_some_and(|p| p.message == text);
                if !known {
                    replay::note_problem(tx, id, Needs::Retry, text);
                }
            }
            Ok(())
        })
    }

    // --- waiting for the end ------------------------------------------------------------------

    /// Returns when that round is done and the log has nothing more to send.
    pub async fn finished(&self, round: u64) {
        loop {
            let progress = self.progress.listen();
            if self.rounds.done.load(SeqCst) >= round
                && self.idle_at.load(SeqCst) >= self.store.seq()
                && !self.is_comparing()
            {
                self.cut_short.store(false, SeqCst);
                return;
            }
            progress.await;
        }
    }

    fn is_comparing(&self) -> bool {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return false;
        };
        live.attention.iter().filter_map(|id| tree.item(*id)).any(|item| {
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let open = node.is_some_and(|l| l.writers > 0 || l.row.writing);
            item.conflict.is_none()
                && item.problem.is_none()
                && item.server != ServerSide::AsBase
                && !open
                && item.base.as_deref().is_none_or(|b| b.meta.kind == crate::model::Kind::File)
        })
    }

    /// Whether anything is left that only a person can move on.
    pub fn needs_person(&self) -> bool {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return false;
        };
        live.row.brake.is_some()
            || live
                .attention
                .iter()
                .filter_map(|id| tree.item(*id))
                .any(|i| i.conflict.is_some() || i.problem.is_some())
    }

    /// Waiting records: what would be sent if all files were closed now.
    pub fn waiting(&self) -> usize {
        let tree = self.store.read();
        let Some(live) = tree.location(self.location) else {
            return 0;
        };
        let waits = |id: &&ItemId| {
            tree.item(**id).is_some_and(|i| {
                i.sending.is_some() || i.pending.is_some_and(|p| p.aspects != Aspects::empty())
            })
        };
        live.attention.iter().filter(waits).count()
    }
}
