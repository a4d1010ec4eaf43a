//! Open conflicts, their states, and decisions.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use globset::GlobBuilder;

use crate::conflict::{Inputs, decide, inputs_missing, note_decision, seal_local, snapshots};
use crate::fileops::{Caller, Need, OpError, Provider};
use crate::merge::text::{Limits, merge};
use crate::model::{
    Choice, Confidence, ConflictKind, ConflictReport, ContentId, HistoryKind, ItemId, Kind, NodeId,
    ResolveReport, Selection, Side, State, StateReport, StatesReport, Target,
};
use crate::store::content::{Content, ContentError};
use crate::store::rows::{Before, Item};
use crate::store::tree::Tree;
use crate::store::{Held, Tx};

use super::core::{Handle, is_under, target_of};
use super::status::is_kind;
use super::{Answer, Error};

/// Texts larger than this are not tried for a merge while conflicts are listed.
const QUICK_MERGE_BYTES: u64 = 1 << 20;

impl Handle {
    pub async fn conflicts(&self, under: Option<&Target>) -> Answer<Vec<ConflictReport>> {
        if let Some(under) = under {
            self.location_id(&under.location)?;
        }
        let (mut reports, texts) = {
            let tree = self.0.store.read();
            let mut reports = Vec::new();
            let mut texts = Vec::new();
            for live in tree.locations() {
                for item in live.attention.iter().filter_map(|id| tree.item(*id)) {
                    if item.conflict.is_some() && is_under(&tree, item.id, under) {
                        texts.push(self.three_texts(&tree, item));
                        reports.extend(self.conflict_report(&tree, item));
                    }
                }
            }
            (reports, texts)
        };
        for (report, texts) in reports.iter_mut().zip(texts) {
            let small = texts.as_ref().is_some_and(|t| t.iter().all(|c| c.size() <= QUICK_MERGE_BYTES));
            report.mergeable = small && texts.is_some_and(|t| clean_merge(&t).is_ok());
        }
        reports.sort_by_key(|r| r.id);
        Ok(reports)
    }

    fn conflict_report(&self, tree: &Tree, item: &Item) -> Option<ConflictReport> {
        let conflict = item.conflict.as_deref()?;
        let states = self.states_of(tree, item);
        Some(ConflictReport {
            id: conflict.id,
            kind: conflict.kind,
            since: conflict.since,
            mergeable: false,
            states,
        })
    }

    pub async fn states(&self, path: &Target) -> Answer<StatesReport> {
        let id = match self.find_conflict(path) {
            Ok((id, _)) => id,
            Err(_) => self.find(path).await?,
        };
        let tree = self.0.store.read();
        let item = tree.item(id).ok_or_else(|| Error::failed(format!("{path} is just going")))?;
        Ok(self.states_of(&tree, item))
    }

    fn states_of(&self, tree: &Tree, item: &Item) -> StatesReport {
        let location = target_of(tree, item.id).location;
        let confidence =
            self.0.sync.worker(item.location).map_or(Confidence::Guessed, |worker| worker.confidence());
        let target =
            |side| Target { location: location.clone(), path: tree.path(item.id, side).unwrap_or_default() };
        let is_whole = |id: Option<ContentId>| {
            id.and_then(|id| self.0.store.contents().get(id)).is_none_or(|content| content.is_whole())
        };
        let digest = |id: Option<ContentId>| {
            id.and_then(|id| self.0.store.contents().get(id))
                .filter(|c| c.is_whole())
                .and_then(|c| c.digest())
        };
        let of_state = |state: &State, side| StateReport {
            kind: state.meta.kind,
            size: if state.meta.kind == Kind::Folder { 0 } else { state.meta.size },
            mode: state.meta.mode,
            mtime: state.meta.mtime,
            version: state.meta.version.to_text(),
            confidence,
            digest: digest(state.content),
            path: target(side),
            here: is_whole(state.content),
            link_target: state.meta.link_target.as_deref().map(<[u8]>::to_vec),
            content: state.content,
        };
        let local = item.entry.as_ref().and_then(|e| tree.node(e.node)).map(|live| {
            let row = &live.row;
            let same = item.base.as_deref().filter(|b| b.content == row.content && b.meta.kind == row.kind);
            StateReport {
                kind: row.kind,
                size: if row.kind == Kind::Folder { 0 } else { row.size },
                mode: row.mode,
                mtime: row.mtime,
                version: same.map(|b| b.meta.version.to_text()).unwrap_or_default(),
                confidence: Confidence::Sure,
                digest: digest(row.content),
                path: target(Side::Local),
                here: is_whole(row.content),
                link_target: row.link_target.as_deref().map(<[u8]>::to_vec),
                content: row.content,
            }
        });
        StatesReport {
            path: target_of(tree, item.id),
            original: item.base.as_deref().map(|s| of_state(s, Side::Original)),
            local,
            server: tree.server_state(item).map(|s| of_state(s, Side::Server)),
        }
    }

