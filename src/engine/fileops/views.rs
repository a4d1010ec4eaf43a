//! `.holdfast` in the mount: the three states of every item, read-only, each laid out by that
//! state's own paths.
//!
//! Nodes of these views have numbers of their own, made of the state and the item, so they need no
//! rows: bit 63 is set, bits 61 and 60 tell the state, the rest is the item.

use crate::model::{Kind, Name, NodeId, Side, State, Time};
use crate::store::tree::Tree;

use super::files::read_content;
use super::{Attr, Fileops, FolderEntry, Need, Op, OpError, OpenMode, Opened};
use crate::model::{FileHandle, ItemId};

/// Name of the folder, at the mount's root; not listed there.
pub(super) const FOLDER: &[u8] = b".holdfast";

const VIEW: u64 = 1 << 63;
const SIDE_SHIFT: u32 = 60;
const ITEM_MASK: u64 = (1 << SIDE_SHIFT) - 1;

pub(super) fn is_view(node: NodeId) -> bool {
    node.0 & VIEW != 0
}

/// What a node of the views stands for.
#[derive(Clone, Copy)]
enum View {
    /// `.holdfast` itself.
    Top,
    /// `.holdfast/original` and its like.
    Side(Side),
    Item(Side, ItemId),
}

fn number(side: Side) -> u64 {
    match side {
        Side::Original => 1,
        Side::Local => 2,
        Side::Server => 3,
    }
}

impl View {
    fn of(node: NodeId) -> Op<View> {
        let side = match (node.0 >> SIDE_SHIFT) & 3 {
            1 => Side::Original,
            2 => Side::Local,
            3 => Side::Server,
            _ => return Ok(View::Top),
        };
        Ok(match node.0 & ITEM_MASK {
            0 => View::Side(side),
            item => View::Item(side, ItemId(item)),
        })
    }

    fn node(self) -> NodeId {
        NodeId(match self {
            View::Top => VIEW,
            View::Side(side) => VIEW | (number(side) << SIDE_SHIFT),
            View::Item(side, item) => VIEW | (number(side) << SIDE_SHIFT) | item.0,
        })
    }
}

impl Fileops {
    pub(super) fn view_lookup(&self, parent: NodeId, name: &[u8]) -> Op<Attr> {
        let tree = self.store().read();
        if !is_view(parent) {
            return self.view_attr_in(&tree, View::Top.node());
        }
        let view = View::of(parent)?;
        let found = match (view, name) {
            (view, b".") => view,
            (view, b"..") => return self.attr_above(&tree, view),
            (View::Top, name) => {
                let side = std::str::from_utf8(name).ok().and_then(Side::from_word);
                View::Side(side.ok_or(OpError::NotFound)?)
            }
            (View::Side(side), name) => {
                let name = std::str::from_utf8(name).map_err(|_| OpError::NotFound)?;
                let location = tree.location_named(name).ok_or(OpError::NotFound)?;
                View::Item(side, location.row.root)
            }
            (View::Item(side, item), name) => {
                View::Item(side, child(&tree, side, item, name).ok_or(OpError::NotFound)?)
            }
        };
        self.view_attr_in(&tree, found.node())
    }

    fn attr_above(&self, tree: &Tree, view: View) -> Op<Attr> {
        match above(tree, view) {
            Some(view) => self.view_attr_in(tree, view.node()),
            None => {
                let live = tree.node(NodeId::ROOT).ok_or(OpError::Stale)?;
                Ok(super::attrs::attr_of(self.store(), live))
            }
        }
    }

    pub(super) fn view_attr(&self, node: NodeId) -> Op<Attr> {
        self.view_attr_in(&self.store().read(), node)
    }

    pub(super) fn view_attr_in(&self, tree: &Tree, node: NodeId) -> Op<Attr> {
        let root = tree.node(NodeId::ROOT).ok_or(OpError::Stale)?;
        let mut attr = Attr {
            node,
            kind: Kind::Folder,
            mode: 0o555,
            nlink: 2,
            uid: root.row.uid,
            gid: root.row.gid,
            rdev: 0,
            size: 0,
            blocks: 0,
            atime: root.row.mtime,
            mtime: root.row.mtime,
            ctime: root.row.ctime,
        };
        let View::Item(side, id) = View::of(node)? else {
            return Ok(attr);
        };
        let facts = Facts::of(tree, side, id).ok_or(OpError::Stale)?;
        attr.kind = facts.kind;
        // Read-only, and readable by the owner so that it can be compared.
        attr.mode = (facts.mode & 0o555) | 0o400 | if facts.kind == Kind::Folder { 0o500 } else { 0 };
        attr.size = facts.size;
        attr.blocks = facts.size.div_ceil(512);
        attr.nlink = if facts.kind == Kind::Folder { 2 } else { 1 };
        (attr.atime, attr.mtime, attr.ctime) = (facts.mtime, facts.mtime, facts.mtime);
        Ok(attr)
    }

    pub(super) fn view_readlink(&self, node: NodeId) -> Op<Vec<u8>> {
        let View::Item(side, id) = View::of(node)? else {
            return Err(OpError::Invalid);
        };
        let tree = self.store().read();
        Facts::of(&tree, side, id).and_then(|f| f.link_target).ok_or(OpError::Invalid)
    }

