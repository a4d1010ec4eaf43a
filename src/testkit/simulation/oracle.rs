//! The oracle beside the engine: a POSIX tree that is given the same steps.

use std::sync::Arc;

use holdfast_engine::model::NodeId;
use holdfast_engine::world::World;

use super::machine::{Machine, at_once};
use crate::local::{Kernel, LocalFs, ModelFs, Op, Outcome, Program, Step, copy_of, snapshot};
use crate::snapshot::Snapshot;

pub(super) struct Oracle {
    fs: ModelFs,
    program: Program,
    /// Some of what it should know was not here when it was made.
    pub hazy: bool,
}

impl Oracle {
    /// As the engine's tree is now, with the files that `program` has open.
    pub fn of(machine: &Machine, program: &Program) -> Result<Oracle, String> {
        let world: Arc<dyn World> = Arc::new(machine.world.clone());
        let up = &machine.up;
        let open = program.open_nodes();
        let copied = copy_of(&world, &*up.kernel.fs, up.root, &open)
            .map_err(|error| format!("the local tree cannot be looked through: {error}"))?;
        let kernel = Kernel::new(Arc::new(copied.fs.clone()), NodeId::ROOT);
        let mirrored = at_once(program.mirrored(&kernel, &copied.nodes))
            .ok_or("the oracle waits")?
            .map_err(|error| format!("an open file is gone: {error}"))?;
        Ok(Oracle { fs: copied.fs, program: mirrored, hazy: copied.hazy })
    }

    pub fn run(&mut self, step: &Step) -> Op<Outcome> {
        at_once(self.program.run(step)).expect("everything is here in the oracle")
    }

    pub fn tree(&self) -> Snapshot {
        let fs: &dyn LocalFs = &self.fs;
        at_once(snapshot(fs, NodeId::ROOT))
            .expect("everything is here in the oracle")
            .expect("the oracle's tree is one")
    }

    /// The bytes of files that are open for writing now, without their names.
    pub fn unfinished(&self) -> Vec<Vec<u8>> {
        let nodes = self.program.written_nodes();
        let content = |node: NodeId| self.fs.content(node);
        nodes.into_iter().filter_map(content).collect()
    }
}
