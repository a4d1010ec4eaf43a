//! What became of records whose answer was lost: a look at the server tells.
//!
//! An intent stays until somebody has looked. Where the server has what the intent was to bring
//! about, it was carried out; where it still has what the record was based on, it was not, and the
//! record is sent again; anything else is somebody's change, and reconciled like one.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Digest, ItemId, Kind, LocPath, Meta, Name, Side, State, Time, Version};
use crate::remote::{Listed, Remote, RemoteError};
use crate::store::content::Content;
use crate::store::persist::StoreError;
use crate::store::rows::{Aspects, Intent};

use super::replay;
use super::worker::{End, Worker};

/// Bytes read at once to compare contents.
const CHUNK: usize = 4 << 20;

/// A call that was given up is carried out within this, or never.
const LATE_CALLS: Duration = Duration::from_secs(60);

enum Fate {
    Done(Option<Meta>),
    /// Not carried out, or overtaken: the intent goes, the record stays.
    NotDone,
}

impl Worker {
    /// Finds out about every intent whose answer is not known.
    pub(super) async fn recover(&self) -> Result<(), End> {
        let mut open: Vec<(ItemId, Intent)> = {
            let tree = self.store.read();
            let Some(live) = tree.location(self.location) else {
                return Ok(());
            };
            let sending = |id: &ItemId| Some((*id, tree.item(*id)?.sending.as_deref()?.clone()));
            live.attention.iter().filter_map(sending).collect()
        };
        // In the root also lie what the attempts to find out what the server can do have left.
        self.clear_leftovers(&LocPath::default(), true).await?;
        let mut folders = std::collections::BTreeSet::new();
        // Folders before what lies in them, so that paths can be followed.
        open.sort_by_key(|(id, _)| self.target(*id).map(|p| p.as_bytes().len()));
        for (id, intent) in open {
            let fate = self.fate_of(id, &intent).await?;
            // As long as the intent stands, what it may have left is looked for again.
            if let Some(((folder, _), path)) = self.target_place(id)
                && let Some((above, _)) = path.split_last()
                && folders.insert(folder)
            {
                self.clear_leftovers(&above, true).await?;
            }
            self.carry_out(id, fate)?;
        }
        let until = self.world.elapsed() + LATE_CALLS;
        self.untidy.lock().extend(folders.into_iter().map(|folder| (folder, until)));
        Ok(())
    }

    /// As [`Worker::recover`], for one intent whose answer says too little.
    pub(super) async fn recover_one(&self, id: ItemId) -> Result<(), End> {
        let intent = self.store.read().item(id).and_then(|i| i.sending.clone());
        let Some(intent) = intent else { return Ok(()) };
        let fate = self.fate_of(id, &intent).await?;
        self.carry_out(id, fate)?;
        Ok(())
    }

    async fn fate_of(&self, id: ItemId, intent: &Intent) -> Result<Fate, End> {
        match self.look_for(id, intent).await {
            Ok(fate) => Ok(fate),
            Err(error @ RemoteError::Gone { .. }) => Err(End::Lost(error)),
            Err(error) => {
                tracing::warn!(item = id.0, %error, "cannot tell what became of a change");
                Ok(Fate::NotDone)
            }
        }
    }

    fn carry_out(&self, id: ItemId, fate: Fate) -> Result<(), StoreError> {
        let can = self.can();
        self.store.write_in_reserve(|tx| {
            match fate {
                Fate::Done(meta) => replay::succeeded(tx, id, meta, &can),
                Fate::NotDone => {
                    tx.edit_item(id, |item| item.sending = None);
                    tx.relog(id);
                }
            }
            Ok(())
        })
    }

    /// Looks once more where a call that was given up may have been carried out late.
    pub(super) async fn tidy_up(&self) -> Result<(), End> {
        let now = self.world.elapsed();
        let due: Vec<ItemId> = {
            let untidy = self.untidy.lock();
            untidy.iter().filter(|(_, until)| **until <= now).map(|(folder, _)| *folder).collect()
        };
        for folder in due {
            // Where it is by now; what lay in one that is gone went with it.
            let path = self.store.read().path(folder, Side::Server);
            let is_clear = match path {
                Some(path) => self.clear_leftovers(&path, false).await?,
                None => true,
            };
            if is_clear {
                self.untidy.lock().remove(&folder);
            }
        }
        Ok(())
    }

    /// Where the server has it after the intent, else before.
    fn target(&self, id: ItemId) -> Option<LocPath> {
        self.target_place(id).map(|(_, path)| path)
    }

    fn target_place(&self, id: ItemId) -> Option<((ItemId, Name), LocPath)> {
        let tree = self.store.read();
        let item = tree.item(id)?;
        let place = item
            .sending
            .as_ref()
            .and_then(|i| i.result.as_deref())
            .and_then(|s| Some((s.parent?, s.name.clone())))
            .or_else(|| tree.place(item, Side::Server))?;
        let path = tree.path(place.0, Side::Server)?.join(&place.1);
        Some((place, path))
    }

