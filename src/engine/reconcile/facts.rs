//! What is true of one item, for [`reconcile`](super::reconcile) to decide on.

use crate::model::{Kind, NodeId, Side, State};
use crate::store::Tx;
use crate::store::content::Content;
use crate::store::pending::node_aspects;
use crate::store::rows::{Aspects, Item, Node, ServerSide};
use crate::store::tree::Tree;

use super::verdict::Facts;

pub fn facts(tx: &Tx<'_>, item: &Item) -> Facts {
    let tree = tx.tree();
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node)).map(|live| &live.row);
    let base = item.base.as_deref();
    let server = tree.server_state(item);
    let mut facts =
        Facts { base: base.is_some(), local: node.is_some(), server: server.is_some(), ..Facts::default() };
    facts.here = match (base, node) {
        (Some(_), Some(_)) => crate::store::pending::aspects(tree, item),
        _ => Aspects::empty(),
    };
    if let (Some(base), Some(server)) = (base, server) {
        facts.there = state_aspects(base, server);
    }
    if let (Some(node), Some(server)) = (node, server) {
        facts.same = same(tx, item, node, server);
        facts.other_kind = node.kind != server.meta.kind;
    }
    facts.folder = node.map(|n| n.kind).or(server.map(|s| s.meta.kind)) == Some(Kind::Folder);
    facts.unsure = unsure(tx, base, node, server);
    if let (None, Some(server)) = (node, server) {
        let parent = server.parent.and_then(|p| tree.item(p));
        // A file made in its place is no folder either.
        facts.folder_gone_here = parent.is_some_and(|p| match &p.entry {
            None => true,
            Some(entry) => tree.node(entry.node).is_some_and(|l| l.row.kind != Kind::Folder),
        });
    }
    if let Some(entry) = &item.entry {
        facts.folder_gone_there = lies_in_gone(tree, entry.parent);
    }
    facts
}

/// Whether one of the folders above was removed on the server, or is no folder there any more.
pub(super) fn lies_in_gone(tree: &Tree, folder: NodeId) -> bool {
    let mut next = tree.folder_item(folder);
    for _ in 0..4096 {
        let Some(item) = next.and_then(|id| tree.item(id)) else {
            return false;
        };
        if !is_folder_there(tree, item) {
            return true;
        }
        next = tree.place(item, Side::Local).map(|(parent, _)| parent);
    }
    false
}

/// Whether a folder of ours is one there too, or is to be made there.
pub fn is_folder_there(tree: &Tree, item: &Item) -> bool {
    match &item.server {
        ServerSide::AsBase => true,
        ServerSide::Gone => false,
        ServerSide::At(_) => tree.server_state(item).is_some_and(|s| s.meta.kind == Kind::Folder),
    }
}

/// In which respects the server's state differs from `base`.
pub fn state_aspects(base: &State, server: &State) -> Aspects {
    let mut aspects = Aspects::empty();
    if base.parent != server.parent || base.name != server.name {
        aspects |= Aspects::PLACE;
    }
    let kind = server.meta.kind;
    if base.meta.kind != kind
        || (kind == Kind::File && base.content != server.content)
        || (kind == Kind::Symlink && base.meta.link_target != server.meta.link_target)
    {
        aspects |= Aspects::CONTENT;
    }
    if kind != Kind::Symlink && base.meta.mode != server.meta.mode {
        aspects |= Aspects::MODE;
    }
    if let (Some(old), Some(new)) = (&base.meta.xattrs, &server.meta.xattrs)
        && old != new
    {
        aspects |= Aspects::XATTRS;
    }
    // Nothing that matters, but the server's mark is another one: `base` takes it over.
    if aspects.is_empty()
        && (base.meta.version != server.meta.version || base.meta.mtime != server.meta.mtime)
    {
        aspects |= Aspects::TIMES;
    }
    aspects
}

pub(super) fn same(tx: &Tx<'_>, item: &Item, node: &Node, server: &State) -> Aspects {
    let mut same = Aspects::all() - node_aspects(node, server);
    if node.kind == Kind::File && server.meta.kind == Kind::File {
        let digest = |id| tx.content(id).filter(|c| c.is_sealed() && c.is_whole()).and_then(|c| c.digest());
        let equal = match (node.content, server.content) {
            (a, b) if a == b => true,
            (None, Some(_)) => server.meta.size == 0,
            (Some(a), Some(b)) => digest(a).is_some() && digest(a) == digest(b),
            _ => false,
        };
        same.set(Aspects::CONTENT, equal);
    }
    let place = tx.tree().place(item, Side::Local);
    same.set(Aspects::PLACE, place == server.parent.map(|p| (p, server.name.clone())));
    same
}

/// Its bytes are here, or were: then its digest is known.
fn can_be_compared(content: &Content) -> bool {
    content.is_whole() || content.digest().is_some()
}

/// Whether only a look at the bytes can tell if two contents are the same.
pub(super) fn unsure(tx: &Tx<'_>, base: Option<&State>, node: Option<&Node>, server: Option<&State>) -> bool {
    let Some(server) = server.filter(|s| s.meta.kind == Kind::File) else {
        return false;
    };
    let Some(theirs) = server.content.and_then(|id| tx.content(id)) else {
        return false;
    };
    if theirs.is_whole() && theirs.is_sealed() {
        // Known; but ours may not be, or what both had before may be found to be the same.
        let ours = node.and_then(|n| n.content);
        let before = base.and_then(|b| b.content);
        return [ours, before].into_iter().flatten().any(|id| {
            let known = tx.content(id).filter(|c| id != theirs.id() && can_be_compared(c));
            known.is_some_and(|c| {
                c.size() == theirs.size()
                    && (!c.is_sealed() || (before == Some(id) && c.digest() == theirs.digest()))
            })
        });
    }
    let differs_here = match (base, node) {
        (Some(base), Some(node)) => node.content != base.content,
        _ => true,
    };
    let like_local = node.is_some_and(|n| {
        differs_here && n.kind == Kind::File && n.size == server.meta.size && n.content != server.content
    });
    // The server's mark changed, and the size did not: a mode or a time was set, by somebody or by the
    // server itself.
    let like_base = base.is_some_and(|b| {
        b.meta.kind == Kind::File
            && b.content != server.content
            && b.meta.size == server.meta.size
            && b.content.and_then(|id| tx.content(id)).is_some_and(|c| can_be_compared(&c))
    });
    like_local || like_base
}
