//! One run: steps are drawn and done, and what can be checked is checked after each.

use std::time::Duration;

use holdfast_engine::fileops::OpError;

use super::crash::Prefix;
use super::ledger::Ledger;
use super::machine::{Machine, at_once};
use super::oracle::Oracle;
use super::plan::Plan;
use super::plant::Plant;
use super::telling::{brief, describe};
use super::{Ended, Failure};
use crate::local::{Op, Outcome, Program, RandomProgram, Step};
use crate::rng::Rng;
use crate::server::RandomUser;
use crate::snapshot::{Entry, Snapshot};
use crate::words;

/// A program waits so long for one step.
const STEP_LIMIT: Duration = Duration::from_secs(300);

pub(super) struct Run {
    pub plan: Plan,
    plant: Plant,
    pub rng: Rng,
    draw: RandomProgram,
    pub user: RandomUser,
    pub wrong: Vec<String>,
    pub conflicts: usize,
    /// Reconnections that were taken back.
    pub taken_back: usize,
}

/// What a run works on, once the machine is there.
pub(super) struct Scene {
    pub machine: Machine,
    pub program: Program,
    pub oracle: Oracle,
    pub ledger: Ledger,
    pub prefixes: Vec<Prefix>,
    /// Paths of a call in whose middle the engine died.
    pub doubted: Vec<holdfast_engine::model::LocPath>,
    /// The oracle must be made anew: the tree may have changed without it.
    pub stale: bool,
}

impl Run {
    pub fn new(plan: Plan, plant: Plant) -> Run {
        let rng = |label| Rng::of(plan.seed, label);
        Run {
            plant,
            rng: rng("steps"),
            draw: RandomProgram::new(rng("program")),
            user: RandomUser::new(rng("second user")),
            wrong: Vec::new(),
            conflicts: 0,
            taken_back: 0,
            plan,
        }
    }

    pub fn go(mut self) -> Result<Ended, Box<Failure>> {
        let mut first = Rng::of(self.plan.seed, "first files");
        let files = self.plan.first_files;
        let machine = Machine::new(&self.plan, self.plant, |server| {
            let folders = [Vec::new(), b"docs".to_vec()];
            for _ in 0..files {
                let path = words::path_in(&mut first, &folders);
                if !server.user().exists(&path) {
                    server.user().write(&path, words::content(&mut first));
                }
            }
        });
        let machine = match machine {
            Ok(machine) => machine,
            Err(message) => return Err(self.failure(None, message)),
        };
        let program = Program::new(&machine.up.kernel);
        let oracle = match Oracle::of(&machine, &program) {
            Ok(oracle) => oracle,
            Err(message) => return Err(self.failure(Some(&machine), message)),
        };
        let mut scene = Scene {
            machine,
            program,
            oracle,
            ledger: Ledger::default(),
            prefixes: Vec::new(),
            doubted: Vec::new(),
            stale: false,
        };
        if let Some(tree) = scene.machine.tree() {
            scene.ledger.local(&tree);
        }
        scene.note_prefix();
        for number in 0..self.plan.steps {
            scene.machine.world.trace(|| format!("--- step {number}"));
            self.step(&mut scene);
            self.check(&mut scene);
            if !self.wrong.is_empty() {
                return Err(self.failure(Some(&scene.machine), String::new()));
            }
        }
        self.agreement(&mut scene);
        if !self.wrong.is_empty() {
            return Err(self.failure(Some(&scene.machine), String::new()));
        }
        Ok(Ended {
            hash: scene.machine.world.trace_hash(),
            conflicts: self.conflicts,
            taken_back: self.taken_back,
            effects: scene.machine.server.effects().len(),
            kills: scene.machine.kills,
        })
    }

    fn failure(&mut self, machine: Option<&Machine>, message: String) -> Box<Failure> {
        let mut wrong = std::mem::take(&mut self.wrong);
        if !message.is_empty() {
            wrong.push(message);
        }
        Box::new(Failure {
            seed: self.plan.seed,
            plan: self.plan.words(),
            wrong,
            trace: machine.map(|m| m.world.trace_tail(400)).unwrap_or_default(),
        })
    }

