//! Carrying the log out on the server.
//!
//! A record is first written down as an intent (its content synced and its digest known), then
//! handed to the remote, guarded by the version it is based on. Whatever comes back, the trees are
//! brought up to it in one step; where nothing comes back, [`recover`](super::recover) looks.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    ContentId, ItemId, Kind, LocPath, LocationId, Meta, Name, Needs, ProblemId, Side, State, Version,
};
use crate::remote::{Capabilities, NewMeta, Remote, RemoteError, SetMeta, Source, TEMP_PREFIX};
use crate::store::content::{ContentError, Contents};
use crate::store::persist::StoreError;
use crate::store::rows::{Aspects, Intent, Item, Problem, ServerSide};
use crate::store::tree::{Live, Tree, contents_of_item};
use crate::store::{Store, Tx};

use super::schedule::{Readiness, Step, circle, readiness};

/// A record that was written down as an intent and is to be handed over.
pub struct Handed {
    pub item: ItemId,
    pub step: Step,
    call: Call,
}

/// What is asked of the remote; nothing in it depends on the trees any more.
enum Call {
    CreateFile {
        path: LocPath,
        source: Arc<dyn Source>,
        meta: NewMeta,
    },
    CreateFolder {
        path: LocPath,
        meta: NewMeta,
    },
    CreateSymlink {
        path: LocPath,
        target: Vec<u8>,
    },
    CreateLink {
        existing: LocPath,
        version: Version,
        path: LocPath,
    },
    Replace {
        path: LocPath,
        version: Version,
        source: Arc<dyn Source>,
        meta: NewMeta,
    },
    RemoveFile {
        path: LocPath,
        version: Version,
    },
    RemoveFolder {
        path: LocPath,
    },
    Rename {
        from: LocPath,
        version: Option<Version>,
        to: LocPath,
    },
    Attributes {
        path: LocPath,
        version: Option<Version>,
        set: SetMeta,
    },
    /// Nothing that this server could represent.
    Nothing,
}

/// What a look at the log gives.
#[derive(Default)]
pub struct Plan {
    pub ready: Vec<(ItemId, Step)>,
    /// `World::elapsed` at which the next record has settled.
    pub next: Option<Duration>,
    /// Nothing is ready, and these wait for one another.
    pub circle: Option<ItemId>,
    /// Records that wait for bytes to be fetched.
    pub lacking: Vec<(ItemId, ContentId)>,
}

/// Which records may be sent now, at most so many.
pub fn plan(store: &Store, location: LocationId, now: Duration, cut_short: bool, most: usize) -> Plan {
    let mut plan = Plan::default();
    let tree = &*store.read();
    let Some(live) = tree.location(location) else {
        return plan;
    };
    let mut behind = Vec::new();
    for id in &live.attention {
        let Some(item) = tree.item(*id) else { continue };
        match readiness(tree, item, now, cut_short) {
            Readiness::Send(step) => match lacking(tree, store.contents(), item, step) {
                None => plan.ready.push((*id, step)),
                Some(content) => plan.lacking.push((*id, content)),
            },
            Readiness::At(at) => plan.next = Some(plan.next.map_or(at, |next| next.min(at))),
            Readiness::Behind(_) => behind.push(*id),
            Readiness::No => {}
        }
        if plan.ready.len() >= most {
            return plan;
        }
    }
    let in_flight = live.attention.iter().any(|id| tree.item(*id).is_some_and(|i| i.sending.is_some()));
    if plan.ready.is_empty() && plan.lacking.is_empty() && !in_flight {
        plan.circle = behind.into_iter().find_map(|id| circle(tree, id, now));
    }
    plan
}

/// The content that must be wholly here before this record may be sent: what is sent, or what the
/// record takes from the server while something here still needs it and has never fetched it.
fn lacking(tree: &Tree, contents: &Contents, item: &Item, step: Step) -> Option<ContentId> {
    let is_absent = |id: &ContentId| contents.get(*id).is_some_and(|c| !c.is_whole());
    if matches!(step, Step::CreateFile | Step::Replace | Step::CreateLink(_)) {
        let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
        if let Some(sent) = node.and_then(|l| l.row.content).filter(is_absent) {
            return Some(sent);
        }
    }
    if !matches!(step, Step::Replace | Step::RemoveFile | Step::RemoveForType) {
        return None;
    }
    let last = item.base.as_deref()?.content.filter(is_absent)?;
    let own = contents_of_item(item).filter(|c| *c == last).count();
    let others = tree.references(last) as usize - own.min(tree.references(last) as usize);
    // A file that was removed and that no program has open is read by nobody any more.
    let is_left = |live: &&Live| live.row.content == Some(last) && live.links.is_empty() && live.opens == 0;
    (others > 0 && others > tree.nodes().filter(is_left).count()).then_some(last)
}

