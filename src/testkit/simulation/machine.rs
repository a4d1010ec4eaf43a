//! The machine of a run: what of it outlives the engine, and the engine while it runs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use holdfast_engine::fileops::{OpError, OpenFiles};
use holdfast_engine::handle::Handle;
use holdfast_engine::model::{LocPath, NodeId, Target};
use holdfast_engine::remote::Connector;
use holdfast_engine::store::Parts;
use holdfast_engine::store::memory::MemFiles;
use holdfast_engine::{Engine, Setting};

use super::plan::Plan;
use super::plant::{Plant, Planted};
use crate::local::{Kernel, LocalFs, snapshot};
use crate::server::FakeServer;
use crate::snapshot::Snapshot;
use crate::world::{Life, SimWorld};
use crate::{FakeConnector, SimDisk};

/// The name of the one location.
pub(super) const LOCATION: &str = "nas";

pub(super) struct Machine {
    pub world: SimWorld,
    pub server: FakeServer,
    pub disk: SimDisk<Arc<MemFiles>>,
    connector: Arc<dyn Connector>,
    planted: Planted,
    pub up: Up,
    pub kills: usize,
}

/// A running engine.
pub(super) struct Up {
    life: Life,
    pub engine: Engine,
    pub kernel: Arc<Kernel>,
    pub root: NodeId,
}

impl Machine {
    /// With a location that is pinned as a whole and wholly here.
    pub fn new(plan: &Plan, plant: Plant, prepare: impl FnOnce(&FakeServer)) -> Result<Machine, String> {
        let world = SimWorld::new(plan.seed);
        let server = FakeServer::new(&world, LOCATION, plan.profile.clone());
        prepare(&server);
        let planted = Planted::new(plant, &world);
        let connector = planted.connector(Arc::new(FakeConnector::new().with(&server)));
        let disk = SimDisk::with_files(Arc::new(MemFiles::new()));
        let engine = start(&world, &disk, &connector, &planted)?;
        let (life, engine) = engine;
        let url = format!("fake://{LOCATION}");
        world
            .run_until(engine.handle.location_add(LOCATION, &url))
            .map_err(|e| format!("the location cannot be added: {e}"))?;
        let all = target(LocPath::root());
        world
            .run_until(engine.handle.pin(&all, true))
            .map_err(|e| format!("the location cannot be pinned: {e}"))?;
        if plan.limited {
            let limited = world.run_until(async {
                engine.handle.location_set(LOCATION, "limit", "8K").await?;
                engine.handle.unpin(&all).await
            });
            limited.map_err(|e| format!("the location cannot be limited: {e}"))?;
        }
        let up = Up::new(life, engine)?;
        Ok(Machine { world, server, disk, connector, planted, up, kills: 0 })
    }

    pub fn handle(&self) -> Handle {
        self.up.engine.handle.clone()
    }

    /// The kernel carries out what it was told.
    pub fn invalidate(&self) {
        if !self.planted.is(Plant::DeafKernel) {
            self.up.kernel.invalidate_all();
        }
    }

    /// Ends the engine and starts another one on what is left. With `machine` the whole machine
    /// ends, and what was not synced is lost.
    pub fn restart(&mut self, machine: bool) -> Result<(), String> {
        self.disk.set_full(false);
        if machine {
            self.disk.crash();
        } else {
            self.disk.kill();
        }
        self.up.life.end();
        self.kills += 1;
        let (life, engine) = start(&self.world, &self.disk, &self.connector, &self.planted)?;
        self.up = Up::new(life, engine)?;
        Ok(())
    }

    /// The local tree, if all of it is here.
    pub fn tree(&self) -> Option<Snapshot> {
        self.look().ok().flatten()
    }

    /// The same; an error where a file cannot be read as its size says.
    pub fn look(&self) -> Result<Option<Snapshot>, String> {
        let fs: &dyn LocalFs = &*self.up.kernel.fs;
        match at_once(snapshot(fs, self.up.root)) {
            Some(Err(OpError::PastEnd)) => Err("a file is shorter than its size says".into()),
            Some(tree) => Ok(tree.ok()),
            None => Ok(None),
        }
    }

    /// The local tree; fetches what is not here.
    pub fn whole_tree(&self) -> Result<Snapshot, String> {
        let fs: &dyn LocalFs = &*self.up.kernel.fs;
        let tree = self.world.run_for(Duration::from_secs(600), snapshot(fs, self.up.root));
        tree.ok_or("the tree is not here after ten minutes")?.map_err(|error| {
            format!("the tree cannot be read: {error}; not here: {}", self.absent().join(", "))
        })
    }

    /// Files whose bytes are not here.
    fn absent(&self) -> Vec<String> {
        let handle = self.handle();
        let store = handle.store();
        let tree = store.read();
        let is_absent = |item: &&holdfast_engine::store::rows::Item| {
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let content = node.and_then(|l| l.row.content).and_then(|id| store.contents().get(id));
            content.is_some_and(|c| !c.is_whole())
        };
        let absent = tree.items().filter(is_absent);
        let words = |item: &holdfast_engine::store::rows::Item| {
            let path = tree.known_path(item.id).unwrap_or_default();
            let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
            let here = node.and_then(|l| l.row.content);
            let base = item.base.as_deref().and_then(|b| b.content);
            format!("{path} ({}) has {here:?}, base {base:?}, server {:?}", item.id, item.server)
        };
        absent.map(words).collect()
    }

    /// What a command gives, within a time.
    pub fn ask<T>(&self, limit: Duration, command: impl Future<Output = T>) -> Option<T> {
        self.world.run_for(limit, command)
    }
}

fn start(
    world: &SimWorld,
    disk: &SimDisk<Arc<MemFiles>>,
    connector: &Arc<dyn Connector>,
    planted: &Planted,
) -> Result<(Life, Engine), String> {
    let open = disk.open();
    let life = world.life();
    let parts = Parts {
        database: planted.database(Box::new(open.database)),
        journal: planted.journal(Box::new(open.journal)),
        files: planted.files(disk.files.clone()),
        world: Arc::new(life.clone()),
        owner: (1000, 1000),
        background: false,
    };
    let setting = Setting {
        owner: Some((1000, 1000)),
        mount: None,
        name: "0badcafe".into(),
        open: OpenFiles::default(),
    };
    let engine = Engine::on(parts, setting, connector.clone());
    let engine = engine.map_err(|error| format!("the engine does not start: {error}"))?;
    Ok((life, engine))
}

impl Up {
    fn new(life: Life, engine: Engine) -> Result<Up, String> {
        let root = engine
            .fileops
            .lookup(NodeId::ROOT, LOCATION.as_bytes())
            .map_err(|error| format!("the location is not in the mount: {error}"))?
            .node;
        let kernel = Kernel::new(Arc::new(engine.fileops.clone()), root);
        Ok(Up { life, engine, kernel, root })
    }
}

pub(super) fn target(path: LocPath) -> Target {
    Target { location: LOCATION.into(), path }
}

/// What a future gives without waiting; `None` where it waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    pin!(future).now_or_never()
}