    async fn look_for(&self, id: ItemId, intent: &Intent) -> Result<Fate, RemoteError> {
        let base: Option<State> = self.store.read().item(id).and_then(|i| i.base.as_deref().cloned());
        let Some(target) = self.target(id) else {
            return Ok(Fate::NotDone);
        };
        let there = match self.remote.stat(&target).await {
            Ok(meta) => Some(meta),
            Err(RemoteError::NotFound) => None,
            Err(error) => return Err(error),
        };
        let Some(result) = intent.result.as_deref() else {
            return Ok(if there.is_none() { Fate::Done(None) } else { Fate::NotDone });
        };
        let Some(meta) = there else {
            return Ok(Fate::NotDone);
        };
        if meta.kind != result.meta.kind {
            return Ok(Fate::NotDone);
        }
        let can = self.can();
        if intent.aspects.contains(Aspects::PLACE) {
            let same = base.as_ref().is_some_and(|base| match (base.meta.file_id, meta.file_id) {
                (Some(a), Some(b)) => a == b,
                _ => {
                    base.meta.size == meta.size
                        && (meta.kind == Kind::Folder || base.meta.mtime == meta.mtime)
                }
            });
            let is_known = base.as_ref().is_some_and(|b| b.meta.file_id.is_some()) && meta.file_id.is_some();
            // Without numbers, something like it may have been made there by somebody else.
            let done = same && (is_known || self.has_left(intent, &target).await?);
            if !done {
                return Ok(Fate::NotDone);
            }
            // Whoever wrote into it since left a version that nobody here has seen: `base` keeps the mark
            // of the one it has, so that no guard lets the other one be replaced.
            let written = base.filter(|b| {
                meta.kind != Kind::Folder && (b.meta.size != meta.size || b.meta.mtime != meta.mtime)
            });
            return Ok(Fate::Done(Some(written.map_or(meta, |b| b.meta))));
        }
        if !intent.aspects.intersects(Aspects::CONTENT | Aspects::CREATE) {
            let sent = |aspect| intent.aspects.contains(aspect);
            let times = sent(Aspects::TIMES) && can.set_times && meta.kind == Kind::File;
            // Whoever changed the bytes meanwhile left another time: that is an edit, and not ours.
            let is_ours = |at: Time| {
                let step = i128::try_from(can.time_step.as_nanos()).unwrap_or(1).max(1);
                times && (i128::from(at.0) - i128::from(result.meta.mtime.0)).abs() < step
            };
            // Each respect that was sent must be there: what is taken for set and is not would be taken
            // back here as the server's.
            let set = (!sent(Aspects::MODE) || !can.modes || meta.mode == result.meta.mode)
                && (!sent(Aspects::XATTRS) || !can.xattrs || meta.xattrs == result.meta.xattrs)
                && (!times || is_ours(meta.mtime));
            let untouched = meta.kind == Kind::Folder
                || base.is_some_and(|b| {
                    b.meta.size == meta.size
                        && b.meta.file_id == meta.file_id
                        && (b.meta.mtime == meta.mtime || is_ours(meta.mtime))
                });
            return Ok(if set && untouched { Fate::Done(Some(meta)) } else { Fate::NotDone });
        }
        match meta.kind {
            Kind::Folder => Ok(Fate::Done(Some(meta))),
            Kind::Symlink if meta.link_target == result.meta.link_target => Ok(Fate::Done(Some(meta))),
            Kind::File if meta.size == result.meta.size => {
                if base.as_ref().is_some_and(|b| b.meta.version == meta.version) {
                    return Ok(Fate::NotDone);
                }
                let ours = intent.digest.unwrap_or_else(|| Digest::of(b""));
                let theirs = digest_of(&self.remote, &target, &meta.version, meta.size).await?;
                Ok(if ours == theirs { Fate::Done(Some(meta)) } else { Fate::NotDone })
            }
            _ => Ok(Fate::NotDone),
        }
    }