    /// A read-only descriptor of a state's content; fetches what is not here.
    pub async fn open_state(&self, path: &Target, side: Side) -> Answer<OwnedFd> {
        let id = match self.find_conflict(path) {
            Ok((id, _)) => id,
            Err(_) => self.find(path).await?,
        };
        let (kind, link, content, node) = {
            let tree = self.0.store.read();
            let item = tree.item(id).ok_or_else(|| Error::failed(format!("{path} is just going")))?;
            let node = item.entry.as_ref().map(|e| e.node);
            let states = self.states_of(&tree, item);
            let state = match side {
                Side::Original => states.original,
                Side::Local => states.local,
                Side::Server => states.server,
            };
            let state = state.ok_or_else(|| {
                Error::failed(format!("{path} does not exist in the state {}", side.word()))
            })?;
            (state.kind, state.link_target, state.content, node)
        };
        match kind {
            Kind::Symlink => return bytes_descriptor(&link.unwrap_or_default()),
            Kind::File => {}
            _ => return Err(Error::failed(format!("{path} is a folder and has no content"))),
        }
        let Some(content) = content.and_then(|c| self.0.store.contents().get(c)) else {
            return bytes_descriptor(b"");
        };
        self.bring_here(path, node.unwrap_or(NodeId(0)), &content).await?;
        descriptor(&content)
    }

    async fn bring_here(&self, path: &Target, node: NodeId, content: &Arc<Content>) -> Answer<()> {
        if content.is_whole() {
            return Ok(());
        }
        let need = Need::Bytes { node, content: content.id(), range: 0..u64::MAX };
        let caller = Caller::new(0, 0, 0);
        match self.0.sync.provide(caller, &need).await {
            Ok(()) => Ok(()),
            Err(OpError::Unreachable) => Err(Error::offline(format!(
                "this state of {path} is not here, and its server cannot be reached or has another version now"
            ))),
            Err(error) => Err(Error::failed(format!("this state of {path} cannot be fetched: {error}"))),
        }
    }

    /// Takes bytes from a descriptor into the store, for `Choice::With`.
    pub async fn add_content(&self, from: OwnedFd) -> Answer<ContentId> {
        let store = self.0.store.clone();
        let (id, file) = (ContentId(store.new_id()), store.new_id());
        let held = store.hold(id);
        let taken = crate::world::blocking(store.world(), {
            let store = store.clone();
            move || -> Result<(), ContentError> {
                let content = store.contents().create(id, file)?;
                let mut from = std::fs::File::from(from);
                let mut buf = vec![0; 1 << 20];
                let mut offset = 0;
                loop {
                    let read = from.read(&mut buf).map_err(ContentError::Io)?;
                    if read == 0 {
                        break;
                    }
                    content.write_at(offset, &buf[..read])?;
                    offset += read as u64;
                }
                content.seal()?;
                Ok(())
            }
        });
        match taken.await {
            Some(Ok(())) => {
                self.0.added.lock().push(held);
                Ok(id)
            }
            Some(Err(error)) => Err(Error::failed(format!("the bytes cannot be taken in: {error}"))),
            None => Err(Error::failed("the engine is closing")),
        }
    }

    pub async fn resolve(
        &self,
        selection: &Selection,
        choice: &Choice,
        dry_run: bool,
    ) -> Answer<Vec<ResolveReport>> {
        let chosen = self.select(selection)?;
        if dry_run || *choice == Choice::Later {
            return Ok(chosen.iter().map(|(id, kind)| self.preview(*id, *kind, choice)).collect());
        }
        // What merging takes is done before the trees are locked.
        let mut decided: Vec<Decided> = Vec::new();
        for (id, kind) in chosen {
            let (inputs, held) = match self.inputs(id, choice) {
                Ok((inputs, held)) => (Ok(inputs), held),
                Err(message) => (Err(message), None),
            };
            decided.push((id, kind, inputs, held));
        }
        let words = choice.words();
        let reports = self.0.store.write(|tx| {
            let mut reports = Vec::new();
            let mut before = Vec::new();
            for (id, kind, inputs, _) in &decided {
                let path = target_of(tx.tree(), *id);
                let result = match inputs {
                    Ok(inputs) => decide_one(tx, *id, inputs, words).map(|more| before.extend(more)),
                    Err(message) => Err(message.clone()),
                };
                reports.push(ResolveReport {
                    path,
                    kind: *kind,
                    choice: words.into(),
                    done: result.is_ok(),
                    message: result.err().unwrap_or_default(),
                });
            }
            let count = reports.iter().filter(|r| r.done).count();
            if count > 0 {
                let what = match count {
                    1 => format!("1 conflict decided: {words}"),
                    n => format!("{n} conflicts decided: {words}"),
                };
                note_decision(tx, HistoryKind::Decision, what, before);
            }
            Ok::<_, Error>(reports)
        })?;
        if let Choice::With(content) = choice {
            self.0.added.lock().retain(|held| held.id != *content);
        }
        self.0.store.flushed().await?;
        self.0.store.changed.notify(usize::MAX);
        Ok(reports)
    }

