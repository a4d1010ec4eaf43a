//! Taking a reconnection back: what both sides had agreed on before it is here again, as new changes.
//!
//! All in one step. An item that cannot go back as a whole stays as it is, and is counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ContentId, ItemId, Kind, NodeId, Side, State};
use crate::reconcile::{local_folder, node_like};
use crate::store::Tx;
use crate::store::rows::{Before, Did, Entry, Item, Node};
use crate::store::tree::Tree;

use super::stash::stash_agreed;
use super::undo::{in_the_way, put_back_local, remove_made};

const TAKEN_BACK: &str = "a reconnection was taken back";
/// One that stays may keep others from going back; it is tried anew without them so often.
const TRIES: usize = 64;

/// Returns how many items stay as they are.
pub fn undo_reconnection(tx: &mut Tx<'_>, befores: &[Before]) -> Result<u64, String> {
    let befores: BTreeMap<ItemId, &Before> = befores.iter().map(|before| (before.item, before)).collect();
    let mut left_out: BTreeSet<ItemId> = BTreeSet::new();
    for _ in 0..TRIES {
        let going: BTreeMap<ItemId, &Before> =
            befores.iter().filter(|(id, _)| !left_out.contains(id)).map(|(id, b)| (*id, *b)).collect();
        if going.is_empty() {
            break;
        }
        let tried = tx.decide(|tx| {
            let stay = Putting::new(&going).all(tx);
            if stay.is_empty() { Ok(()) } else { Err(stay) }
        });
        match tried {
            Ok(_) => return Ok(left_out.len() as u64),
            Err(stay) => left_out.extend(stay),
        }
    }
    Err(format!(
        "none of its {} items can be put back now: what is to go or to come back is not here, is open in a \
         program, waits in a conflict, or something else stands in its place",
        befores.len()
    ))
}

struct Putting<'a> {
    going: &'a BTreeMap<ItemId, &'a Before>,
    ids: BTreeSet<ItemId>,
    seen: BTreeSet<ItemId>,
    /// These cannot go back.
    stay: BTreeSet<ItemId>,
    /// The nodes that replaced others, and what they have: names of one file stay names of one file.
    made: BTreeMap<(NodeId, Option<ContentId>), NodeId>,
}

