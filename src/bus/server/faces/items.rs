//! What waits, what differs, what was decided.
//!
//! Lists that may be long come in pages: items whose id is greater than `after`, in the order of
//! ids, at most `limit` (0: as many as the engine finds fit). An empty page is the end.

use holdfast_engine::model::{Choice, ConflictKind, HistoryId, ProblemId, Selection, Side, StashId};
use zbus::interface;
use zbus::zvariant::{Fd, OwnedFd};

use super::{Engine, Result, page, while_connected};
use crate::wire::{
    ChangeDict, ConflictDict, HistoryDict, ProblemDict, ResolveDict, StashDict, StatesDict, WhyDict, Wire,
    Word, choice_from_words, to_wire,
};

pub struct Changes(pub Engine);

#[interface(name = "app.holdfast.Engine1.Changes")]
impl Changes {
    /// What waits to be replayed under a path (empty: everywhere), in pages.
    /// Keys: id t, path ay, op s, from ay (of a move), at x, bytes t, state s, message s.
    async fn list(&self, under: Vec<u8>, after: u64, limit: u32) -> Result<Vec<ChangeDict>> {
        let under = self.0.optional_target(&under).await?;
        let changes = self.0.changes(under.as_ref()).await?;
        Ok(to_wire(&page(changes, |change| change.id, after, limit)))
    }
}

pub struct Problems(pub Engine);

#[interface(name = "app.holdfast.Engine1.Problems")]
impl Problems {
    /// What could not be done, and why, in pages. Keys: id t, path ay, message s, needs s.
    async fn list(&self, under: Vec<u8>, after: u64, limit: u32) -> Result<Vec<ProblemDict>> {
        let under = self.0.optional_target(&under).await?;
        let problems = self.0.problems(under.as_ref()).await?;
        Ok(to_wire(&page(problems, |problem| problem.id.0, after, limit)))
    }

    async fn retry(&self, id: u64) -> Result<()> {
        Ok(self.0.retry(ProblemId(id)).await?)
    }

    /// Consents to what was stopped.
    async fn confirm(&self, id: u64) -> Result<()> {
        Ok(self.0.confirm(ProblemId(id)).await?)
    }
}

pub struct States(pub Engine);

#[interface(name = "app.holdfast.Engine1.States")]
impl States {
    /// The three states of an item. Keys: path ay; original, local, server a{sv}, absent where it
    /// does not exist in that state. Each: type s (file, folder, symlink, special), size t, mode u,
    /// mtime x, version s, confidence s, path ay, here b, digest ay (BLAKE3), link_target ay.
    async fn get(&self, path: Vec<u8>) -> Result<StatesDict> {
        let target = self.0.target(&path).await?;
        Ok(self.0.states(&target).await?.to_wire())
    }

    /// A read-only descriptor of the content of one state: original, local or server.
    async fn open(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        path: Vec<u8>,
        state: &str,
    ) -> Result<Fd<'static>> {
        let target = self.0.target(&path).await?;
        let side = <Side as Word>::from_word(state)?;
        let content = while_connected(connection, self.0.open_state(&target, side)).await?;
        Ok(content.into())
    }

    /// What happened to an item, oldest first. Keys: at x, what s.
    async fn why(&self, path: Vec<u8>) -> Result<Vec<WhyDict>> {
        let target = self.0.target(&path).await?;
        Ok(to_wire(&self.0.why(&target).await?))
    }
}

pub struct Conflicts(pub Engine);

#[interface(name = "app.holdfast.Engine1.Conflicts")]
impl Conflicts {
    /// Open conflicts under a path (empty: everywhere), in pages.
    /// Keys: id t, kind s, since x, mergeable b, and those of States.Get.
    async fn list(&self, under: Vec<u8>, after: u64, limit: u32) -> Result<Vec<ConflictDict>> {
        let under = self.0.optional_target(&under).await?;
        let conflicts = self.0.conflicts(under.as_ref()).await?;
        Ok(to_wire(&page(conflicts, |conflict| conflict.id.0, after, limit)))
    }

