//! One engine, one server and a program that uses the files.

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::fileops::{Attr, Caller, Fileops, Op, OpError, OpenFiles, OpenMode, Opened, RenameMode};
use holdfast_engine::handle::Handle;
use holdfast_engine::model::{
    Choice, ConflictKind, FileHandle, LocPath, NodeId, ResolveReport, Selection, SyncOutcome, Target,
};
use holdfast_engine::store::Parts;
use holdfast_engine::store::memory::MemFiles;
use holdfast_engine::world::World;
use holdfast_engine::{Engine, Setting};
use holdfast_testkit::{FakeConnector, FakeServer, Life, Profile, SimDisk, SimWorld};

pub const PROGRAM: Caller = Caller::new(1000, 1000, 1);

pub struct Place {
    pub world: SimWorld,
    pub server: FakeServer,
    pub disk: SimDisk<Arc<MemFiles>>,
    engine: Engine,
    life: Life,
}

pub fn writing() -> OpenMode {
    OpenMode { write: true, ..OpenMode::default() }
}

pub fn target(path: &str) -> Target {
    Target { location: "nas".into(), path: LocPath::parse(path.as_bytes()).unwrap() }
}

fn start(world: &SimWorld, server: &FakeServer, disk: &SimDisk<Arc<MemFiles>>) -> (Life, Engine) {
    let (open, life) = (disk.open(), world.life());
    let parts = Parts {
        database: Box::new(open.database),
        journal: Box::new(open.journal),
        files: disk.files.clone(),
        world: Arc::new(life.clone()),
        owner: (1000, 1000),
        background: false,
    };
    let connector = Arc::new(FakeConnector::new().with(server));
    let setting = Setting {
        owner: Some((1000, 1000)),
        mount: None,
        name: "abcdef01".into(),
        open: OpenFiles::default(),
    };
    let engine = Engine::on(parts, setting, connector).unwrap();
    (life, engine)
}

impl Place {
    /// A server that has been made ready, and a location of it that has been looked at once.
    pub fn with(prepare: impl FnOnce(&FakeServer)) -> Place {
        Place::of(Profile::posix(), 5, prepare)
    }

    pub fn of(profile: Profile, seed: u64, prepare: impl FnOnce(&FakeServer)) -> Place {
        let world = SimWorld::new(seed);
        let server = FakeServer::new(&world, "nas", profile);
        prepare(&server);
        let disk = SimDisk::with_files(Arc::new(MemFiles::new()));
        let (life, engine) = start(&world, &server, &disk);
        let place = Place { world, server, disk, engine, life };
        place.world.run_until(place.handle().location_add("nas", "fake://nas")).unwrap();
        place.sync();
        place
    }

    /// The engine, or with `machine` the whole machine, ends here and now, and starts again.
    pub fn restart(&mut self, machine: bool) {
        match machine {
            true => self.disk.crash(),
            false => self.disk.kill(),
        }
        self.life.end();
        (self.life, self.engine) = start(&self.world, &self.server, &self.disk);
    }

    pub fn handle(&self) -> Handle {
        self.engine.handle.clone()
    }

    pub fn fs(&self) -> &Fileops {
        &self.engine.fileops
    }

    pub fn sync(&self) -> SyncOutcome {
        let limit = Some(Duration::from_secs(120));
        self.world.run_until(self.handle().sync(None, true, limit)).unwrap()
    }

    pub fn wait(&self, seconds: u64) {
        self.world.run_until(self.world.sleep(Duration::from_secs(seconds)));
    }

    pub fn pin(&self, path: &str) {
        self.world.run_until(self.handle().pin(&target(path), true)).unwrap();
    }

    pub fn offline(&self) {
        self.world.run_until(self.handle().offline(None)).unwrap();
    }

    pub fn online(&self) {
        self.world.run_until(self.handle().online(None)).unwrap();
        self.wait(10);
        self.sync();
    }

    pub fn op<R>(&self, mut op: impl FnMut(&Fileops) -> Op<R>) -> Op<R> {
        for _ in 0..50 {
            match op(self.fs()) {
                Err(OpError::NotHere(need)) => {
                    self.world.run_until(self.fs().provide(PROGRAM, &need))?;
                }
                result => return result,
            }
        }
        panic!("what is asked for never comes");
    }

    pub fn look(&self, path: &str) -> Op<Attr> {
        let mut node = NodeId::ROOT;
        let mut attr = None;
        for name in path.split('/') {
            let found = self.op(|fs| fs.lookup(node, name.as_bytes()))?;
            node = found.node;
            attr = Some(found);
        }
        Ok(attr.unwrap())
    }

    pub fn node(&self, path: &str) -> NodeId {
        self.look(path).unwrap().node
    }