/// Makes the contents of these records final: never written again, on the disk, digest known. Returns
/// those that cannot be: that is their own matter, and holds up no other.
pub fn prepare(store: &Store, ready: &[(ItemId, Step)]) -> Result<Vec<(ItemId, ContentError)>, StoreError> {
    let mut contents = Vec::new();
    {
        let tree = store.read();
        for (id, step) in ready {
            if !matches!(step, Step::CreateFile | Step::Replace | Step::CreateLink(_)) {
                continue;
            }
            let node = tree.item(*id).and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node));
            let content = node.and_then(|l| l.row.content);
            contents.extend(content.and_then(|c| Some((*id, store.contents().get(c)?))));
        }
    }
    let (mut refused, mut sealed) = (Vec::new(), Vec::new());
    for (id, content) in contents {
        match content.seal() {
            Ok(_) => sealed.push(content),
            Err(ContentError::Full) => return Err(StoreError::Full),
            Err(ContentError::Io(error)) => return Err(StoreError::Io(error)),
            Err(error) => refused.push((id, error)),
        }
    }
    store.contents().sync(&sealed)?;
    store.write(|tx| {
        sealed.iter().for_each(|c| tx.touch_content(c.id()));
        Ok::<_, StoreError>(())
    })?;
    Ok(refused)
}

/// Writes the records down as intents, if they are still ready. To be flushed before they are sent.
pub fn hand_over(
    store: &Store,
    ready: &[(ItemId, Step)],
    capabilities: &Capabilities,
    aside: Option<&Name>,
) -> Result<Vec<Handed>, StoreError> {
    store.write(|tx| {
        let now = tx.elapsed();
        let mut handed = Vec::new();
        for (id, step) in ready {
            let Some(item) = tx.tree().item(*id) else { continue };
            if aside.is_none()
                && !matches!(readiness(tx.tree(), item, now, true), Readiness::Send(s) if s == *step)
            {
                continue;
            }
            if lacking(tx.tree(), tx.contents(), item, *step).is_some() {
                continue;
            }
            if let Some((call, intent)) = call(tx, item, *step, capabilities, aside) {
                tx.edit_item(*id, |item| item.sending = Some(Box::new(intent)));
                handed.push(Handed { item: *id, step: *step, call });
            }
        }
        Ok(handed)
    })
}

