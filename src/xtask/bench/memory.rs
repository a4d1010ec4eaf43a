//! How much memory programs take: the sum over all that were started here and their children.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Options;
use super::peers::{self, World};
use super::table::{Goal, Row, Table, Unit};
use super::tree::{self, Shape};
use crate::run::{Result, While};

/// Looking costs some microseconds; a program that lives shorter than this is not seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const MILLION: usize = 1_000_000;
const MOST_MEMORY: f64 = 300.0;

/// Looks on from `begin` to `end`.
pub struct Peak {
    over: Arc<AtomicBool>,
    most_kib: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Peak {
    pub fn begin() -> Peak {
        Peak::without(None)
    }

    /// Without one process and what is below it.
    pub fn without(server: Option<u32>) -> Peak {
        let (over, most_kib) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, most) = (over.clone(), most_kib.clone());
        let thread = thread::spawn(move || {
            while !until.load(Relaxed) {
                most.fetch_max(of_children(std::process::id(), "VmHWM:", server), Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        Peak { over, most_kib, thread }
    }

    /// In megabytes.
    pub fn end(self) -> f64 {
        self.over.store(true, Relaxed);
        let _ = self.thread.join();
        megabytes(self.most_kib.load(Relaxed))
    }
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Of all below a process, not of itself. What ends meanwhile counts as nothing.
fn of_children(pid: u32, field: &str, without: Option<u32>) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|c| c.split_whitespace().filter_map(|c| c.parse().ok()).collect::<Vec<_>>())
        .collect();
    let counted = children.into_iter().filter(|child| Some(*child) != without);
    counted.map(|child| of(child, field) + of_children(child, field, without)).sum()
}

fn of(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Pins a tree of a million files, once: what that takes at most, and what it takes afterwards.
pub fn million(ctl: &Path, options: &Options, table: &mut Table) -> Result<()> {
    let files = options.size(MILLION);
    let work = format!("memory, {files} files of 100 bytes pinned");
    let mut row = Row::new("memory-million", work, Unit::Megabytes, &[Goal::Most(MOST_MEMORY)]);
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir()
        .when("cannot make a temporary folder")?;
    let server = folder.path().join("server");
    fs::create_dir(&server).when("cannot make a temporary folder")?;
    eprintln!("{} (one run): making the files", row.work);
    tree::make(&server, Shape::Tiny, files)?;
    eprintln!("{} (one run): pinning them", row.work);
    let world = World { ctl, before: None, ssh: None, server: &server, work: folder.path() };
    let peer = peers::start("holdfast", &world)?;
    let peak = Peak::begin();
    let seconds = super::timed(|| peer.preload())?;
    row.add("holdfast", peak.end());
    row.add("  afterwards", megabytes(of_children(std::process::id(), "VmRSS:", None)));
    table.rows.push(row);
    table.note_once(&format!("pinning {files} files took {seconds:.1} s"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_childs_memory_is_seen() {
        let peak = Peak::begin();
        // dd holds one block of 50 MB.
        let mut child = Command::new("sh")
            .args(["-c", "dd if=/dev/zero bs=50M count=1 2>/dev/null | sleep 0.3; exit 0"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        assert!(peak.end() > 50.0);
    }
}
