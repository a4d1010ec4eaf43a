//! Somebody who works in a folder, in files of their own, and keeps account of what is done.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::common::{Found, Random, limit, tree};

/// What is compared of an item: bytes and modes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    File { mode: u32, bytes: Vec<u8> },
    Link { target: PathBuf },
}

pub struct Hand {
    root: PathBuf,
    who: &'static str,
    /// Works in place too. What the server's own people do is whole at each moment.
    in_place: bool,
    random: Random,
    count: u64,
    pub items: BTreeMap<PathBuf, Item>,
}

impl Hand {
    pub fn new(root: PathBuf, who: &'static str, in_place: bool, seed: u64) -> Hand {
        Hand { root, who, in_place, random: Random::new(seed), count: 0, items: BTreeMap::new() }
    }

    /// Works until told to stop.
    pub fn set_to_work(mut self, stop: &Arc<AtomicBool>, pause: Duration) -> JoinHandle<Hand> {
        let stop = stop.clone();
        thread::spawn(move || {
            while !stop.load(SeqCst) {
                self.deed();
                thread::sleep(pause);
            }
            self
        })
    }

    /// A file of its own, whole.
    pub fn mark(&mut self, path: &Path) {
        let bytes = self.body();
        self.save(path, 0o644, bytes);
    }

    pub fn deed(&mut self) {
        self.count += 1;
        let path = self.one();
        let fresh = |what: &str| path.with_file_name(format!("{}-{what}-{}", self.who, self.count));
        match (self.random.below(12), self.items.get(&path).cloned()) {
            (0, Some(item)) => {
                let to = fresh("moved");
                self.patiently(&path, || fs::rename(self.root.join(&path), self.root.join(&to)));
                self.items.remove(&path);
                self.items.insert(to, item);
            }
            (1, Some(_)) => {
                self.patiently(&path, || fs::remove_file(self.root.join(&path)));
                self.items.remove(&path);
            }
            (2, Some(Item::File { bytes, .. })) => {
                let mode = [0o600, 0o640, 0o644, 0o755][self.random.below(4) as usize];
                self.patiently(&path, || set_mode(&self.root.join(&path), mode));
                self.items.insert(path, Item::File { mode, bytes });
            }
            (3, _) => {
                let (folder, bytes) = (fresh("folder"), self.body());
                self.patiently(&folder, || fs::create_dir(self.root.join(&folder)));
                self.save(&folder.join("a"), 0o644, bytes);
            }
            (4, _) => {
                let (link, target) = (fresh("link"), PathBuf::from(format!("to/{}", self.count)));
                self.patiently(&link, || symlink(&target, self.root.join(&link)));
                self.items.insert(link, Item::Link { target });
            }
            (5 | 6, Some(Item::File { mode, .. })) if self.in_place => {
                let bytes = self.body();
                self.patiently(&path, || fs::write(self.root.join(&path), &bytes));
                self.items.insert(path, Item::File { mode, bytes });
            }
            (7, Some(Item::File { mode, mut bytes })) if self.in_place => {
                let more = format!("{} adds {}\n", self.who, self.count);
                self.patiently(&path, || append(&self.root.join(&path), more.as_bytes()));
                bytes.extend_from_slice(more.as_bytes());
                self.items.insert(path, Item::File { mode, bytes });
            }
            (8, _) | (_, None | Some(Item::Link { .. })) => {
                let (path, bytes) = (fresh("new"), self.body());
                self.save(&path, 0o644, bytes);
            }
            (_, Some(Item::File { mode, .. })) => {
                let bytes = self.body();
                self.save(&path, mode, bytes);
            }
        }
    }

    /// One of its own, at random.
    fn one(&mut self) -> PathBuf {
        let n = self.random.below(self.items.len() as u64) as usize;
        self.items.keys().nth(n).expect("nobody runs out of files").clone()
    }

    /// Of another length each time: by SFTP nothing else tells two versions of the same second apart.
    fn body(&mut self) -> Vec<u8> {
        let large = if self.random.below(16) == 0 { 400_000 } else { 8_000 };
        self.random.bytes(large + self.count as usize)
    }

    fn save(&mut self, path: &Path, mode: u32, bytes: Vec<u8>) {
        let fresh = self.root.join(path).with_extension(format!("{}-new", self.who));
        self.patiently(path, || fs::write(&fresh, &bytes));
        self.patiently(path, || set_mode(&fresh, mode));
        self.patiently(path, || fs::rename(&fresh, self.root.join(path)));
        self.items.insert(path.to_owned(), Item::File { mode, bytes });
    }

    /// Again while what it takes is not here. No other failure is one that a program may see.
    fn patiently(&self, path: &Path, mut step: impl FnMut() -> io::Result<()>) {
        let end = Instant::now() + limit();
        while let Err(error) = step() {
            let is_miss = matches!(Errno::from_io_error(&error), Some(Errno::NETUNREACH | Errno::TIMEDOUT));
            let place = (self.who, self.count, path);
            assert!(is_miss, "{place:?}: {error}");
            assert!(Instant::now() < end, "{place:?}: {error}, and it stays so");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(bytes)
}

pub fn rest(working: JoinHandle<Hand>) -> Hand {
    working.join().unwrap_or_else(|why| std::panic::resume_unwind(why))
}

/// Files and links; folders come with what they hold.
pub fn items(folder: &Path) -> BTreeMap<PathBuf, Item> {
    let item = |found| match found {
        Found::File { mode, bytes, .. } => Some(Item::File { mode, bytes }),
        Found::Link { target } => Some(Item::Link { target }),
        Found::Folder { .. } | Found::Other => None,
    };
    tree(folder).into_iter().filter_map(|(path, found)| Some((path, item(found)?))).collect()
}

/// One holds what the other does.
#[track_caller]
pub fn must_be(found: &BTreeMap<PathBuf, Item>, expected: &BTreeMap<PathBuf, Item>) {
    let paths = found.keys().chain(expected.keys().filter(|path| !found.contains_key(*path)));
    let wrong: Vec<_> = paths.filter(|path| found.get(*path) != expected.get(*path)).collect();
    let told = |path: &&PathBuf| {
        let told = |item: Option<&Item>| match item {
            None => "nothing".into(),
            Some(Item::File { mode, bytes }) => format!("{mode:o}, {} bytes", bytes.len()),
            Some(Item::Link { target }) => format!("a link to {}", target.display()),
        };
        format!("{}: {}, to be {}", path.display(), told(found.get(*path)), told(expected.get(*path)))
    };
    let wrong: Vec<String> = wrong.iter().map(told).collect();
    assert!(wrong.is_empty(), "not what was done:\n{}", wrong.join("\n"));
}
