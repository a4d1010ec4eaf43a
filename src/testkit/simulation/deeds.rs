//! Everything that happens in a run besides programs: the second user, the line, time, ends of
//! engine and machine, commands of a person.

use std::time::Duration;

use holdfast_engine::model::{Choice, HistoryKind, HistoryReport, LocPath, Needs, OfflineReason, Selection};

use super::machine::{LOCATION, target};
use super::run::{Run, Scene};
use crate::rng::Rng;
use crate::server::Line;

/// A command is given up after so long.
const LIMIT: Duration = Duration::from_secs(150);

#[derive(Clone, Copy)]
enum Deed {
    Program,
    User,
    Time,
    LongTime,
    Line,
    Faults,
    ByHand,
    Flush,
    Kill,
    KillSoon,
    Crash,
    Full,
    Sync,
    Resolve,
    Undo,
    Evict,
    Forget,
}

const DEEDS: [(u32, Deed); 17] = [
    (50, Deed::Program),
    (18, Deed::User),
    (14, Deed::Time),
    (3, Deed::LongTime),
    (4, Deed::Line),
    (3, Deed::Faults),
    (3, Deed::ByHand),
    (3, Deed::Flush),
    (2, Deed::Kill),
    (2, Deed::KillSoon),
    (2, Deed::Crash),
    (2, Deed::Full),
    (4, Deed::Sync),
    (5, Deed::Resolve),
    (1, Deed::Undo),
    (2, Deed::Evict),
    (2, Deed::Forget),
];

impl Run {
    pub fn step(&mut self, scene: &mut Scene) {
        let plan = &self.plan;
        let deed = self.rng.weighted(&DEEDS);
        let may = match deed {
            Deed::User | Deed::Resolve | Deed::Undo => !plan.lone,
            Deed::Line | Deed::Faults => plan.bad_line,
            Deed::Kill | Deed::KillSoon => plan.kills,
            Deed::Crash => plan.crashes,
            Deed::Full => plan.full_disk,
            _ => true,
        };
        match if may { deed } else { Deed::Program } {
            Deed::Program => self.program(scene),
            Deed::User => {
                for _ in 0..=self.rng.below(3) {
                    self.user.act(&scene.machine.server);
                }
            }
            Deed::Time => {
                let time = self.rng.duration(&(Duration::from_millis(1)..Duration::from_secs(5)));
                self.time(scene, time);
            }
            Deed::LongTime => {
                let time = self.rng.duration(&(Duration::from_secs(5)..Duration::from_secs(200)));
                self.time(scene, time);
            }
            Deed::Line => self.line(scene),
            Deed::Faults => self.faults(scene),
            Deed::ByHand => self.by_hand(scene),
            Deed::Flush => {
                let flushed = scene.machine.handle().store().flush();
                scene.machine.world.trace(|| format!("flush: {flushed:?}"));
            }
            Deed::Kill => self.restart(scene, false),
            Deed::KillSoon => {
                let writes = 1 + self.rng.below(40);
                scene.machine.disk.kill_after(writes);
                scene.machine.world.trace(|| format!("to be killed after {writes} writes"));
            }
            Deed::Crash => self.restart(scene, true),
            Deed::Full => {
                let full = self.rng.chance(500);
                scene.machine.disk.set_full(full);
                scene.machine.world.trace(|| format!("disk full: {full}"));
                if !full {
                    // As the engine does every half second: the first thing after that has room.
                    scene.machine.handle().store().room.restore();
                }
            }
            Deed::Sync => {
                self.sync(scene);
            }
            Deed::Resolve => self.resolve(scene, false),
            Deed::Undo => self.undo(scene),
            Deed::Evict if self.plan.limited && self.rng.chance(500) => self.pin(scene),
            Deed::Evict => {
                let handle = scene.machine.handle();
                let freed = scene.machine.ask(LIMIT, handle.evict(&target(LocPath::root())));
                scene.machine.world.trace(|| format!("evict: {:?}", freed.map(|f| f.ok())));
            }
            Deed::Forget => scene.machine.up.kernel.drop_caches(),
        }
    }

    /// Takes back what is the newest in the history, or anything in it: decisions and reconnections.
    fn undo(&mut self, scene: &mut Scene) {
        let handle = scene.machine.handle();
        let all = scene.machine.ask(LIMIT, handle.history()).and_then(Result::ok).unwrap_or_default();
        let one = self.rng.pick(&all).filter(|_| self.rng.chance(400)).map(|entry| entry.id);
        let undone = scene.machine.ask(LIMIT, handle.undo(one));
        if let Some(Ok(undone)) = &undone {
            self.taken_back += usize::from(undone.kind == HistoryKind::Reconnection);
        }
        let words = |entry: HistoryReport| format!("{}, {} left out", entry.what, entry.left_out);
        let text = format!("undo {one:?}: {:?}", undone.map(|u| u.map(words).map_err(|e| e.to_string())));
        scene.machine.world.trace(|| text);
        scene.stale = true;
    }

    /// Pins the whole location, or no longer.
    fn pin(&mut self, scene: &mut Scene) {
        let handle = scene.machine.handle();
        let all = target(LocPath::root());
        let is_pinned = handle.store().read().items().any(|item| item.pinned);
        let done = match is_pinned {
            true => scene.machine.ask(LIMIT, handle.unpin(&all)),
            false => scene.machine.ask(LIMIT, handle.pin(&all, self.rng.chance(500))),
        };
        let text = format!("pinned {}: {:?}", !is_pinned, done.map(|d| d.map_err(|e| e.to_string())));
        scene.machine.world.trace(|| text);
    }

