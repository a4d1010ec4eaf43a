//! One record as a call on the remote.

use std::sync::Arc;

use crate::model::{ItemId, Kind, LocPath, Meta, Name, Side, State, Version};
use crate::remote::{Capabilities, NewMeta, Remote, RemoteError, SetMeta, Source};
use crate::store::Tx;
use crate::store::rows::{Aspects, Intent, Item};
use crate::sync::schedule::Step;

/// A record that was written down as an intent and is to be handed over.
pub(super) struct Handed {
    pub item: ItemId,
    pub step: Step,
    pub(super) call: Call,
}

/// What is asked of the remote; nothing in it depends on the trees any more.
pub(super) enum Call {
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

pub(super) fn call(
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
            // The folder it goes to may be what waits for it to step aside: not there yet, or still inside
            // it. Otherwise it steps aside there, for the one it is in may be to go first.
            let is_good = |folder: ItemId| {
                aside.is_none()
                    || (tree.path(folder, Side::Server).is_some()
                        && !tree.lies_in(folder, item.id, Side::Server))
            };
            let folder = if is_good(parent) { parent } else { base?.parent? };
            let name = aside.unwrap_or(&name);
            (result.parent, result.name) = (Some(folder), name.clone());
            let to = tree.path(folder, Side::Server)?.join(name);
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

pub(super) struct Empty;

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
pub(super) async fn send(remote: &Arc<dyn Remote>, handed: &Handed) -> Result<Option<Meta>, RemoteError> {
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
