//! Looking: when the server is looked at, and what is done with what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::FutureExt;

use crate::model::{ItemId, LocPath, Needs, ProblemId, Side};
use crate::remote::{Hint, RemoteError};
use crate::store::persist::StoreError;
use crate::store::rows::Problem;
use crate::sync::replay::note_problem;
use crate::sync::schedule::{PATIENCE, QUIET};
use crate::sync::worker::{End, HeldBack, Worker};

use super::apply::Applied;
use super::brake::Braked;
use super::walk::is_listed;
use super::{Scope, observe};

/// Between two looks at the whole location: where hints come, and where none do.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(60));
/// So often the server is listed again at once because of what moved meanwhile.
const LOOKS: usize = 8;
/// Hints are gathered for so long.
const GATHER_HINTS: Duration = Duration::from_millis(200);

/// What came of hints.
enum Hinted {
    Noted,
    /// Something went: a removal of many things is to be seen as one.
    Missing,
}

/// What a look came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    All,
    /// Something was on its way each time: another look is owed.
    Partly,
}

impl Worker {
    pub(in crate::sync) async fn observe_loop(self: &Arc<Self>) -> End {
        let root = LocPath::root();
        let watch = self.remote.watch(&root).await;
        let mut every = if watch.is_some() { LOOK_EVERY.0 } else { LOOK_EVERY.1 };
        // Where no hints come, none ever do: it is not closed as long as `_silence` is there.
        let (_silence, silent) = async_channel::bounded(1);
        let mut hints = watch.unwrap_or_else(|| silent.clone());
        let mut look_at = Duration::ZERO;
        // Something was missing in a hinted folder: since when, and when all is looked at for it.
        let mut missing: Option<(Duration, Duration)> = None;
        let mut looking = Duration::ZERO;
        loop {
            let woken = self.wake.listen();
            if self.is_stopping() {
                return End::Asked;
            }
            let now = self.world.elapsed();
            let at = missing.map_or(look_at, |(_, at)| at.min(look_at));
            if at <= now || self.rounds.asked.load(SeqCst) > self.rounds.begun.load(SeqCst) {
                missing = None;
                let pause = match self.look_everywhere().await {
                    Ok(Looked::All) => every,
                    Ok(Looked::Partly) => GATHER_HINTS,
                    Err(end) => return end,
                };
                look_at = self.world.elapsed() + pause;
                continue;
            }
            if !self.hints.lock().is_empty() {
                // What is changed here comes back as hints: looking takes a fifth of the time at the most.
                if !self.gathered(GATHER_HINTS.max(looking * 4)).await {
                    continue;
                }
                let began = self.world.elapsed();
                let followed = self.follow_hints().await;
                let now = self.world.elapsed();
                looking = now - began;
                match followed {
                    Ok(Hinted::Noted) => {}
                    Ok(Hinted::Missing) => {
                        let first = missing.map_or(now, |(first, _)| first);
                        missing = Some((first, (now + QUIET).min(first + PATIENCE)));
                    }
                    Err(end) => return end,
                }
                continue;
            }
            futures::select_biased! {
                () = woken.fuse() => {}
                hint = hints.recv().fuse() => match hint {
                    Ok(hint) => self.hints.lock().push(hint),
                    // No more hints: look from time to time.
                    Err(_) => {
                        hints = silent.clone();
                        every = LOOK_EVERY.1;
                        look_at = look_at.min(now + every);
                    }
                },
                () = self.world.sleep(at - now).fuse() => {}
            }
        }
    }

    /// Waits for more hints; false where a round is asked for meanwhile, which sees to all of them.
    async fn gathered(&self, pause: Duration) -> bool {
        let until = self.world.elapsed() + pause;
        loop {
            let woken = self.wake.listen();
            if self.is_stopping() || self.rounds.asked.load(SeqCst) > self.rounds.begun.load(SeqCst) {
                return false;
            }
            let left = until.saturating_sub(self.world.elapsed());
            if left.is_zero() {
                return true;
            }
            futures::select_biased! {
                () = woken.fuse() => {}
                () = self.world.sleep(left).fuse() => {}
            }
        }
    }

    async fn look_everywhere(&self) -> Result<Looked, End> {
        let round = self.rounds.asked.load(SeqCst);
        self.rounds.begun.store(round, SeqCst);
        self.hints.lock().clear();
        let looked = self.look(&Scope::Everything).await?;
        self.tidy_up().await?;
        self.store.write(|tx| {
            let now = tx.now();
            tx.edit_location(self.location, |l| l.last_sync = Some(now));
            Ok::<_, StoreError>(())
        })?;
        self.want_all_pinned();
        if looked == Looked::All {
            self.rounds.done.store(round, SeqCst);
            self.looks.fetch_add(1, SeqCst);
        }
        // The log may have been found idle before what was just learnt.
        self.kick();
        self.progress.notify(usize::MAX);
        Ok(looked)
    }

    /// Notes what came and what changed in the hinted folders at once.
    async fn follow_hints(&self) -> Result<Hinted, End> {
        let Some(scope) = self.hinted() else { return Ok(Hinted::Noted) };
        if scope == Scope::Everything {
            self.look(&scope).await?;
            return Ok(Hinted::Noted);
        }
        let applied = self.look_once(&scope).await?;
        if applied.again {
            self.owe_look();
        }
        if !applied.stale.is_empty() {
            self.landed().await;
            self.look(&Scope::Below(applied.stale)).await?;
        }
        self.want_all_pinned();
        Ok(if applied.ask_all { Hinted::Missing } else { Hinted::Noted })
    }