impl<'a> Putting<'a> {
    fn new(going: &'a BTreeMap<ItemId, &'a Before>) -> Putting<'a> {
        let ids = going.keys().copied().collect();
        Putting { going, ids, seen: BTreeSet::new(), stay: BTreeSet::new(), made: BTreeMap::new() }
    }

    /// Which cannot go back.
    fn all(mut self, tx: &mut Tx<'_>) -> BTreeSet<ItemId> {
        let (mut made, mut files) = (Vec::new(), Vec::new());
        for (id, before) in self.going {
            match base_of(before) {
                None => made.push(*id),
                Some(base) if base.meta.kind != Kind::Folder && is_folder(tx.tree(), *id) => files.push(*id),
                Some(_) => self.put_below(tx, *id),
            }
        }
        // What was made goes when what was moved into it is where it was, and the deepest first.
        made.sort_by_cached_key(|id| std::cmp::Reverse(depth(tx.tree(), *id)));
        made.into_iter().for_each(|id| self.remove(tx, id));
        files.into_iter().for_each(|id| self.put_below(tx, id));
        self.stay.extend(in_the_way(tx.tree(), &self.ids).into_iter().map(|(id, _)| id));
        self.stay
    }

    /// The folders above it come first.
    fn put_below(&mut self, tx: &mut Tx<'_>, id: ItemId) {
        let mut way = vec![id];
        while let Some(above) = way.last().and_then(|id| base_of(self.going.get(id)?)?.parent) {
            if self.seen.contains(&above) || !self.going.contains_key(&above) || way.contains(&above) {
                break;
            }
            way.push(above);
        }
        for id in way.into_iter().rev() {
            if self.seen.insert(id)
                && let Some(before) = self.going.get(&id).copied()
                && let Some(base) = base_of(before)
                && self.put(tx, before, base).is_none()
            {
                self.stay.insert(id);
            }
        }
    }

    /// `None` where it cannot be.
    fn put(&mut self, tx: &mut Tx<'_>, before: &Before, base: &State) -> Option<()> {
        let id = before.item;
        let now = tx.tree().item(id).cloned();
        let current = now.as_ref().and_then(|item| item.entry.clone());
        let node = current.as_ref().and_then(|e| tx.tree().node(e.node)).map(|live| live.row.clone());
        is_free(tx.tree(), now.as_ref()).then_some(())?;
        if differs(node.as_ref(), base) {
            let is_here = |content: Option<ContentId>| {
                content.is_none_or(|id| tx.content(id).is_some_and(|content| content.is_whole()))
            };
            let holds_things = node
                .as_ref()
                .is_some_and(|node| tx.tree().node(node.id).is_some_and(|live| !live.children.is_empty()));
            let all_here = is_here(base.content) && is_here(node.as_ref().and_then(|n| n.content));
            (all_here && !holds_things).then_some(())?;
            stash_agreed(tx, id, made_by(before), TAKEN_BACK);
        }
        let (parent, name) = match (base.parent, &current) {
            // The location itself, and what stepped aside there to let others pass, stay where they are.
            (None, Some(entry)) => (entry.parent, entry.name.clone()),
            (Some(_), Some(entry)) if base.name.is_temporary() => (entry.parent, entry.name.clone()),
            (None, None) => return None,
            (Some(folder), _) => {
                let parent = local_folder(tx.tree(), folder)?;
                (!tx.tree().lies_in(folder, id, Side::Local)).then_some(())?;
                (parent, base.name.clone())
            }
        };
        let taken = tx.tree().child(parent, name.as_bytes());
        taken.is_none_or(|other| other == id || self.ids.contains(&other)).then_some(())?;
        let was = node.as_ref().map(|node| node.id);
        let like = owned_like(tx, base, node, now.as_ref().is_none_or(|item| item.base.is_none()));
        let known = was.and_then(|was| self.made.get(&(was, base.content)).copied());
        let entry = Entry { parent, name, node: known.or(was).unwrap_or(NodeId(0)) };
        let location = before.row.as_deref()?.location;
        let pinned = before.row.as_deref()?.pinned;
        let row = Item { entry: Some(entry), pinned, ..Item::new(id, location) };
        let whole = Before { node: Some(Box::new(like.clone())), ..before.clone() };
        put_back_local(tx, &row, &whole, &self.ids);
        let node = tx.tree().item(id)?.entry.as_ref()?.node;
        if let Some(was) = was {
            self.made.insert((was, base.content), node);
        }
        tx.edit_node(node, |row| {
            row.mode = like.mode;
            row.xattrs = like.xattrs.clone();
            row.ctime = like.ctime;
        });
        crate::fileops::note_change(tx, node);
        tx.invalidate_node(node);
        tx.relog(id);
        tx.happened(id, TAKEN_BACK);
        Some(())
    }

    fn remove(&mut self, tx: &mut Tx<'_>, id: ItemId) {
        let Some(item) = tx.tree().item(id) else { return };
        let Some(entry) = &item.entry else { return };
        let Some(live) = tx.tree().node(entry.node) else { return };
        let is_here = live.row.content.is_none_or(|id| tx.content(id).is_some_and(|c| c.is_whole()));
        if !is_free(tx.tree(), Some(item)) || !is_here || !live.children.is_empty() {
            self.stay.insert(id);
            return;
        }
        if let Some(before) = self.going.get(&id) {
            stash_agreed(tx, id, made_by(before), TAKEN_BACK);
        }
        tx.happened(id, TAKEN_BACK);
        remove_made(tx, id);
    }
}

fn base_of(before: &Before) -> Option<&State> {
    before.row.as_deref()?.base.as_deref()
}

fn made_by(before: &Before) -> Side {
    if before.did.contains(Did::SENT) { Side::Local } else { Side::Server }
}

fn is_folder(tree: &Tree, id: ItemId) -> bool {
    local_folder(tree, id).is_some()
}

fn depth(tree: &Tree, id: ItemId) -> usize {
    let above = |id: &ItemId| Some(tree.place(tree.item(*id)?, Side::Local)?.0);
    std::iter::successors(Some(id), above).take(4096).count()
}

/// Whether nothing holds it where it is: a conflict, a record whose answer is not known, a program that
/// has it open for writing.
fn is_free(tree: &Tree, item: Option<&Item>) -> bool {
    let Some(item) = item else { return true };
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    let is_written = node.is_some_and(|live| live.writers > 0 || live.row.writing);
    item.conflict.is_none() && item.sending.is_none() && !item.local_only && !is_written
}

/// Whether what is here has other bytes, or is another kind of thing.
fn differs(node: Option<&Node>, base: &State) -> bool {
    node.is_none_or(|node| {
        node.kind != base.meta.kind
            || match node.kind {
                Kind::File => node.content != base.content,
                Kind::Symlink => node.link_target != base.meta.link_target,
                _ => false,
            }
    })
}

/// A node for what both sides had, owned as what is here now.
fn owned_like(tx: &Tx<'_>, base: &State, node: Option<Node>, listed: bool) -> Node {
    let like = Node { listed, ..node_like(tx, base) };
    let Some(node) = node else { return like };
    let xattrs = base.meta.xattrs.clone().unwrap_or(node.xattrs);
    Node { uid: node.uid, gid: node.gid, xattrs, ..like }
}
