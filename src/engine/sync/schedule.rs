//! Which record may be sent now, and what it does on the server. Pure: no I/O, no clock.
//!
//! Order follows from the trees: a thing is made after the folder it lies in, a folder goes after
//! all that the server has in it, a name is taken after who has it there has left. Records that
//! wait for one another in a circle are broken up by a step aside.

use std::time::Duration;

use crate::model::{ItemId, Kind, Name, Side};
use crate::store::rows::{Aspects, Item, ServerSide};
use crate::store::tree::Tree;

/// A record is sent after so much quiet,
pub const QUIET: Duration = Duration::from_secs(1);
/// but no later than this after its first change.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A file that stays open is sent after so long without writes.
pub const OPEN_QUIET: Duration = Duration::from_secs(60);

/// What one record does on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    CreateFile,
    CreateFolder,
    CreateSymlink,
    /// A new name for the file of another item.
    CreateLink(ItemId),
    /// New content for a file (or target for a link).
    Replace,
    /// It has become another kind of thing: the old one goes first.
    RemoveForType,
    Move,
    RemoveFile,
    RemoveFolder,
    Attributes,
}

/// Whether a record may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    Send(Step),
    /// Not before this `World::elapsed`.
    At(Duration),
    /// Another record goes first.
    Behind(ItemId),
    /// Nothing to send, or something stands in the way that only a person or the server moves.
    No,
}

pub fn readiness(tree: &Tree, item: &Item, now: Duration, cut_short: bool) -> Readiness {
    let Some(pending) = item.pending else {
        return Readiness::No;
    };
    if item.sending.is_some()
        || item.conflict.is_some()
        || item.problem.is_some()
        || item.server != ServerSide::AsBase
    {
        return Readiness::No;
    }
    if let Some(at) = settles_at(tree, item, cut_short)
        && at > now
    {
        return Readiness::At(at);
    }
    match step(tree, item, pending.aspects) {
        Ok(step) => Readiness::Send(step),
        Err(Some(other)) => Readiness::Behind(other),
        Err(None) => Readiness::No,
    }
}

/// When a record has settled; `None` where there is nothing to wait for.
fn settles_at(tree: &Tree, item: &Item, cut_short: bool) -> Option<Duration> {
    let Some(entry) = &item.entry else {
        return tree.removed_at(item).filter(|_| !cut_short).map(|at| at + QUIET);
    };
    let live = tree.node(entry.node)?;
    let (first, last) = **live.changed.as_ref()?;
    if live.writers > 0 || live.row.writing {
        return Some(last + OPEN_QUIET);
    }
    if cut_short {
        return None;
    }
    Some((last + QUIET).min(first + PATIENCE))
}

fn step(tree: &Tree, item: &Item, aspects: Aspects) -> Result<Step, Option<ItemId>> {
    if aspects.contains(Aspects::REMOVE) {
        return removal(tree, item);
    }
    let entry = item.entry.as_ref().ok_or(None)?;
    let live = tree.node(entry.node).ok_or(None)?;
    let kind = live.row.kind;
    if aspects.contains(Aspects::CREATE) {
        place_is_free(tree, item)?;
        return match kind {
            Kind::Folder => Ok(Step::CreateFolder),
            Kind::Symlink => Ok(Step::CreateSymlink),
            Kind::File => match linked(tree, item) {
                Some(Linked::There(other)) => Ok(Step::CreateLink(other)),
                Some(Linked::Coming(other)) => Err(Some(other)),
                None => Ok(Step::CreateFile),
            },
            Kind::Special(_) => Err(None),
        };
    }
    if aspects.contains(Aspects::PLACE) {
        place_is_free(tree, item)?;
        return Ok(Step::Move);
    }
    let base_kind = item.base.as_deref().map(|b| b.meta.kind);
    if aspects.contains(Aspects::CONTENT) && base_kind != Some(kind) {
        return match base_kind {
            Some(Kind::Folder) => removal(tree, item).map(|_| Step::RemoveForType),
            _ => Ok(Step::RemoveForType),
        };
    }
    if aspects.contains(Aspects::CONTENT) {
        return Ok(Step::Replace);
    }
    Ok(Step::Attributes)
}

