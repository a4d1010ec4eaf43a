//! The end of an engine or a machine, and what must be there afterwards.

use std::collections::BTreeSet;

use holdfast_engine::model::LocPath;

use super::ledger::Ledger;
use super::oracle::Oracle;
use super::run::{Scene, changed_paths};
use crate::local::Program;
use crate::snapshot::{Entry, Snapshot};

/// The tree after an acknowledged operation of a lone program.
pub(super) struct Prefix {
    /// Of the last journal record of it.
    seq: u64,
    tree: Snapshot,
    ledger: Ledger,
    /// Bytes of files that were open for writing: a crash of the machine may leave others.
    unfinished: Vec<Vec<u8>>,
}

impl Scene {
    pub fn note_prefix(&mut self) {
        self.prefixes.push(Prefix {
            seq: self.machine.handle().store().seq(),
            tree: self.oracle.tree(),
            ledger: self.ledger.clone(),
            unfinished: self.oracle.unfinished(),
        });
    }

    /// Both what was and what would have been are possible: the engine died in the middle.
    pub fn doubt(&mut self, before: &Snapshot, after: &Snapshot) {
        self.doubted = changed_paths(before, after);
    }

    /// A step that failed for want of space changed nothing else.
    pub fn confined(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        like: impl Fn(Snapshot) -> Snapshot,
        wrong: &mut Vec<String>,
    ) {
        // What was not here before is not known: it may have come meanwhile.
        if self.stale || self.oracle.hazy {
            return;
        }
        let Some(tree) = self.machine.tree() else { return };
        let meant: BTreeSet<LocPath> = changed_paths(before, after).into_iter().collect();
        for path in changed_paths(&like(before.clone()), &like(tree)) {
            if !meant.contains(&path) {
                wrong.push(format!("{path} was changed by a step that only failed for want of space"));
            }
        }
    }

    /// Ends engine or machine, starts again, and looks at what is left.
    pub fn restart(&mut self, machine: bool, lone: bool, wrong: &mut Vec<String>) -> Result<(), String> {
        let what = if machine { "the machine goes down" } else { "the engine is killed" };
        self.machine.world.trace(|| what.to_owned());
        let expected = self.oracle.tree();
        let doubted: BTreeSet<LocPath> = std::mem::take(&mut self.doubted).into_iter().collect();
        let committed = self.machine.disk.committed();
        let was_stale = self.stale || self.oracle.hazy;
        self.machine.restart(machine)?;
        self.program = Program::new(&self.machine.up.kernel);
        let tree = self.machine.tree();
        if machine {
            self.after_crash(tree.as_ref(), committed, lone && !was_stale, wrong);
        } else if let Some(tree) = tree.as_ref().filter(|_| lone && !was_stale) {
            same_but(&expected, tree, &doubted, "after a kill", wrong);
        }
        if tree.is_none() && lone {
            // What was fetched and not synced is gone, and fetched again.
            self.machine.world.trace(|| "not all is here after the restart".into());
        }
        self.oracle = Oracle::of(&self.machine, &self.program)?;
        self.stale = self.oracle.hazy;
        self.prefixes.clear();
        self.note_prefix();
        Ok(())
    }

    /// The tree, if all of it is here, is one of a prefix of the acknowledged operations, and all that
    /// was committed is in it.
    fn after_crash(&mut self, tree: Option<&Snapshot>, committed: u64, lone: bool, wrong: &mut Vec<String>) {
        let at = self.prefixes.iter().rposition(|p| p.seq <= committed).unwrap_or(0);
        let Some(prefix) = self.prefixes.get(at) else {
            return;
        };
        if let Some(tree) = tree.filter(|_| lone) {
            // What the next operation had half done is as it was or as it was to be.
            let next = self.prefixes.get(at + 1).filter(|_| prefix.seq < committed);
            let mut doubted: BTreeSet<LocPath> = next
                .map(|next| changed_paths(&prefix.tree, &next.tree).into_iter().collect())
                .unwrap_or_default();
            let unfinished = prefix.unfinished.iter().chain(next.iter().flat_map(|n| &n.unfinished));
            let unfinished: BTreeSet<&Vec<u8>> = unfinished.collect();
            for (path, entry) in &prefix.tree.0 {
                if matches!(entry, Entry::File { content, .. } if unfinished.contains(content)) {
                    doubted.insert(path.clone());
                }
            }
            same_but(&prefix.tree, tree, &doubted, "after a crash of the machine", wrong);
        }
        // What came after the last commit may be lost; what it took away is not back for sure.
        let must = &prefix.ledger.must;
        let unfinished: BTreeSet<[u8; 32]> =
            prefix.unfinished.iter().map(|b| super::ledger::digest(b)).collect();
        self.ledger.must.retain(|d| must.contains(d) && !unfinished.contains(d));
    }
}

fn same_but(
    expected: &Snapshot,
    tree: &Snapshot,
    doubted: &BTreeSet<LocPath>,
    when: &str,
    wrong: &mut Vec<String>,
) {
    let plain = |tree: &Snapshot| {
        let mut tree = tree.clone().without_times().without_modes();
        tree.0.retain(|path, _| !doubted.contains(path));
        tree
    };
    for line in plain(tree).differences(&plain(expected)) {
        wrong.push(format!("{when} the tree is no prefix: {line}"));
    }
}
