//! A program that works in the mount and keeps account of what it was told is done.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::common::Random;

/// By path what was acknowledged; and what the one operation that failed may have left.
#[derive(Default)]
pub struct Done {
    files: BTreeMap<PathBuf, Vec<u8>>,
    unsure: Vec<PathBuf>,
    pub count: u64,
}

enum Deed {
    Write { path: PathBuf, bytes: Vec<u8>, synced: bool },
    Save { path: PathBuf, bytes: Vec<u8>, synced: bool },
    Append { path: PathBuf, bytes: Vec<u8> },
    Remove { path: PathBuf },
    Move { from: PathBuf, to: PathBuf },
}

/// Works until it fails or is told to end.
pub fn work(root: &Path, who: &str, seed: u64, mut done: Done, stop: &AtomicBool) -> Done {
    let mut random = Random::new(seed);
    if fs::create_dir_all(root.join(who)).is_err() {
        return done;
    }
    while !stop.load(SeqCst) {
        let deed = done.next(&mut random, who);
        if carry_out(&deed, root).is_err() {
            done.unsure = deed.paths();
            return done;
        }
        done.note(deed);
        done.count += 1;
    }
    done
}

fn carry_out(deed: &Deed, root: &Path) -> io::Result<()> {
    match deed {
        Deed::Write { path, bytes, synced } => write(&root.join(path), bytes, *synced),
        Deed::Save { path, bytes, synced } => {
            let fresh = root.join(path).with_extension("new");
            write(&fresh, bytes, *synced)?;
            fs::rename(fresh, root.join(path))
        }
        Deed::Append { path, bytes } => {
            let mut file = OpenOptions::new().append(true).open(root.join(path))?;
            file.write_all(bytes)
        }
        Deed::Remove { path } => fs::remove_file(root.join(path)),
        Deed::Move { from, to } => fs::rename(root.join(from), root.join(to)),
    }
}

fn write(path: &Path, bytes: &[u8], synced: bool) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    if synced {
        file.sync_all()?;
    }
    Ok(())
}

impl Deed {
    fn paths(&self) -> Vec<PathBuf> {
        match self {
            Deed::Save { path, .. } => vec![path.clone(), path.with_extension("new")],
            Deed::Write { path, .. } | Deed::Append { path, .. } | Deed::Remove { path } => {
                vec![path.clone()]
            }
            Deed::Move { from, to } => vec![from.clone(), to.clone()],
        }
    }
}

impl Done {
    fn next(&self, random: &mut Random, who: &str) -> Deed {
        let path = Path::new(who).join(format!("f{}", random.below(12)));
        let there = self.files.contains_key(&path);
        let synced = random.below(3) == 0;
        let bytes = {
            let size = random.below(60_000) as usize;
            random.bytes(size)
        };
        match random.below(10) {
            0..3 => Deed::Write { path, bytes, synced },
            3 | 4 if there => Deed::Append { path, bytes },
            5 if there => Deed::Remove { path },
            6 if there => {
                let to = Path::new(who).join(format!("f{}", random.below(12)));
                Deed::Move { from: path, to }
            }
            _ => Deed::Save { path, bytes, synced },
        }
    }

    fn note(&mut self, deed: Deed) {
        match deed {
            Deed::Write { path, bytes, .. } => drop(self.files.insert(path, bytes)),
            Deed::Save { path, bytes, .. } => {
                // Left by a save that was cut off, and used up by this one.
                self.files.remove(&path.with_extension("new"));
                self.files.insert(path, bytes);
            }
            Deed::Append { path, bytes } => self.files.entry(path).or_default().extend_from_slice(&bytes),
            Deed::Remove { path } => {
                self.files.remove(&path);
            }
            Deed::Move { from, to } => {
                if let Some(bytes) = self.files.remove(&from) {
                    self.files.insert(to, bytes);
                }
            }
        }
    }

    /// What was acknowledged is there byte for byte, and nothing else. What the failed operation
    /// touched may be as before or as after, and is taken as it is found from here on.
    #[track_caller]
    pub fn compare(&mut self, root: &Path, when: &str) {
        for path in std::mem::take(&mut self.unsure) {
            match fs::read(root.join(&path)) {
                Ok(bytes) => self.files.insert(path, bytes),
                Err(_) => self.files.remove(&path),
            };
        }
        let Some(folder) = self.files.keys().next().and_then(|p| p.parent()).map(Path::to_owned) else {
            return;
        };
        let entries = fs::read_dir(root.join(&folder)).unwrap_or_else(|e| panic!("{when}: {folder:?}: {e}"));
        let mut found: Vec<PathBuf> =
            entries.map(|e| folder.join(e.expect("an entry").file_name())).collect();
        found.sort();
        let expected: Vec<&PathBuf> = self.files.keys().collect();
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected,
            "{when}: names, after {} operations",
            self.count
        );
        for (path, bytes) in &self.files {
            let found = fs::read(root.join(path)).unwrap_or_else(|e| panic!("{when}: {path:?}: {e}"));
            assert!(
                found == *bytes,
                "{when}: {path:?} has {} bytes, {} were acknowledged; first difference at {:?}; after {} operations",
                found.len(),
                bytes.len(),
                found.iter().zip(bytes).position(|(a, b)| a != b),
                self.count
            );
        }
    }
}