fn removal(tree: &Tree, item: &Item) -> Result<Step, Option<ItemId>> {
    if item.base.as_deref().is_some_and(|b| b.meta.kind != Kind::Folder) {
        return Ok(Step::RemoveFile);
    }
    // What the server has in it goes or moves first, what is on its way into it waits.
    match tree.server_children(item.id).first() {
        Some((_, child)) => Err(Some(*child)),
        None => Ok(Step::RemoveFolder),
    }
}

/// Whether the folder is there on the server and the name in it is free.
fn place_is_free(tree: &Tree, item: &Item) -> Result<(), Option<ItemId>> {
    let (parent, name) = tree.place(item, Side::Local).ok_or(None)?;
    let folder = tree.item(parent).ok_or(None)?;
    let there = folder.base.is_some() && folder.server != ServerSide::Gone;
    if !there || folder.sending.as_ref().is_some_and(|i| i.aspects.contains(Aspects::REMOVE)) {
        return Err(Some(parent));
    }
    // A folder cannot be moved into one that itself is still inside it on the server.
    if tree.lies_in(parent, item.id, Side::Server) {
        return Err(Some(parent));
    }
    match occupant(tree, parent, &name) {
        Some(other) if other != item.id => Err(Some(other)),
        _ => Ok(()),
    }
}

fn occupant(tree: &Tree, parent: ItemId, name: &Name) -> Option<ItemId> {
    let there = tree.server_child(parent, name.as_bytes()).or_else(|| tree.sent_to(parent, name));
    there.or_else(|| {
        // On its way out of there, or its answer is not known yet.
        let is_sending = |id: &ItemId| tree.item(*id).is_some_and(|i| i.sending.is_some());
        tree.base_at(parent, name.as_bytes()).find(is_sending)
    })
}

/// Another name of the same file that the server has, or is to get first.
enum Linked {
    There(ItemId),
    Coming(ItemId),
}

fn linked(tree: &Tree, item: &Item) -> Option<Linked> {
    let live = tree.node(item.entry.as_ref()?.node)?;
    let mut coming = None;
    for other in live.links.iter().filter(|id| **id != item.id).filter_map(|id| tree.item(*id)) {
        let is_open = other.conflict.is_some() || other.problem.is_some() || other.local_only;
        if is_open || other.location != item.location || other.server != ServerSide::AsBase {
            continue;
        }
        let same = other.base.as_deref().map(|b| b.content.is_some() && b.content == live.row.content);
        match same {
            Some(true) if other.sending.is_none() && other.pending.is_none() => {
                return Some(Linked::There(other.id));
            }
            // Two that are new wait for one another in the order of their numbers.
            None if other.id > item.id => {}
            _ if other.sending.is_some() || other.pending.is_some() => coming = Some(other.id),
            _ => {}
        }
    }
    coming.map(Linked::Coming)
}

/// Follows who waits for whom from one record; where that leads back to a move, the move that is
/// to step aside.
pub fn circle(tree: &Tree, start: ItemId, now: Duration) -> Option<ItemId> {
    let mut seen = Vec::new();
    let mut id = start;
    loop {
        if let Some(at) = seen.iter().position(|s| *s == id) {
            return seen[at..].iter().copied().find(|id| {
                let item = tree.item(*id);
                let aspects = item.and_then(|i| i.pending).map(|p| p.aspects).unwrap_or_default();
                let base = item.and_then(|i| i.base.as_deref());
                // What stands aside already would only do it again.
                let is_aside = base.is_some_and(|base| base.name.is_temporary());
                aspects.contains(Aspects::PLACE) && !aspects.contains(Aspects::CREATE) && !is_aside
            });
        }
        seen.push(id);
        match readiness(tree, tree.item(id)?, now, true) {
            Readiness::Behind(next) => id = next,
            _ => return None,
        }
        if seen.len() > 10_000 {
            return None;
        }
    }
}