    pub fn open(&self, node: NodeId, mode: OpenMode) -> Opened {
        self.op(|fs| fs.open(PROGRAM, node, mode)).unwrap()
    }

    pub fn write(&self, node: NodeId, handle: FileHandle, bytes: &str) {
        self.op(|fs| fs.write(node, handle, 0, bytes.as_bytes(), false)).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        let node = self.node(path);
        let open = self.open(node, OpenMode::default());
        let mut bytes = vec![0; 100];
        let read = self.op(|fs| fs.read(node, open.handle, 0, &mut bytes)).unwrap();
        self.fs().release(node, open.handle);
        bytes.truncate(read);
        String::from_utf8(bytes).unwrap()
    }

    /// All of a file, however long.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let attr = self.look(path).unwrap();
        let open = self.open(attr.node, OpenMode::default());
        let mut bytes = vec![0; attr.size as usize];
        let read = self.op(|fs| fs.read(attr.node, open.handle, 0, &mut bytes)).unwrap();
        self.fs().release(attr.node, open.handle);
        assert_eq!(read, bytes.len());
        bytes
    }

    /// Changes a file in place.
    pub fn change(&self, path: &str, offset: u64, bytes: &[u8]) {
        let node = self.node(path);
        let open = self.open(node, writing());
        self.op(|fs| fs.write(node, open.handle, offset, bytes, false)).unwrap();
        self.fs().release(node, open.handle);
    }

    pub fn put(&self, folder: &str, name: &str, bytes: &str) {
        let folder = self.node(folder);
        let (attr, open) =
            self.op(|fs| fs.create(PROGRAM, folder, name.as_bytes(), 0o644, writing())).unwrap();
        self.write(attr.node, open.handle, bytes);
        self.fs().release(attr.node, open.handle);
    }

    /// Truncates and writes, as an editor does.
    pub fn save(&self, path: &str, bytes: &str) {
        let node = self.node(path);
        let mode = OpenMode { truncate: true, ..writing() };
        let open = self.open(node, mode);
        self.write(node, open.handle, bytes);
        self.fs().release(node, open.handle);
    }

    pub fn rename(&self, from: &str, to: &str) {
        let cut = |path: &str| {
            let (folder, name) = path.rsplit_once('/').unwrap();
            (self.node(folder), name.as_bytes().to_vec())
        };
        let ((from, old), (to, new)) = (cut(from), cut(to));
        self.op(|fs| fs.rename(PROGRAM, from, &old, to, &new, RenameMode::Replace)).unwrap();
    }

    pub fn unlink(&self, folder: &str, name: &str) {
        let folder = self.node(folder);
        self.op(|fs| fs.unlink(PROGRAM, folder, name.as_bytes())).unwrap();
    }

    pub fn rmdir(&self, folder: &str, name: &str) {
        let folder = self.node(folder);
        self.op(|fs| fs.rmdir(PROGRAM, folder, name.as_bytes())).unwrap();
    }

    pub fn there(&self, path: &str) -> Option<String> {
        let bytes = self.server.user().content(path)?;
        Some(String::from_utf8(bytes).unwrap())
    }

    pub fn conflicts(&self) -> Vec<(ConflictKind, String)> {
        let conflicts = self.world.run_until(self.handle().conflicts(None)).unwrap();
        let words = |c: holdfast_engine::model::ConflictReport| (c.kind, c.states.path.to_string());
        conflicts.into_iter().map(words).collect()
    }

    pub fn problems(&self) -> Vec<String> {
        let problems = self.world.run_until(self.handle().problems(None)).unwrap();
        problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    /// What the versions in the stash hold.
    pub fn stashed(&self) -> Vec<String> {
        let stash = self.world.run_until(self.handle().stash_list(None)).unwrap();
        let mut texts = Vec::new();
        for version in stash {
            let open = self.world.run_until(self.handle().stash_open(version.id)).unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut std::fs::File::from(open), &mut text).unwrap();
            texts.push(text);
        }
        texts
    }

    pub fn resolve(&self, path: &str, choice: &Choice) -> Vec<ResolveReport> {
        let selection = Selection::Paths(vec![target(path)]);
        self.world.run_until(self.handle().resolve(&selection, choice, false)).unwrap()
    }

    /// Nothing waits, nothing is asked, both sides agree, and the store is whole.
    #[track_caller]
    pub fn at_rest(&self) {
        let check = self.world.run_until(self.handle().check(false)).unwrap();
        assert_eq!(check.findings, Vec::<String>::new());
        assert_eq!(self.conflicts(), []);
        assert_eq!(self.problems(), Vec::<String>::new());
        assert_eq!(self.sync(), SyncOutcome::Clean);
        let status = self.world.run_until(self.handle().status()).unwrap();
        assert_eq!(status.locations.iter().map(|l| l.changes).sum::<u64>(), 0);
    }
}