    fn select(&self, selection: &Selection) -> Answer<Vec<(ItemId, ConflictKind)>> {
        match selection {
            Selection::Paths(paths) => {
                let mut chosen = Vec::new();
                for path in paths {
                    let (id, _) = self.find_conflict(path)?;
                    let tree = self.0.store.read();
                    if let Some(conflict) = tree.item(id).and_then(|i| i.conflict.as_ref()) {
                        chosen.push((id, conflict.kind));
                    }
                }
                Ok(chosen)
            }
            Selection::Under { folder, pattern, kind } => {
                self.location_id(&folder.location)?;
                let matcher = match pattern {
                    None => None,
                    Some(pattern) => {
                        let text = String::from_utf8_lossy(pattern);
                        let glob = GlobBuilder::new(&text)
                            .build()
                            .map_err(|e| Error::usage(format!("{text} is no pattern: {e}")))?;
                        Some((glob.compile_matcher(), !text.contains('/')))
                    }
                };
                let tree = self.0.store.read();
                let mut chosen = Vec::new();
                for live in tree.locations() {
                    for item in live.attention.iter().filter_map(|id| tree.item(*id)) {
                        let Some(conflict) = &item.conflict else { continue };
                        if !is_under(&tree, item.id, Some(folder)) || !is_kind(conflict.kind, *kind) {
                            continue;
                        }
                        if let Some((matcher, name_only)) = &matcher
                            && !matches(&tree, item.id, folder, matcher, *name_only)
                        {
                            continue;
                        }
                        chosen.push((item.id, conflict.kind));
                    }
                }
                Ok(chosen)
            }
        }
    }

    fn preview(&self, id: ItemId, kind: ConflictKind, choice: &Choice) -> ResolveReport {
        let path = target_of(&self.0.store.read(), id);
        let message = match choice {
            Choice::Later => "put off".into(),
            _ => self.would_refuse(id, choice).unwrap_or_default(),
        };
        ResolveReport { path, kind, choice: choice.words().into(), done: false, message }
    }

    /// Why a choice would be refused; found by trying it and putting everything back.
    fn would_refuse(&self, id: ItemId, choice: &Choice) -> Option<String> {
        let (inputs, _held) = match self.inputs(id, choice) {
            Ok(inputs) => inputs,
            Err(message) => return Some(message),
        };
        let tried: Result<(), Tried> = self.0.store.write(|tx| {
            let missing = inputs_missing(tx, id, &inputs);
            Err(Tried(missing.or_else(|| decide(tx, id, &inputs).err())))
        });
        tried.err().and_then(|t| t.0)
    }

    fn inputs(&self, id: ItemId, choice: &Choice) -> Result<(Inputs, Option<Held>), String> {
        let plain = |inputs| Ok((inputs, None));
        seal_local(&self.0.store, [id]);
        match choice {
            Choice::KeepLocal => plain(Inputs::Local { keep_loser: false }),
            Choice::KeepServer => plain(Inputs::Server { keep_loser: false }),
            Choice::KeepOriginal => plain(Inputs::Original { keep_losers: false }),
            Choice::KeepNewest => plain(Inputs::Newest),
            Choice::KeepBoth => plain(Inputs::Both),
            Choice::StashLocal => plain(Inputs::Server { keep_loser: true }),
            Choice::StashServer => plain(Inputs::Local { keep_loser: true }),
            Choice::StashBoth => plain(Inputs::Original { keep_losers: true }),
            Choice::With(content) => {
                if self.0.store.contents().get(*content).is_none() {
                    return Err("the bytes that were handed over are gone".into());
                }
                plain(Inputs::Bytes(*content))
            }
            Choice::Merge => self.merged(id).map(|held| (Inputs::Bytes(held.id), Some(held))),
            Choice::Later => Err("put off".into()),
        }
    }