fn call(
    tx: &Tx<'_>,
    item: &Item,
    step: Step,
    can: &Capabilities,
    aside: Option<&Name>,
) -> Option<(Call, Intent)> {
    let tree = tx.tree();
    let base = item.base.as_deref();
    let from = base.and_then(|b| Some((b.parent?, b.name.clone())));
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node)).map(|l| &l.row);
    let version = base.map(|b| b.meta.version.clone());
    let is_folder = base.is_some_and(|b| b.meta.kind == Kind::Folder);
    let intent = |aspects: Aspects, result: Option<State>, digest| Intent {
        aspects,
        result: result.map(Box::new),
        digest,
        from: from.clone(),
    };
    if matches!(step, Step::RemoveFile | Step::RemoveFolder | Step::RemoveForType) {
        let path = tree.path(item.id, Side::Server)?;
        let call = if is_folder {
            Call::RemoveFolder { path }
        } else {
            Call::RemoveFile { path, version: version? }
        };
        return Some((call, intent(Aspects::REMOVE, None, None)));
    }
    let node = node?;
    let (parent, name) = tree.place(item, Side::Local)?;
    let target = || Some(tree.path(parent, Side::Server)?.join(&name));
    let meta =
        NewMeta { mode: node.mode, mtime: node.mtime, xattrs: can.xattrs.then(|| node.xattrs.clone()) };
    let as_sent = |version: Version| State {
        parent: Some(parent),
        name: name.clone(),
        meta: Meta {
            kind: node.kind,
            mode: node.mode,
            size: node.size,
            mtime: node.mtime,
            link_target: node.link_target.clone(),
            xattrs: Some(node.xattrs.clone()),
            version,
            file_id: base.and_then(|b| b.meta.file_id),
        },
        content: node.content,
    };
    let none = || Version::new(b"");
    let content = node.content.and_then(|id| tx.content(id));
    let digest = content.as_ref().and_then(|c| c.digest());
    let source = || -> Option<Arc<dyn Source>> {
        match &content {
            // What was written since it was prepared is not final: next time.
            Some(content) => content.is_sealed().then(|| content.source(base.and_then(|b| b.content))),
            // A content that is missing is damage, and no empty file.
            None => node.content.is_none().then(|| Arc::new(Empty) as Arc<dyn Source>),
        }
    };
    let all = Aspects::CREATE;
    Some(match step {
        Step::CreateFile => (
            Call::CreateFile { path: target()?, source: source()?, meta },
            intent(all, Some(as_sent(none())), digest),
        ),
        Step::CreateFolder => {
            (Call::CreateFolder { path: target()?, meta }, intent(all, Some(as_sent(none())), None))
        }
        Step::CreateSymlink => {
            let target_bytes = node.link_target.as_deref().unwrap_or_default().to_vec();
            (
                Call::CreateSymlink { path: target()?, target: target_bytes },
                intent(all, Some(as_sent(none())), None),
            )
        }
        Step::CreateLink(other) => {
            let existing = tree.item(other)?;
            let call = Call::CreateLink {
                existing: tree.path(other, Side::Server)?,
                version: existing.base.as_deref()?.meta.version.clone(),
                path: target()?,
            };
            if !can.hard_links {
                let call = Call::CreateFile { path: target()?, source: source()?, meta };
                return Some((call, intent(all, Some(as_sent(none())), digest)));
            }
            (call, intent(all, Some(as_sent(none())), digest))
        }
        Step::Replace => {
            let path = tree.path(item.id, Side::Server)?;
            let mut result = as_sent(version.clone()?);
            // The place is another record's.
            result.parent = base?.parent;
            result.name = base?.name.clone();
            let aspects = Aspects::CONTENT | Aspects::MODE | Aspects::TIMES | Aspects::XATTRS;
            if node.kind == Kind::Symlink {
                // There is no replacing of links: the old one goes, the new one is made.
                return Some((
                    Call::RemoveFile { path, version: version? },
                    intent(Aspects::REMOVE, None, None),
                ));
            }
            (
                Call::Replace { path, version: version?, source: source()?, meta },
                intent(aspects, Some(result), digest),
            )
        }
        Step::Move => {
            let mut result = base?.clone();
            (result.parent, result.name) = (Some(parent), name.clone());
            let mut to = target()?;
            if let Some(aside) = aside {
                (result.parent, result.name) = (base?.parent, aside.clone());
                to = tree.path(base?.parent?, Side::Server)?.join(aside);
            }
            let from = tree.path(item.id, Side::Server)?;
            let version = if is_folder { None } else { version };
            (Call::Rename { from, version, to }, intent(Aspects::PLACE, Some(result), None))
        }
        Step::Attributes => {
            let mut result = base?.clone();
            let pending = item.pending?.aspects;
            let mut set = SetMeta::default();
            if pending.contains(Aspects::MODE) {
                result.meta.mode = node.mode;
                set.mode = can.modes.then_some(node.mode);
            }
            if pending.contains(Aspects::TIMES) && node.kind == Kind::File {
                set.mtime = can.set_times.then_some(node.mtime);
                result.meta.mtime = set.mtime.unwrap_or(result.meta.mtime);
            }
            if pending.contains(Aspects::XATTRS) {
                result.meta.xattrs = Some(node.xattrs.clone());
                set.xattrs = can.xattrs.then(|| node.xattrs.clone());
            }
            let path = tree.path(item.id, Side::Server)?;
            let version = if is_folder { None } else { version };
            let call = if set == SetMeta::default() {
                Call::Nothing
            } else {
                Call::Attributes { path, version, set }
            };
            let aspects = pending & (Aspects::MODE | Aspects::TIMES | Aspects::XATTRS);
            (call, intent(aspects, Some(result), None))
        }
        Step::RemoveFile | Step::RemoveFolder | Step::RemoveForType => return None,
    })
}