    pub fn restart(&mut self, scene: &mut Scene, machine: bool) {
        if let Err(message) = scene.restart(machine, self.plan.lone, &mut self.wrong) {
            self.wrong.push(message);
        }
    }

    // --- programs -----------------------------------------------------------------------------

    /// The program does one thing, which may be several calls.
    pub fn program(&mut self, scene: &mut Scene) {
        // Alone, the tree is only what the program makes of it: the oracle is kept.
        if (scene.stale || !self.plan.lone) && !self.renew(scene) {
            return;
        }
        let steps = self.draw.draw(&scene.oracle.tree());
        for step in steps {
            if self.skips(&step) {
                continue;
            }
            let before = scene.oracle.tree();
            scene.machine.invalidate();
            scene.machine.world.trace(|| describe(&step));
            let waited;
            let outcome = {
                let mut running = std::pin::pin!(scene.program.run(&step));
                match at_once(running.as_mut()) {
                    Some(outcome) => {
                        waited = false;
                        Some(outcome)
                    }
                    None => {
                        waited = true;
                        scene.machine.world.run_for(STEP_LIMIT, running)
                    }
                }
            };
            let Some(outcome) = outcome else {
                self.wrong.push(format!("a program hangs: {}", describe(&step)));
                return;
            };
            if scene.machine.disk.is_dead() {
                let _ = scene.oracle.run(&step);
                let after = scene.oracle.tree();
                scene.ledger.lost_sight(&before, &after);
                scene.doubt(&before, &after);
                return self.restart(scene, false);
            }
            if !self.follow(scene, &step, outcome, waited, &before) {
                return;
            }
            scene.note_prefix();
        }
    }

    /// A person gives something another name.
    pub fn renames(&mut self, scene: &mut Scene, from: &[u8], to: &[u8]) {
        let (from, to) = (from.to_vec(), to.to_vec());
        let mode = holdfast_engine::fileops::RenameMode::NoReplace;
        self.by_hand_of_person(scene, Step::Rename { from, to, mode });
    }

    pub fn removes(&mut self, scene: &mut Scene, path: &[u8]) {
        self.by_hand_of_person(scene, Step::Unlink { path: path.to_vec() });
    }

    fn by_hand_of_person(&mut self, scene: &mut Scene, step: Step) {
        scene.machine.invalidate();
        let text = describe(&step);
        scene.machine.world.trace(|| text);
        let ours = scene.machine.world.run_for(STEP_LIMIT, scene.program.run(&step));
        let oracle = scene.oracle.run(&step);
        if !matches!((ours, oracle), (Some(Ok(_)), Ok(_))) {
            scene.stale = true;
        }
    }

    /// The oracle does the same; false where it cannot be followed any further.
    fn follow(
        &mut self,
        scene: &mut Scene,
        step: &Step,
        outcome: Op<Outcome>,
        waited: bool,
        before: &Snapshot,
    ) -> bool {
        let expected = scene.oracle.run(step);
        let after = scene.oracle.tree();
        let hindered = matches!(
            outcome,
            Err(OpError::NoSpace
                | OpError::Unreachable
                | OpError::TimedOut
                | OpError::Stale
                | OpError::NotHere(_))
        );
        if hindered || waited || scene.oracle.hazy {
            if matches!(outcome, Err(OpError::NoSpace)) {
                if !scene.machine.disk.is_full() {
                    self.wrong.push(format!("there is room, and yet there is none: {}", describe(step)));
                }
                if matches!(step, Step::Unlink { .. } | Step::Rmdir { .. } | Step::Rename { .. }) {
                    self.wrong
                        .push(format!("what makes room is refused for want of room: {}", describe(step)));
                }
                // While it waits, what others do on the server comes here.
                if self.plan.lone || !waited {
                    let plan = self.plan.clone();
                    scene.confined(before, &after, |tree| plan.comparable(tree), &mut self.wrong);
                }
            }
            scene.ledger.lost_sight(before, &after);
            scene.stale = true;
            let again = self.renew(scene);
            let now = scene.oracle.tree();
            scene.ledger.local(&now);
            return again && outcome.is_ok();
        }
        if self.plan.modeless(&outcome) != self.plan.modeless(&expected) {
            self.wrong.push(format!(
                "{}: gave {} and should have given {}",
                describe(step),
                brief(&outcome),
                brief(&expected)
            ));
            return false;
        }
        scene.ledger.program(before, &after);
        self.same_tree(scene, &after);
        outcome.is_ok()
    }