    /// The text merge of a conflict as a content of its own.
    fn merged(&self, id: ItemId) -> Result<Held, String> {
        let texts = {
            let tree = self.0.store.read();
            tree.item(id).and_then(|item| self.three_texts(&tree, item))
        };
        let texts = texts.ok_or("there are no three files to merge, or not all of them are here")?;
        let merged = clean_merge(&texts)?;
        let store = &self.0.store;
        let (content, file) = (ContentId(store.new_id()), store.new_id());
        let held = store.hold(content);
        let write = || -> Result<(), ContentError> {
            let content = store.contents().create(content, file)?;
            content.write_at(0, &merged)?;
            content.seal()?;
            Ok(())
        };
        write().map_err(|e| e.to_string())?;
        Ok(held)
    }

    /// Original, local and server as files that are wholly here.
    fn three_texts(&self, tree: &Tree, item: &Item) -> Option<[Arc<Content>; 3]> {
        // Where something else than the text conflicts, merging texts would decide it unasked.
        item.conflict.as_ref().filter(|c| c.kind == ConflictKind::EditEdit)?;
        let base = item.base.as_deref().filter(|s| s.meta.kind == Kind::File)?;
        let server = tree.server_state(item).filter(|s| s.meta.kind == Kind::File)?;
        let local = &tree.node(item.entry.as_ref()?.node)?.row;
        let content = |id: ContentId| self.0.store.contents().get(id).filter(|c| c.is_whole());
        Some([content(base.content?)?, content(local.content?)?, content(server.content?)?])
    }
}

/// A conflict, and what was prepared for deciding it.
type Decided = (ItemId, ConflictKind, Result<Inputs, String>, Option<Held>);

/// A transaction that is only tried: its error puts everything back.
struct Tried(Option<String>);

impl From<crate::store::persist::StoreError> for Tried {
    fn from(error: crate::store::persist::StoreError) -> Tried {
        Tried(Some(error.to_string()))
    }
}

/// All of it or nothing: what a refused decision had begun is put back.
fn decide_one(tx: &mut Tx<'_>, id: ItemId, inputs: &Inputs, words: &str) -> Result<Vec<Before>, String> {
    let ((), changed) = tx.decide(|tx| {
        if let Some(missing) = inputs_missing(tx, id, inputs) {
            return Err(missing);
        }
        tx.happened(id, format!("decided: {words}"));
        decide(tx, id, inputs)
    })?;
    Ok(snapshots(tx.tree(), changed))
}

fn clean_merge(texts: &[Arc<Content>; 3]) -> Result<Vec<u8>, String> {
    let limit = Limits::default();
    let mut bytes = Vec::with_capacity(3);
    for content in texts {
        if content.size() > limit.max_bytes as u64 {
            return Err("the file is too large for a text merge".into());
        }
        let mut buf = vec![0; content.size() as usize];
        let read = content.read_at(0, &mut buf).map_err(|e| e.to_string())?;
        buf.truncate(read);
        bytes.push(buf);
    }
    let merged = merge(&bytes[0], &bytes[1], &bytes[2], limit).map_err(|e| e.to_string())?;
    merged
        .clean_text()
        .ok_or_else(|| "both sides changed the same lines; merge them by hand, or choose a side".into())
}

fn matches(
    tree: &Tree,
    id: ItemId,
    folder: &Target,
    matcher: &globset::GlobMatcher,
    name_only: bool,
) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = tree.known_path(id).unwrap_or_default();
    let bytes = match name_only {
        true => path.split_last().map(|(_, name)| name.as_bytes().to_vec()).unwrap_or_default(),
        false => {
            let below = path.as_bytes().get(folder.path.as_bytes().len()..).unwrap_or_default();
            below.strip_prefix(b"/").unwrap_or(below).to_vec()
        }
    };
    matcher.is_match(std::path::Path::new(std::ffi::OsStr::from_bytes(&bytes)))
}

pub(super) fn descriptor(content: &Arc<Content>) -> Answer<OwnedFd> {
    content.descriptor().map_err(|error| Error::failed(format!("the content cannot be read: {error}")))
}

/// A file without a name that holds these bytes.
pub(super) fn bytes_descriptor(bytes: &[u8]) -> Answer<OwnedFd> {
    use std::io::{Seek, Write};
    let make = || -> std::io::Result<OwnedFd> {
        let fd = rustix::fs::memfd_create("holdfast", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file.into())
    };
    make().map_err(|error| Error::failed(format!("no memory for a file: {error}")))
}
