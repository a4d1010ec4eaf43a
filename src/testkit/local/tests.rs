use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::fileops::{OpError, RenameMode};
use holdfast_engine::model::{Kind, NodeId};
use holdfast_engine::world::World;

use super::*;
use crate::{SimWorld, Snapshot};

struct Case {
    world: SimWorld,
    fs: ModelFs,
    program: Program,
}

fn case(seed: u64) -> Case {
    let world = SimWorld::new(seed);
    let dyn_world: Arc<dyn World> = Arc::new(world.clone());
    let fs = ModelFs::new(&dyn_world);
    let kernel = Kernel::new(Arc::new(fs.clone()), NodeId::ROOT);
    Case { world, fs, program: Program::new(&kernel) }
}

impl Case {
    fn run(&mut self, step: Step) -> Op<Outcome> {
        self.world.run_until(self.program.run(&step))
    }
    fn all(&mut self, steps: &[Step]) {
        self.world.run_until(self.program.run_all(steps)).unwrap();
    }
    fn tree(&self) -> Snapshot {
        self.world.run_until(snapshot(&self.fs, NodeId::ROOT)).unwrap()
    }
    fn read(&mut self, path: &str) -> Op<Outcome> {
        self.run(Step::ReadFile { path: path.into() })
    }
}

fn rename(from: &str, to: &str, mode: RenameMode) -> Step {
    Step::Rename { from: from.into(), to: to.into(), mode }
}

fn mkdir(path: &str) -> Step {
    Step::Mkdir { path: path.into() }
}

#[test]
fn renames_as_posix_has_them() {
    let mut case = case(1);
    case.all(&[mkdir("d"), mkdir("d/e"), mkdir("empty")]);
    case.all(&Step::write_file(0, b"f", b"one".to_vec()));
    case.all(&Step::write_file(0, b"d/g", b"two".to_vec()));
    let replace = RenameMode::Replace;
    assert_eq!(case.run(rename("d", "d/e/x", replace)), Err(OpError::Invalid));
    assert_eq!(case.run(rename("f", "d", replace)), Err(OpError::IsFolder));
    assert_eq!(case.run(rename("d", "f", replace)), Err(OpError::NotFolder));
    assert_eq!(case.run(rename("empty", "d", replace)), Err(OpError::NotEmpty));
    assert_eq!(case.run(rename("f", "d/g", RenameMode::NoReplace)), Err(OpError::Exists));
    assert_eq!(case.run(rename("f", "no", RenameMode::Exchange)), Err(OpError::NotFound));
    case.all(&[rename("f", "d/e", RenameMode::Exchange), rename("d/e", "d/g", replace)]);
    assert_eq!(case.tree().content("d/g"), Some(&b"one"[..]));
    case.all(&[rename("d", "empty", replace), rename("f", "d", replace)]);
    assert_eq!(case.tree().0.len(), 3);
}

#[test]
fn open_files_outlive_their_names() {
    let mut case = case(1);
    case.all(&Step::write_file(0, b"a", b"old".to_vec()));
    case.all(&[Step::Open {
        slot: 1,
        path: b"a".to_vec(),
        write: true,
        truncate: false,
        create: false,
        exclusive: false,
    }]);
    case.all(&Step::save_by_rename(0, b"a", b"a.tmp", b"new".to_vec(), true));
    let held = Step::Read { slot: 1, offset: 0, len: 10 };
    assert_eq!(case.run(held), Ok(Outcome::Bytes(b"old".to_vec())));
    assert_eq!(case.read("a"), Ok(Outcome::Bytes(b"new".to_vec())));
    case.all(&[Step::Write { slot: 1, offset: 5, data: b"x".to_vec() }]);
    let held = Step::Read { slot: 1, offset: 0, len: 10 };
    assert_eq!(case.run(held), Ok(Outcome::Bytes(b"old\0\0x".to_vec())));
    assert_eq!(case.read("a"), Ok(Outcome::Bytes(b"new".to_vec())));
}

#[test]
fn backups_are_what_editors_leave() {
    let mut case = case(1);
    case.all(&Step::write_file(0, b"a", b"1".to_vec()));
    case.all(&Step::save_by_moving_aside(0, b"a", b"2".to_vec(), true));
    assert_eq!((case.tree().content("a"), case.tree().content("a~")), (Some(&b"2"[..]), Some(&b"1"[..])));
    case.all(&Step::save_by_moving_aside(0, b"a", b"3".to_vec(), false));
    assert_eq!(case.tree().0.len(), 1);
}

#[test]
fn a_missing_invalidation_is_a_wrong_read() {
    for told in [false, true] {
        let mut case = case(1);
        case.all(&Step::write_file(0, b"a", b"before".to_vec()));
        assert_eq!(case.read("a"), Ok(Outcome::Bytes(b"before".to_vec())));
        let node = LocalFs::lookup(&case.fs, NodeId::ROOT, b"a").unwrap().node;
        case.fs.change_behind(node, b"behind", told);
        case.program.kernel.invalidate_all();
        assert_eq!(case.program.kernel.audit().is_empty(), told);
        let expected = if told { b"behind" } else { b"before" };
        assert_eq!(case.read("a"), Ok(Outcome::Bytes(expected.to_vec())));
    }
}

#[test]
fn the_kernel_obeys_in_the_background_and_answers_barriers() {
    let case = case(1);
    let (kernel, world) = (case.program.kernel.clone(), case.world.clone());
    let pause = move || world.sleep(Duration::from_millis(1));
    case.world.spawn(Box::pin(kernel.obey(pause)));
    let node = case.fs.mkdir(NodeId::ROOT, b"d", 0o755).unwrap();
    assert_eq!(node.kind, Kind::Folder);
    let (done, all_done) = async_channel::bounded(1);
    case.fs.tell(holdfast_engine::fileops::Invalidation::Barrier(done));
    assert!(case.world.run_until(all_done.recv()).is_err(), "the sender is dropped");
    assert_eq!(case.world.elapsed(), Duration::from_millis(1));
}

/// Steps through a kernel with caches, and steps through one that forgets everything each time.
#[test]
fn caches_change_nothing_that_programs_see() {
    for seed in 0..40 {
        let (mut cached, mut plain) = (case(seed), case(seed));
        let mut random = RandomProgram::new(cached.world.rng("program"));
        let mut done = 0;
        for _ in 0..150 {
            let tree = cached.tree();
            for step in random.draw(&tree) {
                let (a, b) = (cached.run(step.clone()), plain.run(step.clone()));
                assert_eq!(a, b, "seed {seed}: {step:?}");
                done += usize::from(a.is_ok());
                plain.program.kernel.drop_caches();
                assert_eq!(cached.program.kernel.audit(), [""; 0], "seed {seed}: after {step:?}");
            }
            cached.tree().without_times().assert_same(&plain.tree().without_times(), "trees");
        }
        assert!(done > 80, "seed {seed}: most steps are possible, but only {done} were");
        cached.program.exit();
        assert_eq!(cached.program.open_slots(), []);
    }
}