    /// The engine's tree is the oracle's.
    pub fn same_tree(&mut self, scene: &Scene, expected: &Snapshot) {
        let Some(tree) = scene.machine.tree() else { return };
        let like = |tree: Snapshot| self.plan.comparable(tree);
        for line in like(tree).differences(&like(expected.clone())) {
            self.wrong.push(format!("engine and oracle differ: {line}"));
        }
    }

    pub fn renew(&mut self, scene: &mut Scene) -> bool {
        match Oracle::of(&scene.machine, &scene.program) {
            Ok(oracle) => {
                scene.stale = false;
                scene.oracle = oracle;
                true
            }
            Err(message) => {
                self.wrong.push(message);
                false
            }
        }
    }

    /// What this kind of server cannot hold only makes problems that never go.
    fn skips(&self, step: &Step) -> bool {
        let can = &self.plan.profile.capabilities;
        match step {
            Step::Symlink { .. } => !can.symlinks,
            // A record that stands still leaves two names of one file on the server that are two here:
            // what is set on one shows on the other.
            Step::Link { .. } => self.plan.lone && (self.plan.kills || self.plan.crashes) && can.hard_links,
            _ => false,
        }
    }

    // --- checks -------------------------------------------------------------------------------

    fn check(&mut self, scene: &mut Scene) {
        if scene.machine.disk.is_dead() {
            self.restart(scene, false);
        }
        scene.machine.invalidate();
        scene.ledger.look(&scene.machine, &mut self.wrong);
        counted(&scene.machine, &mut self.wrong);
        if let Err(message) = scene.machine.look() {
            self.wrong.push(message);
        }
        if let Some(tree) = scene.machine.tree() {
            scene.ledger.local(&tree);
            if self.plan.lone && !scene.stale && !scene.oracle.hazy {
                let expected = scene.oracle.tree();
                self.same_tree(scene, &expected);
            }
        }
        for line in scene.machine.up.kernel.audit() {
            self.wrong.push(format!("the kernel tells programs wrongly: {line}"));
        }
        let handle = scene.machine.handle();
        let tree = handle.store().read();
        for item in tree.items() {
            if let Some(conflict) = &item.conflict
                && self.plan.lone
            {
                let path = tree.known_path(item.id).unwrap_or_default();
                self.wrong.push(format!("a conflict with nobody at {path}: {}", conflict.kind.word()));
            }
        }
    }
}

/// What counts as being here is what is here.
fn counted(machine: &Machine, wrong: &mut Vec<String>) {
    let handle = machine.handle();
    let contents = handle.store().contents();
    let all: u64 = contents.all().iter().map(|content| content.own_bytes()).sum();
    let counted = contents.bytes_in_all();
    if all != counted {
        wrong.push(format!("{all} bytes are here, and {counted} are counted"));
    }
}

impl Plan {
    /// Servers that keep modes their own way change those of the local tree when they like.
    fn modeless(&self, outcome: &Op<Outcome>) -> Op<Outcome> {
        match outcome {
            Ok(Outcome::Stat { kind, size, nlink, .. })
                if self.headstrong || !self.profile.capabilities.modes =>
            {
                Ok(Outcome::Stat { kind: *kind, mode: 0, size: *size, nlink: *nlink })
            }
            outcome => outcome.clone(),
        }
    }

    /// What the server keeps and the oracle knows.
    pub fn comparable(&self, tree: Snapshot) -> Snapshot {
        let tree = tree.without_times();
        let can = &self.profile.capabilities;
        let tree = if can.modes && !self.headstrong { tree } else { tree.without_modes() };
        if can.xattrs { tree } else { tree.without_xattrs() }
    }
}

/// The paths in which two trees differ.
pub(super) fn changed_paths(a: &Snapshot, b: &Snapshot) -> Vec<holdfast_engine::model::LocPath> {
    let mut paths: Vec<_> = a.0.keys().chain(b.0.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    let get = |tree: &Snapshot, path: &_| -> Option<Entry> { tree.0.get(path).cloned() };
    paths.retain(|path| get(a, path) != get(b, path));
    paths
}