    /// Takes in the bytes of a descriptor, for the choice `with`; answers the content's number.
    async fn add_content(&self, from: OwnedFd) -> Result<u64> {
        Ok(self.0.add_content(from.into()).await?.0)
    }

    /// Decides conflicts by their paths. Choices: keep local, keep server, keep original,
    /// keep newest, keep both, stash local, stash server, stash both, merge, later, and with
    /// (`content` is then what AddContent answered, else 0).
    /// Keys: path ay, kind s, choice s, done b, message s.
    async fn resolve(
        &self,
        paths: Vec<Vec<u8>>,
        choice: &str,
        content: u64,
        dry_run: bool,
    ) -> Result<Vec<ResolveDict>> {
        let mut targets = Vec::with_capacity(paths.len());
        for path in &paths {
            targets.push(self.0.target(path).await?);
        }
        self.decide(Selection::Paths(targets), choice, content, dry_run).await
    }

    /// Decides all conflicts under a folder whose path below it matches a glob (empty: any), of a
    /// kind (empty: any). Else as Resolve.
    async fn resolve_under(
        &self,
        folder: Vec<u8>,
        pattern: Vec<u8>,
        kind: &str,
        choice: &str,
        content: u64,
        dry_run: bool,
    ) -> Result<Vec<ResolveDict>> {
        let kind = match kind {
            "" => None,
            word => Some(<ConflictKind as Word>::from_word(word)?),
        };
        let selection = Selection::Under {
            folder: self.0.target(&folder).await?,
            pattern: (!pattern.is_empty()).then_some(pattern),
            kind,
        };
        self.decide(selection, choice, content, dry_run).await
    }
}

impl Conflicts {
    async fn decide(
        &self,
        selection: Selection,
        choice: &str,
        content: u64,
        dry_run: bool,
    ) -> Result<Vec<ResolveDict>> {
        let choice: Choice = choice_from_words(choice, content)?;
        Ok(to_wire(&self.0.resolve(&selection, &choice, dry_run).await?))
    }
}

pub struct Stash(pub Engine);

#[interface(name = "app.holdfast.Engine1.Stash")]
impl Stash {
    /// Versions that lost, in pages. Keys: id t, path ay, side s, size t, digest ay, at x, why s.
    async fn list(&self, under: Vec<u8>, after: u64, limit: u32) -> Result<Vec<StashDict>> {
        let under = self.0.optional_target(&under).await?;
        let stash = self.0.stash_list(under.as_ref()).await?;
        Ok(to_wire(&page(stash, |entry| entry.id.0, after, limit)))
    }

    /// A read-only descriptor of its content.
    async fn open(&self, id: u64) -> Result<Fd<'static>> {
        Ok(self.0.stash_open(StashId(id)).await?.into())
    }

    /// Puts it back as a local change, at its own path (`to` empty) or another; answers where.
    async fn restore(&self, id: u64, to: Vec<u8>) -> Result<Vec<u8>> {
        let to = self.0.optional_target(&to).await?;
        Ok(self.0.stash_restore(StashId(id), to.as_ref()).await?.to_bytes())
    }

    #[zbus(name = "Drop")]
    async fn drop_entry(&self, id: u64) -> Result<()> {
        Ok(self.0.stash_drop(StashId(id)).await?)
    }
}

pub struct History(pub Engine);

#[interface(name = "app.holdfast.Engine1.History")]
impl History {
    /// Resolutions and reconnections, newest first.
    /// Keys: id t, at x, what s, items t, undone b, can_undo b, kind s (decision, restored, reconnection),
    /// location s (absent where it concerns several), left_out t (items that stayed when it was taken back).
    async fn list(&self) -> Result<Vec<HistoryDict>> {
        Ok(to_wire(&self.0.history().await?))
    }

    /// Takes one back (0: the newest); answers it.
    async fn undo(&self, id: u64) -> Result<HistoryDict> {
        let id = (id > 0).then_some(HistoryId(id));
        Ok(self.0.undo(id).await?.to_wire())
    }
}
