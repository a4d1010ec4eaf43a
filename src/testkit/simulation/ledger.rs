//! Which versions exist, and which of them must not be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_engine::model::{Digest, Kind, Side};

use super::machine::Machine;
use crate::server::{Effect, Hit};
use crate::snapshot::{Entry, Snapshot};

/// Versions of files, by digest.
pub(super) type Versions = BTreeSet<[u8; 32]>;

#[derive(Clone, Default)]
pub(super) struct Ledger {
    /// What the program left and has neither overwritten nor removed.
    pub must: Versions,
    /// Whatever stood in the local tree at any time.
    ever: Versions,
    /// Of the server's: what the engine knew as the original at some time.
    known: Versions,
    /// Whatever stood on the server when somebody looked.
    theirs: Versions,
    effects_seen: usize,
    /// Where each version of the program's first stood, for a person.
    first_seen: BTreeMap<[u8; 32], String>,
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Digest::of(bytes).0
}

pub(super) fn versions(tree: &Snapshot) -> Versions {
    let content = |entry: &Entry| match entry {
        Entry::File { content, .. } => Some(digest(content)),
        _ => None,
    };
    tree.0.values().filter_map(content).collect()
}

impl Ledger {
    /// A step of the program made the one tree into the other.
    pub fn program(&mut self, old: &Snapshot, new: &Snapshot) {
        if old == new {
            return;
        }
        for (path, entry) in &new.0 {
            if let Entry::File { content, .. } = entry {
                let text = || format!("{path}, {} bytes", content.len());
                self.first_seen.entry(digest(content)).or_insert_with(text);
            }
        }
        let (old, new) = (versions(old), versions(new));
        self.must.retain(|d| !old.contains(d) || new.contains(d));
        self.must.extend(new.difference(&old));
        self.ever.extend(new);
    }

    /// The engine's whole tree, whoever made it so.
    pub fn local(&mut self, tree: &Snapshot) {
        self.ever.extend(versions(tree));
    }

    /// The program could not be followed: what it may have taken away is no longer asked for.
    pub fn lost_sight(&mut self, old: &Snapshot, new: &Snapshot) {
        let (old, new) = (versions(old), versions(new));
        self.must.retain(|d| !old.contains(d) || new.contains(d));
    }

    /// What the engine believes to be the original, where that is so on the server.
    fn learn(&mut self, machine: &Machine) {
        let handle = machine.handle();
        let tree = handle.store().read();
        let Some(location) = tree.locations().next().map(|l| l.row.id) else {
            return;
        };
        for (path, meta, content) in machine.server.files() {
            self.theirs.insert(digest(&content));
            let Some(id) = tree.resolve(location, &path, Side::Server) else {
                continue;
            };
            let base = tree.item(id).and_then(|item| item.base.as_deref());
            if base.is_some_and(|b| b.meta.kind == Kind::File && b.meta.version == meta.version) {
                self.known.insert(digest(&content));
            }
        }
    }

    fn stashed(machine: &Machine) -> Versions {
        let handle = machine.handle();
        let store = handle.store();
        let tree = store.read();
        let mut found = Versions::new();
        for row in tree.stash().values().filter(|row| row.kind == Kind::File) {
            let Some(content) = row.content.and_then(|id| store.contents().get(id)) else {
                found.insert(digest(b""));
                continue;
            };
            let mut bytes = vec![0; content.size() as usize];
            if content.read_at(0, &mut bytes).is_ok() {
                found.insert(digest(&bytes));
            }
        }
        found
    }

    /// What stands in the local tree and is wholly here, whatever else is missing.
    fn here(machine: &Machine) -> Versions {
        let handle = machine.handle();
        let store = handle.store();
        let tree = store.read();
        let entries = tree.items().filter_map(|item| item.entry.as_ref());
        let contents = entries.filter_map(|entry| tree.node(entry.node)?.row.content);
        let whole = contents.filter_map(|id| store.contents().get(id).filter(|c| c.is_whole()));
        let read = |content: Arc<holdfast_engine::store::content::Content>| {
            let mut bytes = vec![0; content.size() as usize];
            content.read_at(0, &mut bytes).ok().map(|_| digest(&bytes))
        };
        whole.filter_map(read).collect()
    }

    /// Looks at what was done on the server since the last look.
    pub fn look(&mut self, machine: &Machine, wrong: &mut Vec<String>) {
        let effects = machine.server.effects();
        let new = &effects[self.effects_seen..];
        self.effects_seen = effects.len();
        if !new.is_empty() {
            self.ever.extend(Self::here(machine));
            let stashed = Self::stashed(machine);
            let hits = machine.server.hits();
            for effect in new {
                self.judge(effect, &stashed, &hits, wrong);
            }
        }
        self.learn(machine);
    }

    fn judge(&mut self, effect: &Effect, stashed: &Versions, hits: &[Hit], wrong: &mut Vec<String>) {
        let path = String::from_utf8_lossy(&effect.path).into_owned();
        if let Some(after) = &effect.after {
            let after = digest(after);
            // The second user's, copied or moved aside here, is fine as well.
            if !self.ever.contains(&after) && !self.theirs.contains(&after) {
                wrong.push(format!("{} {path}: these bytes were never in the tree here", effect.call));
            }
            self.known.insert(after);
        }
        let Some(before) = &effect.before else { return };
        let was = digest(before);
        let excused = hits.iter().any(|hit| is_hit(hit, before));
        if !(excused || self.known.contains(&was) || self.ever.contains(&was) || stashed.contains(&was)) {
            wrong.push(format!(
                "{} {path}: a version of the second user's ({} bytes) was replaced, was never known here and is \
                 not in the stash",
                effect.call,
                before.len()
            ));
        }
    }

    /// At the end: everything that must be somewhere is somewhere.
    pub fn nothing_lost(&self, machine: &Machine, local: &Snapshot, wrong: &mut Vec<String>) {
        let mut there = versions(local);
        there.extend(versions(&machine.server.tree()));
        there.extend(Self::stashed(machine));
        // What was on the server and went from it went by the second user's hand.
        there.extend(machine.server.effects().iter().filter_map(|e| e.after.as_ref()).map(|a| digest(a)));
        for lost in self.must.difference(&there) {
            let place = self.first_seen.get(lost).map_or("?", String::as_str);
            wrong.push(format!("a version that the program wrote is nowhere: {place}"));
        }
    }
}

fn is_hit(hit: &Hit, before: &Arc<Vec<u8>>) -> bool {
    match hit {
        Hit::Lost { content, .. } | Hit::Displaced { content, .. } | Hit::Unseen { content, .. } => {
            content == before
        }
    }
}