    /// Because of a refusal: what the hinted folders do not tell, a look at everything does.
    pub(in crate::sync) async fn look_at_hints(&self) -> Result<Looked, End> {
        let Some(scope) = self.hinted() else { return Ok(Looked::All) };
        let looked = self.look(&scope).await?;
        self.want_all_pinned();
        Ok(looked)
    }

    /// Where the hints that came lead; they are taken.
    fn hinted(&self) -> Option<Scope> {
        let hints = std::mem::take(&mut *self.hints.lock());
        if hints.contains(&Hint::Everything) {
            return Some(Scope::Everything);
        }
        let folders = self.folders_of(&hints);
        (!folders.is_empty()).then_some(Scope::Folders(folders))
    }

    /// The hinted folders whose names are known here, or are to be.
    fn folders_of(&self, hints: &[Hint]) -> BTreeSet<ItemId> {
        let tree = self.store.read();
        let is_known = |folder: &ItemId| {
            tree.item(*folder).is_some_and(|item| is_listed(&tree, item))
                || tree.is_pinned(*folder)
                || !tree.server_children(*folder).is_empty()
        };
        let folder = |hint: &Hint| match hint {
            Hint::Folder(path) => tree.resolve(self.location, path, Side::Server),
            Hint::Everything => None,
        };
        hints.iter().filter_map(folder).filter(is_known).collect()
    }

    /// Observes and applies; again where what was found did not count, because our own replay moved
    /// folders under the walk, or where only a look at everything can tell.
    pub(in crate::sync) async fn look(&self, scope: &Scope) -> Result<Looked, End> {
        let mut scope = scope.clone();
        for _ in 0..LOOKS {
            let applied = self.look_once(&scope).await?;
            if applied.ask_all || applied.again {
                scope = Scope::Everything;
            } else if applied.stale.is_empty() {
                return Ok(Looked::All);
            } else {
                scope = Scope::Below(applied.stale);
            }
            // What is on its way stands at neither place until its answer is known.
            self.landed().await;
        }
        self.owe_look();
        Ok(Looked::Partly)
    }

    /// For a program that waits for the names in a folder: what only a look at everything tells comes
    /// later.
    pub(in crate::sync) async fn look_promptly(&self, folder: ItemId) -> Result<(), End> {
        let mut scope = Scope::Folders(BTreeSet::from([folder]));
        for _ in 0..LOOKS {
            let applied = self.look_once(&scope).await?;
            if applied.ask_all || applied.again {
                self.owe_look();
            }
            if applied.stale.is_empty() {
                return Ok(());
            }
            scope = Scope::Below(applied.stale);
            self.landed().await;
        }
        self.owe_look();
        Ok(())
    }

    fn owe_look(&self) {
        self.hints.lock().push(Hint::Everything);
        self.wake.notify(usize::MAX);
    }

    /// The server is listed while others list and apply: only noting what was found is one at a time.
    async fn look_once(&self, scope: &Scope) -> Result<Applied, End> {
        let everything = *scope == Scope::Everything;
        let _one_walk_at_a_time = match everything {
            true => Some(self.observing.lock().await),
            false => None,
        };
        // Somebody waits for a few folders, for all of them nobody.
        let remote = if everything { &self.remote } else { &self.for_program };
        let mut found = observe(&self.store, remote, self.location, scope).await?;
        let _one_at_a_time = self.applying.lock().await;
        self.note_unreadable(&found.refused, &found.unreadable)?;
        // Only a look at everything can take the brake off, or carry out what was consented to.
        // Consent is for what is seen now: unused, it must not let a later removal through.
        let consented = everything && self.confirmed.swap(false, SeqCst);
        if everything {
            let braked = found.braked(&self.store).filter(|_| !consented);
            let is_braked = braked.is_some();
            self.note_brake(braked)?;
            if is_braked {
                return Ok(Applied::default());
            }
            self.held_back.lock().retain(|_, why| *why != HeldBack::Brake);
        }
        let fresh = std::mem::take(&mut found.unreadable_fresh);
        let mut applied = found.apply(&self.store, &self.can())?;
        self.note_unreadable(&[], &self.now_known(fresh))?;
        self.follow_up(std::mem::take(&mut applied.left));
        self.kick();
        Ok(applied)
    }

    pub(in crate::sync) fn is_braked(&self) -> bool {
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

    /// Folders that were new when they were walked.
    fn now_known(&self, paths: Vec<(LocPath, RemoteError)>) -> Vec<(ItemId, RemoteError)> {
        let tree = self.store.read();
        let known = |path: &LocPath| tree.resolve(self.location, path, Side::Server);
        paths.into_iter().filter_map(|(path, error)| Some((known(&path)?, error))).collect()
    }

    fn note_unreadable(
        &self,
        refused: &[(ItemId, Vec<u8>, String)],
        unreadable: &[(ItemId, RemoteError)],
    ) -> Result<(), StoreError> {
        let mut texts: BTreeMap<ItemId, String> = BTreeMap::new();
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
                    note_problem(tx, id, Needs::Retry, text);
                }
            }
            Ok(())
        })
    }
}