    /// Whether a move left nothing behind.
    async fn has_left(&self, intent: &Intent, to: &LocPath) -> Result<bool, RemoteError> {
        let from = {
            let tree = self.store.read();
            let from = intent.from.as_ref();
            from.and_then(|(parent, name)| Some(tree.path(*parent, Side::Server)?.join(name)))
        };
        let Some(from) = from else { return Ok(false) };
        let folded = |path: &LocPath| String::from_utf8_lossy(path.as_bytes()).to_lowercase();
        if !self.can().case_sensitive && folded(&from) == folded(to) {
            return Ok(true);
        }
        match self.remote.stat(&from).await {
            Ok(_) => Ok(false),
            Err(RemoteError::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes our temporary names from a folder. One that holds bytes which are nowhere else goes to the
    /// stash first. False where one is to be looked at again, or where uploads are under way there, whose
    /// names look the same; `alone` says that there are none.
    pub(super) async fn clear_leftovers(&self, folder: &LocPath, alone: bool) -> Result<bool, End> {
        let leftovers = match self.remote.leftovers(folder).await {
            Ok(leftovers) => leftovers,
            Err(error @ RemoteError::Gone { .. }) => return Err(End::Lost(error)),
            // It is somewhere else, or about to be known as gone.
            Err(RemoteError::NotFound) => return Ok(false),
            Err(_) => return Ok(true),
        };
        // Looked at after the listing: what was begun later is not in it.
        if !alone && self.is_sending_in(folder) {
            return Ok(false);
        }
        let mut clear = true;
        for Listed { name, meta } in leftovers {
            // A step aside in a circle of moves is no leftover.
            if self.is_in_use(folder, &name) {
                continue;
            }
            clear &= self.clear_leftover(&folder.join(&name), &meta).await?;
        }
        Ok(clear)
    }

    /// False where it changed since it was looked at, or could not be kept: it stays for the next time.
    async fn clear_leftover(&self, path: &LocPath, meta: &Meta) -> Result<bool, End> {
        let kept = meta.kind != Kind::File || self.is_known_or_stashed(path, meta).await?;
        if !kept {
            return Ok(false);
        }
        match self.remote.remove_file(path, &meta.version).await {
            Err(error @ RemoteError::Gone { .. }) => return Err(End::Lost(error)),
            Err(RemoteError::Changed { .. } | RemoteError::NotFound) => return Ok(false),
            Err(error) => tracing::warn!(path = %path, %error, "a temporary name stays on the server"),
            Ok(()) => {}
        }
        Ok(true)
    }

    /// Clears one away that is known by name; where that does not come off, the next look sees to it.
    pub(super) async fn clear_known(&self, folder: ItemId, path: &LocPath, meta: &Meta) -> Result<(), End> {
        if !self.clear_leftover(path, meta).await? {
            self.untidy.lock().entry(folder).or_insert(self.world.elapsed());
        }
        Ok(())
    }

    fn is_sending_in(&self, folder: &LocPath) -> bool {
        let sending: Vec<ItemId> = {
            let tree = self.store.read();
            let open = tree.location(self.location).map(|live| &live.attention);
            let sends = |id: &ItemId| tree.item(*id).is_some_and(|i| i.sending.is_some());
            open.into_iter().flatten().copied().filter(sends).collect()
        };
        let into = |id: ItemId| self.target(id).and_then(|path| path.split_last());
        sending.into_iter().any(|id| into(id).is_some_and(|(at, _)| at == *folder))
    }

    fn is_in_use(&self, folder: &LocPath, name: &Name) -> bool {
        let tree = self.store.read();
        let Some(folder) = tree.resolve(self.location, folder, Side::Server) else {
            return false;
        };
        // A step aside whose answer was lost may have been carried out, or may be yet.
        let open = tree.location(self.location).map(|live| &live.attention);
        let mut sending =
            open.into_iter().flatten().filter_map(|id| tree.item(*id)?.sending.as_ref()?.result.as_deref());
        tree.server_child(folder, name.as_bytes()).is_some()
            || sending.any(|to| to.parent == Some(folder) && to.name == *name)
    }

    async fn is_known_or_stashed(&self, path: &LocPath, meta: &Meta) -> Result<bool, End> {
        let digest = match digest_of(&self.remote, path, &meta.version, meta.size).await {
            Ok(digest) => digest,
            Err(error @ RemoteError::Gone { .. }) => return Err(End::Lost(error)),
            Err(_) => return Ok(false),
        };
        // What nobody refers to is only still there.
        let known = {
            let tree = self.store.read();
            let alike = |c: &Arc<Content>| c.is_whole() && c.digest() == Some(digest);
            self.store.contents().all().iter().any(|c| alike(c) && tree.is_referred(c.id()))
        };
        if known {
            return Ok(true);
        }
        match self.stash_from_server(path, meta, "it was replaced at the moment it changed").await {
            Ok(_) => Ok(true),
            Err(RemoteError::Gone { reason, message }) => {
                Err(End::Lost(RemoteError::Gone { reason, message }))
            }
            Err(_) => Ok(false),
        }
    }
}

/// BLAKE3 of what the server has.
pub(super) async fn digest_of(
    remote: &Arc<dyn Remote>,
    path: &LocPath,
    version: &Version,
    size: u64,
) -> Result<Digest, RemoteError> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < size {
        let len = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
        let bytes = remote.read(path, version, offset, len).await?;
        if bytes.is_empty() {
            return Err(RemoteError::Changed { now: None });
        }
        hasher.update(&bytes);
        offset += bytes.len() as u64;
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}