    pub(super) fn view_open(&self, node: NodeId, mode: OpenMode) -> Op<Opened> {
        if mode.write {
            return Err(OpError::ReadOnly);
        }
        let View::Item(side, id) = View::of(node)? else {
            return Err(OpError::IsFolder);
        };
        Facts::of(&self.store().read(), side, id).ok_or(OpError::Stale)?;
        // A state may become another one under the same number: nothing of it is kept.
        Ok(Opened { handle: FileHandle(0), keep_cache: false })
    }

    pub(super) fn view_read(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Op<usize> {
        let View::Item(side, id) = View::of(node)? else {
            return Err(OpError::IsFolder);
        };
        let content = {
            let tree = self.store().read();
            Facts::of(&tree, side, id).ok_or(OpError::Stale)?.content
        };
        let Some(content) = content.and_then(|id| self.store().contents().get(id)) else {
            return Ok(0);
        };
        read_content(node, &content, offset, buf)
    }

    pub(super) fn view_entries(&self, node: NodeId) -> Op<Vec<FolderEntry>> {
        let tree = self.store().read();
        let view = View::of(node)?;
        let up = above(&tree, view).map_or(NodeId::ROOT, View::node);
        let folder = |node, name: &[u8]| FolderEntry { node, kind: Kind::Folder, name: name.to_vec() };
        let mut entries = vec![folder(node, b"."), folder(up, b"..")];
        match view {
            View::Top => {
                entries.extend(Side::ALL.map(|side| folder(View::Side(side).node(), side.word().as_bytes())))
            }
            View::Side(side) => {
                for location in tree.locations() {
                    let node = View::Item(side, location.row.root).node();
                    entries.push(folder(node, location.row.name.as_bytes()));
                }
            }
            View::Item(side, id) => {
                let facts = Facts::of(&tree, side, id).ok_or(OpError::Stale)?;
                if facts.kind != Kind::Folder {
                    return Err(OpError::NotFolder);
                }
                if let Some(node) = facts.unlisted {
                    return Err(OpError::NotHere(Need::Listing(node)));
                }
                for (name, child) in children(&tree, side, id) {
                    let Some(facts) = Facts::of(&tree, side, child) else {
                        continue;
                    };
                    let node = View::Item(side, child).node();
                    let name = name.as_bytes().to_vec();
                    entries.push(FolderEntry { node, kind: facts.kind, name });
                }
            }
        }
        Ok(entries)
    }
}

fn above(tree: &Tree, view: View) -> Option<View> {
    match view {
        View::Top => None,
        View::Side(_) => Some(View::Top),
        View::Item(side, id) => {
            let item = tree.item(id)?;
            Some(tree.place(item, side).map_or(View::Side(side), |(parent, _)| View::Item(side, parent)))
        }
    }
}

fn children(tree: &Tree, side: Side, folder: ItemId) -> Vec<(Name, ItemId)> {
    match side {
        Side::Original => tree.base_children(folder).map(|(n, id)| (n.clone(), id)).collect(),
        Side::Server => tree.server_children(folder),
        Side::Local => {
            let node = tree.item(folder).and_then(|i| i.entry.as_ref()).map(|e| e.node);
            let live = node.and_then(|node| tree.node(node));
            live.map(|l| l.children.iter().map(|(n, id)| (n.clone(), *id)).collect()).unwrap_or_default()
        }
    }
}

fn child(tree: &Tree, side: Side, folder: ItemId, name: &[u8]) -> Option<ItemId> {
    match side {
        Side::Original => tree.base_child(folder, name),
        Side::Server => tree.server_child(folder, name),
        Side::Local => tree.child(tree.item(folder)?.entry.as_ref()?.node, name),
    }
}

/// What `stat` needs of one state.
struct Facts {
    kind: Kind,
    mode: u32,
    size: u64,
    mtime: Time,
    content: Option<crate::model::ContentId>,
    link_target: Option<Vec<u8>>,
    /// The folder's node, where its names are not known.
    unlisted: Option<NodeId>,
}

impl Facts {
    fn of(tree: &Tree, side: Side, id: ItemId) -> Option<Facts> {
        let item = tree.item(id)?;
        let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
        let unlisted =
            node.filter(|live| live.row.kind == Kind::Folder && !live.row.listed).map(|live| live.row.id);
        match side {
            Side::Local => {
                let row = &node?.row;
                let link_target = row.link_target.as_deref().map(<[u8]>::to_vec);
                let content = row.content;
                Some(Facts {
                    kind: row.kind,
                    mode: row.mode,
                    size: row.size,
                    mtime: row.mtime,
                    content,
                    link_target,
                    unlisted,
                })
            }
            Side::Original => item.base.as_deref().map(|state| Facts::of_state(state, unlisted)),
            Side::Server => tree.server_state(item).map(|state| Facts::of_state(state, unlisted)),
        }
    }

    fn of_state(state: &State, unlisted: Option<NodeId>) -> Facts {
        let meta = &state.meta;
        Facts {
            kind: meta.kind,
            mode: meta.mode,
            size: meta.size,
            mtime: meta.mtime,
            content: state.content,
            link_target: meta.link_target.as_deref().map(<[u8]>::to_vec),
            unlisted,
        }
    }
}