struct Empty;

impl Source for Empty {
    fn size(&self) -> u64 {
        0
    }
    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
    fn data_ranges(&self) -> Vec<std::ops::Range<u64>> {
        Vec::new()
    }
    fn changed_ranges(&self) -> Option<Vec<std::ops::Range<u64>>> {
        None
    }
}

/// Does what the record says. `Ok(None)` for a removal, or where there was nothing to tell.
pub async fn send(remote: &Arc<dyn Remote>, handed: &Handed) -> Result<Option<Meta>, RemoteError> {
    match &handed.call {
        Call::CreateFile { path, source, meta } => {
            remote.create_file(path, source.clone(), meta).await.map(Some)
        }
        Call::CreateFolder { path, meta } => remote.create_folder(path, meta).await.map(Some),
        Call::CreateSymlink { path, target } => remote.create_symlink(path, target).await.map(Some),
        Call::CreateLink { existing, version, path } => {
            remote.create_link(existing, version, path).await.map(Some)
        }
        Call::Replace { path, version, source, meta } => {
            remote.replace_file(path, version, source.clone(), meta).await.map(Some)
        }
        Call::RemoveFile { path, version } => remote.remove_file(path, version).await.map(|()| None),
        Call::RemoveFolder { path } => remote.remove_folder(path).await.map(|()| None),
        Call::Rename { from, version, to } => remote.rename(from, version.as_ref(), to).await.map(Some),
        Call::Attributes { path, version, set } => {
            remote.set_meta(path, version.as_ref(), set).await.map(Some)
        }
        Call::Nothing => Ok(None),
    }
}

/// The server did as it was told: what it has now is `base`.
pub fn succeeded(tx: &mut Tx<'_>, id: ItemId, meta: Option<Meta>, can: &Capabilities) {
    let Some(item) = tx.tree().item(id) else { return };
    let Some(intent) = item.sending.clone() else {
        return;
    };
    let old_place = item.base.as_deref().and_then(|b| Some((b.parent?, b.name.clone())));
    let node_id = item.entry.as_ref().map(|e| e.node);
    match intent.result.as_deref() {
        None => tx.edit_item(id, |item| {
            item.base = None;
            item.sending = None;
            item.server = ServerSide::AsBase;
        }),
        Some(sent) => {
            let mut state = sent.clone();
            let told = meta.is_some();
            if let Some(meta) = meta {
                state.meta = Meta { link_target: sent.meta.link_target.clone(), ..meta };
            }
            if !can.modes || !told {
                state.meta.mode = sent.meta.mode;
            }
            if !can.xattrs || state.meta.xattrs.is_none() {
                state.meta.xattrs = sent.meta.xattrs.clone();
            }
            adopt_representation(tx, node_id, sent, &state);
            tx.tree_mut().touch(id, state.parent.map(|p| (p, state.name.clone())));
            let times_sent = intent.aspects.contains(Aspects::TIMES);
            let (version, file_id) = (state.meta.version.clone(), state.meta.file_id);
            tx.edit_item(id, |item| {
                item.base = Some(Box::new(state));
                item.sending = None;
                item.server = ServerSide::AsBase;
                if let (Some(pending), true) = (&mut item.pending, times_sent) {
                    pending.aspects -= Aspects::TIMES;
                }
            });
            // A second name changes the mark of the file under its other names too.
            if intent.aspects.contains(Aspects::CREATE)
                && let Some(node) = node_id
            {
                share_version(tx, id, node, &version, file_id);
            }
        }
    }
    tx.tree_mut().touch(id, old_place);
    if intent.aspects.intersects(Aspects::PLACE | Aspects::CREATE | Aspects::REMOVE) {
        tx.tree_mut().note_moved(id);
    }
    if let Some(node) = node_id.and_then(|n| tx.tree_mut().live_mut(n))
        && node.writers == 0
    {
        node.changed = None;
    }
    tx.relog(id);
    // What is still to be sent was changed meanwhile and settles anew.
    if tx.tree().item(id).is_some_and(|i| i.pending.is_some())
        && let Some(node) = node_id
    {
        crate::fileops::note_change(tx, node);
    }
}

