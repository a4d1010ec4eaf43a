//! A program that does things at random, the same things for the same seed.

use holdfast_engine::fileops::RenameMode;
use holdfast_engine::model::Time;

use super::step::Step;
use crate::rng::Rng;
use crate::snapshot::{Entry, Snapshot};
use crate::words;

/// Slots that it holds files open in for a while; slot 0 is for steps that close at once.
const SLOTS: u8 = 4;

/// Draws steps that mostly fit the tree as it is.
pub struct RandomProgram {
    rng: Rng,
    temps: u32,
}

#[derive(Clone, Copy)]
enum What {
    Write,
    SaveByRename,
    SaveAside,
    Append,
    WriteInPlace,
    Hold,
    UseHeld,
    Truncate,
    Rename,
    Exchange,
    Link,
    Unlink,
    Mkdir,
    Rmdir,
    Symlink,
    Chmod,
    SetTime,
    Xattr,
    Read,
    Stat,
    List,
}

const WEIGHTS: [(u32, What); 21] = [
    (14, What::Write),
    (10, What::SaveByRename),
    (6, What::SaveAside),
    (5, What::Append),
    (6, What::WriteInPlace),
    (4, What::Hold),
    (12, What::UseHeld),
    (4, What::Truncate),
    (9, What::Rename),
    (2, What::Exchange),
    (2, What::Link),
    (8, What::Unlink),
    (6, What::Mkdir),
    (3, What::Rmdir),
    (2, What::Symlink),
    (4, What::Chmod),
    (2, What::SetTime),
    (2, What::Xattr),
    (12, What::Read),
    (8, What::Stat),
    (6, What::List),
];

/// What is there to be worked on.
struct Places {
    files: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
}

impl Places {
    fn of(tree: &Snapshot) -> Places {
        let mut places = Places { files: Vec::new(), folders: vec![Vec::new()], all: Vec::new() };
        for (path, entry) in &tree.0 {
            let path = path.as_bytes().to_vec();
            match entry {
                Entry::File { .. } => places.files.push(path.clone()),
                Entry::Folder { .. } => places.folders.push(path.clone()),
                Entry::Symlink { .. } | Entry::Special { .. } => {}
            }
            places.all.push(path);
        }
        places
    }
}

impl RandomProgram {
    pub fn new(rng: Rng) -> RandomProgram {
        RandomProgram { rng, temps: 0 }
    }

    /// The next steps; some may turn out to be impossible, which must look the same everywhere.
    pub fn draw(&mut self, tree: &Snapshot) -> Vec<Step> {
        let places = Places::of(tree);
        let what = self.rng.weighted(&WEIGHTS);
        let new = words::path_in(&mut self.rng, &places.folders);
        // Now and then a path that is of another kind, or not there.
        let stray = self.rng.chance(60);
        let mut one_of = |from: &[Vec<u8>]| match self.rng.pick(from) {
            Some(path) if !stray => path.clone(),
            _ => new.clone(),
        };
        let (file, any, folder) = (one_of(&places.files), one_of(&places.all), one_of(&places.folders));
        match what {
            What::Write | What::SaveByRename | What::SaveAside | What::Append => self.save(what, file, new),
            What::WriteInPlace | What::Hold | What::UseHeld | What::Truncate => self.change(what, file),
            _ => self.one(what, file, any, folder, new),
        }
    }

    fn save(&mut self, what: What, file: Vec<u8>, new: Vec<u8>) -> Vec<Step> {
        let data = words::content(&mut self.rng);
        let flag = self.rng.chance(500);
        match what {
            What::SaveByRename => {
                self.temps += 1;
                let beside = [&file, format!(".{}.tmp", self.temps).as_bytes()].concat();
                Step::save_by_rename(0, &file, &beside, data, flag)
            }
            What::SaveAside => Step::save_by_moving_aside(0, &file, data, flag),
            What::Append => {
                vec![open(0, &file, true, false), Step::Append { slot: 0, data }, Step::Close { slot: 0 }]
            }
            _ => Step::write_file(0, if flag { &file } else { &new }, data),
        }
    }

    fn change(&mut self, what: What, path: Vec<u8>) -> Vec<Step> {
        let rng = &mut self.rng;
        let slot = 1 + rng.below(u64::from(SLOTS)) as u8;
        let offset = rng.range(0..30_000);
        match what {
            What::WriteInPlace => {
                let len = 1 + rng.index(5000);
                let data = rng.bytes(len);
                let write = Step::Write { slot: 0, offset, data };
                vec![open(0, &path, true, false), write, Step::Close { slot: 0 }]
            }
            What::Hold => {
                let (write, truncate) = (rng.chance(700), rng.chance(200));
                vec![open(slot, &path, write, write && truncate)]
            }
            What::Truncate => vec![Step::Truncate { path, size: offset }],
            _ => vec![match rng.below(6) {
                0 => Step::Close { slot },
                1 => Step::Fsync { slot },
                2 => Step::SetSize { slot, size: offset },
                3 => Step::Read { slot, offset, len: 10_000 },
                4 => Step::Append { slot, data: words::content(rng) },
                _ => {
                    let len = 1 + rng.index(9000);
                    Step::Write { slot, offset, data: rng.bytes(len) }
                }
            }],
        }
    }

    fn one(&mut self, what: What, file: Vec<u8>, any: Vec<u8>, folder: Vec<u8>, new: Vec<u8>) -> Vec<Step> {
        let rng = &mut self.rng;
        let step = match what {
            What::Rename => {
                let mode = if rng.chance(200) { RenameMode::NoReplace } else { RenameMode::Replace };
                Step::Rename { from: any, to: new, mode }
            }
            What::Exchange => Step::Rename { from: any, to: file, mode: RenameMode::Exchange },
            What::Link => Step::Link { existing: file, path: new },
            What::Unlink => Step::Unlink { path: any },
            What::Mkdir => Step::Mkdir { path: new },
            What::Rmdir => Step::Rmdir { path: folder },
            What::Symlink => Step::Symlink { path: new, target: words::name(rng) },
            What::Chmod => {
                let mode = *rng.pick(&[0o600, 0o644, 0o755, 0o700, 0o444]).unwrap_or(&0o644);
                Step::Chmod { path: any, mode }
            }
            What::SetTime => {
                let mtime = Time::new(1_600_000_000 + rng.range(0..100_000_000) as i64, 0);
                Step::SetTime { path: file, mtime }
            }
            What::Xattr => {
                let name = b"user.tag".to_vec();
                if rng.chance(700) {
                    Step::SetXattr { path: any, name, value: words::name(rng) }
                } else {
                    Step::RemoveXattr { path: any, name }
                }
            }
            What::Stat => Step::Stat { path: any },
            What::List => Step::List { path: folder },
            _ => Step::ReadFile { path: file },
        };
        vec![step]
    }
}

fn open(slot: u8, path: &[u8], write: bool, truncate: bool) -> Step {
    let path = path.to_vec();
    Step::Open { slot, path, write, truncate, create: false, exclusive: false }
}
