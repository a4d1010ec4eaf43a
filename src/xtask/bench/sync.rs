//! Rows that bring two folders together: first fetch, nothing changed, edits on both sides, replay.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::peers::{self, Peer};
use super::table::{Cell, Row, Table};
use super::tree::{self, Shape};
use super::{Options, timed};
use crate::run::{Result, While, quiet};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Preload,
    Unchanged,
    Edits,
    Replay,
}

pub struct Work {
    kind: Kind,
    shape: Shape,
    /// Files, or MiB of the one large file; operations come from the kind.
    count: usize,
}

/// What both sides edit at once.
const CONFLICTS: usize = 20;
const OUR_EDIT: &str = "edited here\n";
const THEIR_EDIT: &str = "edited there\n";

pub fn works(options: &Options) -> Vec<Work> {
    let small = options.size(10_000);
    let mixed = options.size(53_000);
    let all = [
        ("preload", Kind::Preload, Shape::Small, small),
        ("preload", Kind::Preload, Shape::Mixed, mixed),
        ("preload", Kind::Preload, Shape::Large, options.size(1024)),
        ("unchanged", Kind::Unchanged, Shape::Mixed, mixed),
        ("edits", Kind::Edits, Shape::Small, small),
        ("edits", Kind::Edits, Shape::Mixed, mixed),
        ("replay", Kind::Replay, Shape::Small, small),
    ];
    let wanted = all.into_iter().filter(|(name, ..)| options.wants(name));
    wanted.map(|(_, kind, shape, count)| Work { kind, shape, count }).collect()
}

impl Work {
    fn title(&self) -> String {
        let files = match self.shape {
            Shape::Small => format!("{} files of 4 KiB", self.count),
            Shape::Mixed => format!("{} mixed files", self.count),
            Shape::Large => format!("one file of {} MiB", self.count),
        };
        match self.kind {
            Kind::Preload => format!("preload: {files}"),
            Kind::Unchanged => format!("nothing changed: {files}"),
            Kind::Edits => format!("1 % edited on each side and {CONFLICTS} on both: {files}"),
            Kind::Replay => format!("replay of {} operations: {files}", self.count),
        }
    }

    fn notes(&self) -> Vec<String> {
        match self.kind {
            Kind::Edits => vec!["rsync makes two passes and sees no conflict; unison skips conflicts".into()],
            Kind::Replay => vec!["peers compare the folders and send what differs".into()],
            _ => Vec::new(),
        }
    }

    /// Brings `peer` to where the clock starts, times it, and makes sure that it did the work.
    fn once(&self, peer: &dyn Peer, server: &Path) -> Result<f64> {
        if self.kind == Kind::Preload {
            let seconds = timed(|| peer.preload())?;
            return same(&peer.here(), server).map(|()| seconds);
        }
        peer.preload()?;
        peer.settle()?;
        match self.kind {
            Kind::Preload | Kind::Unchanged => timed(|| peer.reconcile()),
            Kind::Edits => self.edits(peer, server),
            Kind::Replay => {
                peer.before_edits()?;
                tree::operate(&peer.here(), self.count, self.count)?;
                let seconds = timed(|| peer.send())?;
                same(&peer.here(), server).map(|()| seconds)
            }
        }
    }

    fn edits(&self, peer: &dyn Peer, server: &Path) -> Result<f64> {
        peer.before_edits()?;
        let each = self.count / 100;
        let (ours, theirs) = (0..each, each..2 * each);
        let both = 2 * each..2 * each + CONFLICTS;
        tree::edit(&peer.here(), ours.clone(), OUR_EDIT)?;
        tree::edit(server, theirs.clone(), THEIR_EDIT)?;
        tree::edit(&peer.here(), both.clone(), "both: here\n")?;
        tree::edit(server, both, "both: there, and longer\n")?;
        let seconds = timed(|| peer.reconcile())?;
        tree::must_end_with(server, ours, OUR_EDIT)?;
        tree::must_end_with(&peer.here(), theirs, THEIR_EDIT)?;
        Ok(seconds)
    }
}

/// A program that was fast and did not do it has no place in the table.
fn same(here: &Path, server: &Path) -> Result<()> {
    quiet(Command::new("diff").arg("-rq").arg(here).arg(server), &[0])
}

pub fn measure(ctl: &Path, options: &Options, work: &Work) -> Result<Table> {
    let mut cells: Vec<Cell> =
        peers::names().into_iter().map(|who| Cell { who: who.into(), samples: Vec::new() }).collect();
    for run in 1..=options.runs {
        for cell in &mut cells {
            eprintln!("{} ({}, run {run} of {})", work.title(), cell.who, options.runs);
            cell.samples.push(one_run(ctl, work, &cell.who)?);
        }
    }
    let row = Row { work: "time".into(), cells };
    Ok(Table { title: work.title(), rows: vec![row], notes: work.notes() })
}

/// Each run has folders of its own: what one has changed, the next never sees.
fn one_run(ctl: &Path, work: &Work, who: &str) -> Result<f64> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir()
        .when("cannot make a temporary folder")?;
    let server = folder.path().join("server");
    for name in ["server", "rsync", "unison", "rclone", "state"] {
        fs::create_dir(folder.path().join(name)).when("cannot make a temporary folder")?;
    }
    tree::make(&server, work.shape, work.count)?;
    let peer = peers::start(who, ctl, &server, folder.path())?;
    work.once(&*peer, &server)
}