/// What the server made of mode and attributes is taken over here, unless they were changed again.
fn adopt_representation(tx: &mut Tx<'_>, node: Option<crate::model::NodeId>, sent: &State, state: &State) {
    let Some(node) = node else { return };
    let Some(row) = tx.tree().node(node).map(|l| &l.row) else {
        return;
    };
    let mode_differs = state.meta.mode != sent.meta.mode && row.mode == sent.meta.mode;
    let xattrs_differ = match (&state.meta.xattrs, &sent.meta.xattrs) {
        (Some(now), Some(sent)) => now != sent && row.xattrs == *sent,
        _ => false,
    };
    if !mode_differs && !xattrs_differ {
        return;
    }
    let state = state.clone();
    tx.edit_node(node, |row| {
        if mode_differs {
            row.mode = state.meta.mode;
        }
        if xattrs_differ && let Some(xattrs) = state.meta.xattrs {
            row.xattrs = xattrs;
        }
    });
    tx.invalidate_node(node);
}

fn share_version(
    tx: &mut Tx<'_>,
    id: ItemId,
    node: crate::model::NodeId,
    version: &Version,
    file_id: Option<u64>,
) {
    if file_id.is_none() {
        return;
    }
    let links = tx.tree().node(node).map(|l| l.links.clone()).unwrap_or_default();
    for other in links.into_iter().filter(|other| *other != id) {
        let same =
            tx.tree().item(other).and_then(|i| i.base.as_deref()).is_some_and(|b| b.meta.file_id == file_id);
        if same {
            tx.edit_item(other, |item| {
                if let Some(base) = &mut item.base {
                    base.meta.version = version.clone();
                }
            });
            tx.tree_mut().touch(other, None);
        }
    }
}

/// What is to be done after a refusal.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    /// Look at this item (or its folder) on the server.
    Look,
    /// The link is gone; the intent stays until somebody has looked.
    Offline,
    /// A problem was noted.
    Problem,
    /// Read what lies under this temporary name beside the item, and keep it.
    Keep(Name),
}

/// The server did not do as it was told.
pub fn failed(tx: &mut Tx<'_>, id: ItemId, step: Step, error: &RemoteError) -> After {
    let (needs, message) = match error {
        RemoteError::Gone { .. } => return After::Offline,
        RemoteError::Displaced { kept, .. } => return After::Keep(kept.clone()),
        RemoteError::Changed { .. } | RemoteError::NotFound | RemoteError::NotEmpty => {
            tx.edit_item(id, |item| item.sending = None);
            tx.relog(id);
            return After::Look;
        }
        RemoteError::Forbidden(_) => (Needs::Retry, error.to_string()),
        RemoteError::NoSpace(_) => (Needs::Space, error.to_string()),
        RemoteError::BadName(_) => (Needs::Name, error.to_string()),
        RemoteError::Io(_) | RemoteError::Unsupported(_) => (Needs::Retry, error.to_string()),
    };
    tracing::info!(item = id.0, ?step, %error, "a change could not be sent");
    tx.edit_item(id, |item| item.sending = None);
    note_problem(tx, id, needs, message);
    tx.relog(id);
    After::Problem
}

pub fn note_problem(tx: &mut Tx<'_>, id: ItemId, needs: Needs, message: String) {
    let problem = match tx.tree().item(id).and_then(|i| i.problem.clone()) {
        Some(old) => Problem { needs, message, ..*old },
        None => Problem { id: ProblemId(tx.new_id()), needs, message },
    };
    tx.happened(id, problem.message.clone());
    tx.edit_item(id, |item| item.problem = Some(Box::new(problem)));
}

/// A name on the server for a move that steps aside.
pub fn aside_name(owner: &str, random: u64) -> Name {
    let mut bytes = TEMP_PREFIX.to_vec();
    bytes.extend_from_slice(owner.as_bytes());
    bytes.extend_from_slice(format!("-{random:016x}").as_bytes());
    Name::new(&bytes).expect("prefix, owner and sixteen digits make a name")
}