    fn time(&mut self, scene: &mut Scene, time: Duration) {
        scene.machine.world.run_until_idle(time);
    }

    fn line(&mut self, scene: &mut Scene) {
        let line = self.rng.weighted(&[
            (5, Line::Up),
            (3, Line::Down(OfflineReason::ServerGone)),
            (1, Line::Down(OfflineReason::SignInNeeded)),
            (2, Line::Frozen),
        ]);
        scene.machine.server.line(line);
        scene.machine.handle().network_changed();
    }

    fn faults(&mut self, scene: &mut Scene) {
        let per_mille = |rng: &mut Rng| rng.weighted(&[(3, 0), (2, 20), (1, 150)]);
        let (lost, breaks) = (per_mille(&mut self.rng), per_mille(&mut self.rng));
        let races = if self.plan.races { self.rng.weighted(&[(1, 0), (1, 300)]) } else { 0 };
        scene.machine.server.faults(|faults| {
            faults.lost_answers = lost;
            faults.breaks = breaks;
            faults.races = races;
        });
        let text = format!("faults: {lost} answers lost, {breaks} calls broken, {races} races of a thousand");
        scene.machine.world.trace(|| text);
    }

    fn by_hand(&mut self, scene: &mut Scene) {
        let handle = scene.machine.handle();
        let offline = self.rng.chance(400);
        let done = if offline {
            scene.machine.ask(LIMIT, handle.offline(Some(LOCATION)))
        } else {
            scene.machine.ask(LIMIT, handle.online(Some(LOCATION)))
        };
        let text = format!("offline by hand: {offline} {:?}", done.map(|d| d.map_err(|e| e.to_string())));
        scene.machine.world.trace(|| text);
    }

    /// Whether nothing is left to do.
    pub fn sync(&mut self, scene: &mut Scene) -> String {
        let handle = scene.machine.handle();
        let outcome = scene.machine.ask(LIMIT * 2, handle.sync(Some(LOCATION), true, Some(LIMIT)));
        let text = match outcome {
            Some(Ok(outcome)) => format!("{outcome:?}"),
            Some(Err(error)) => error.to_string(),
            None => "it never returned".into(),
        };
        scene.machine.world.trace(|| format!("sync: {text}"));
        text
    }

    /// Decides open conflicts, one or all.
    pub fn resolve(&mut self, scene: &mut Scene, all: bool) {
        let handle = scene.machine.handle();
        let open = scene.machine.ask(LIMIT, handle.conflicts(None));
        let open = open.and_then(Result::ok).unwrap_or_default();
        self.conflicts += open.len();
        if open.is_empty() {
            return;
        }
        let choice = self.choice();
        let selection = match self.rng.pick(&open) {
            Some(one) if !all && self.rng.chance(700) => Selection::Paths(vec![one.states.path.clone()]),
            _ => Selection::Under { folder: target(LocPath::root()), pattern: None, kind: None },
        };
        let preview = scene.machine.ask(LIMIT, handle.resolve(&selection, &choice, true));
        let done = scene.machine.ask(LIMIT, handle.resolve(&selection, &choice, false));
        match (preview, done) {
            (Some(Ok(preview)), Some(Ok(done))) => {
                if preview.len() != done.len() {
                    self.wrong.push("a preview counted other conflicts than were decided".into());
                }
                for report in &done {
                    let text = format!(
                        "decide {} ({}) {}: {}",
                        report.path,
                        report.kind.word(),
                        report.choice,
                        report.message
                    );
                    scene.machine.world.trace(|| text);
                }
            }
            (_, Some(Err(error))) => {
                let text = format!("decide: {error}");
                scene.machine.world.trace(|| text);
            }
            _ => {}
        }
        scene.stale = true;
    }

    fn choice(&mut self) -> Choice {
        self.rng
            .pick(&[
                Choice::KeepLocal,
                Choice::KeepServer,
                Choice::KeepOriginal,
                Choice::KeepNewest,
                Choice::KeepBoth,
                Choice::StashLocal,
                Choice::StashServer,
                Choice::StashBoth,
                Choice::Merge,
            ])
            .cloned()
            .unwrap_or(Choice::KeepLocal)
    }

    /// Says yes to everything that waits for consent.
    pub fn consent(&mut self, scene: &mut Scene) {
        let handle = scene.machine.handle();
        let problems = scene.machine.ask(LIMIT, handle.problems(None));
        for problem in problems.and_then(Result::ok).unwrap_or_default() {
            let text = format!("problem at {}: {}", problem.path, problem.message);
            scene.machine.world.trace(|| text);
            match problem.needs {
                Needs::Confirm | Needs::Unfinished => {
                    let _ = scene.machine.ask(LIMIT, handle.confirm(problem.id));
                }
                // Nothing can bring these back: a person removes the name.
                _ if problem.message.contains("no longer has them") => {
                    self.removes(scene, problem.path.path.as_bytes());
                }
                Needs::Name => {
                    let free = format!("renamed {}", problem.id);
                    self.renames(scene, problem.path.path.as_bytes(), free.as_bytes());
                }
                _ => {}
            }
        }
    }
}
