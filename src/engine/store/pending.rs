//! What the log says of an item: in which respects its local state differs from `base`.
//!
//! A record is not a list of operations but what they come to, so operations that undo or overwrite
//! one another cancel by being compared. A record that was handed to a remote is kept apart as an
//! [`Intent`](super::rows::Intent) and never changed.

use crate::model::{ItemId, Kind, Name, NodeId, State};

use super::rows::{Aspects, Item, Node};
use super::tree::Tree;

/// In which respects an item differs here from `base`.
pub fn aspects(tree: &Tree, item: &Item) -> Aspects {
    if item.local_only {
        return Aspects::empty();
    }
    let Some(entry) = &item.entry else {
        return if item.base.is_some() { Aspects::REMOVE } else { Aspects::empty() };
    };
    let Some(base) = item.base.as_deref() else {
        return Aspects::CREATE;
    };
    let Some(node) = tree.node(entry.node) else {
        return Aspects::empty();
    };
    // A program's setting of a time leaves no trace in the trees to compare: it stays until sent.
    let mut aspects = item.pending.map(|p| p.aspects).unwrap_or_default() & Aspects::TIMES;
    if base.parent.is_some() && place_differs(tree, entry.parent, &entry.name, base) {
        aspects |= Aspects::PLACE;
    }
    aspects | node_aspects(&node.row, base)
}

fn place_differs(tree: &Tree, parent: NodeId, name: &Name, base: &State) -> bool {
    let parent: Option<ItemId> = tree.folder_item(parent);
    parent != base.parent || *name != base.name
}

/// As far as node and state alone tell.
pub fn node_aspects(node: &Node, base: &State) -> Aspects {
    let mut aspects = Aspects::empty();
    if node.kind != base.meta.kind
        || (node.kind == Kind::File && node.content != base.content)
        || (node.kind == Kind::Symlink && node.link_target != base.meta.link_target)
    {
        aspects |= Aspects::CONTENT;
    }
    if node.kind != Kind::Symlink && node.mode != base.meta.mode {
        aspects |= Aspects::MODE;
    }
    if base.meta.xattrs.as_ref().is_some_and(|xattrs| **xattrs != *node.xattrs) {
        aspects |= Aspects::XATTRS;
    }
    aspects
}
