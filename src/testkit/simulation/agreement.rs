//! The end of a run: everything is healed and decided, and then both sides must be the same.

use std::time::Duration;

use holdfast_engine::store::rows::{Item, ServerSide};

use super::machine::LOCATION;
use super::run::{Run, Scene};
use crate::server::Line;

/// Rounds of sync and decisions until all must be at rest.
const ROUNDS: usize = 24;
/// More calls than this in one round are a loop.
const MOST_CALLS: u64 = 5000;
const LIMIT: Duration = Duration::from_secs(150);

impl Run {
    pub fn agreement(&mut self, scene: &mut Scene) {
        scene.machine.world.trace(|| "--- all is healed".into());
        scene.machine.server.line(Line::Up);
        scene.machine.server.faults(|faults| *faults = crate::server::Faults::default());
        scene.machine.disk.spare();
        scene.machine.disk.set_full(false);
        scene.program.exit();
        let handle = scene.machine.handle();
        let _ = scene.machine.ask(LIMIT, handle.online(Some(LOCATION)));
        let mut outcome = String::new();
        for _ in 0..ROUNDS {
            let calls = scene.machine.server.traffic().calls;
            outcome = self.sync(scene);
            if scene.machine.server.traffic().calls > calls + MOST_CALLS {
                outcome = "it calls the server without end".into();
                break;
            }
            scene.ledger.look(&scene.machine, &mut self.wrong);
            // Servers that stamp by themselves are done by then.
            scene.machine.world.run_until_idle(Duration::from_secs(10));
            if outcome == "Clean" {
                outcome = self.sync(scene);
                if outcome == "Clean" {
                    break;
                }
            }
            self.consent(scene);
            self.resolve(scene, true);
            if let Some(tree) = scene.machine.tree() {
                scene.ledger.local(&tree);
            }
        }
        scene.ledger.look(&scene.machine, &mut self.wrong);
        if outcome == "Clean" {
            // Calls that came late are done by now.
            scene.machine.world.run_until_idle(Duration::from_secs(70));
            outcome = self.sync(scene);
        }
        if outcome != "Clean" {
            self.wrong.push(format!("it does not come to rest: {outcome}"));
            self.wrong.extend(open_items(scene));
            return;
        }
        self.both_the_same(scene);
        self.nothing_more(scene);
    }

    fn both_the_same(&mut self, scene: &mut Scene) {
        let local = match scene.machine.whole_tree() {
            Ok(tree) => tree,
            Err(message) => return self.wrong.push(message),
        };
        let can = self.plan.profile.capabilities.clone();
        let like = |tree: crate::Snapshot| {
            let tree = tree.without_times();
            let tree = if can.modes { tree } else { tree.without_modes() };
            if can.xattrs { tree } else { tree.without_xattrs() }
        };
        let server = scene.machine.server.tree();
        for line in like(local.clone()).differences(&like(server)) {
            self.wrong.push(format!("at rest, and not the same: {line}"));
        }
        if !self.wrong.is_empty() {
            self.wrong.extend(all_items(scene));
        }
        self.wrong.extend(open_items(scene));
        for path in scene.machine.server.user().temporaries() {
            self.wrong.push(format!("a temporary name is left on the server: {path}"));
        }
        scene.ledger.nothing_lost(&scene.machine, &local, &mut self.wrong);
        if self.plan.lone && !scene.stale && !scene.oracle.hazy {
            let expected = scene.oracle.tree();
            self.same_tree(scene, &expected);
        }
        let handle = scene.machine.handle();
        match scene.machine.ask(LIMIT, handle.check(false)) {
            Some(Ok(report)) if report.ok => {}
            Some(Ok(report)) => {
                let findings = report.findings.into_iter().map(|line| format!("check: {line}"));
                self.wrong.extend(findings);
            }
            _ => self.wrong.push("check does not answer".into()),
        }
        scene.machine.invalidate();
        for line in scene.machine.up.kernel.audit() {
            self.wrong.push(format!("the kernel tells programs wrongly: {line}"));
        }
    }

    /// The next round does nothing.
    fn nothing_more(&mut self, scene: &mut Scene) {
        let before = (items(scene), scene.machine.server.effects().len());
        self.sync(scene);
        let after = (items(scene), scene.machine.server.effects().len());
        if before.1 != after.1 {
            let effects = scene.machine.server.effects();
            for effect in &effects[before.1..] {
                let path = String::from_utf8_lossy(&effect.path).into_owned();
                self.wrong.push(format!("at rest, and yet: {} {path}", effect.call));
            }
        }
        if before.0 != after.0 {
            self.wrong.push("at rest, and yet a round changed the trees".into());
        }
    }
}

fn items(scene: &Scene) -> Vec<Item> {
    let handle = scene.machine.handle();
    let tree = handle.store().read();
    let mut items: Vec<Item> = tree.items().cloned().collect();
    items.sort_by_key(|item| item.id);
    items
}

/// One line for each item that is not at rest.
fn open_items(scene: &Scene) -> Vec<String> {
    let open = items(scene).into_iter().filter(|item| {
        item.pending.is_some()
            || item.sending.is_some()
            || item.conflict.is_some()
            || item.problem.is_some()
            || item.server != ServerSide::AsBase
    });
    open.map(|item| line(scene, &item)).collect()
}

fn line(scene: &Scene, item: &Item) -> String {
    let handle = scene.machine.handle();
    let tree = handle.store().read();
    let path = tree.known_path(item.id).unwrap_or_default();
    let bytes = |id: Option<holdfast_engine::model::ContentId>| {
        let content = id.and_then(|id| handle.store().contents().get(id));
        content.map(|c| (c.id().0, c.size(), c.is_whole(), c.is_sealed()))
    };
    let server = match &item.server {
        ServerSide::AsBase => "as base".to_owned(),
        ServerSide::Gone => "gone".to_owned(),
        ServerSide::At(state) => {
            format!("{:?} {:?} in {:?} {:?}", state.meta.kind, state.name, state.parent, bytes(state.content))
        }
    };
    format!(
        "{path} ({}): here {:?}, pending {:?}, sending {}, conflict {:?}, problem {:?}, base {:?}, only here {}, \
         server {server}",
        item.id,
        item.entry.as_ref().map(|e| e.node),
        item.pending.map(|p| p.aspects),
        item.sending.is_some(),
        item.conflict.as_ref().map(|c| c.kind.word()),
        item.problem.as_ref().map(|p| p.message.clone()),
        item.base.as_ref().map(|b| (b.meta.kind, b.parent, b.name.clone())),
        item.local_only,
    )
}

/// All items, in a failure that needs them.
fn all_items(scene: &Scene) -> Vec<String> {
    items(scene).iter().map(|item| format!("    {}", line(scene, item))).collect()
}
