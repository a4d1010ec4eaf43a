//! Rows that bring two folders together: first fetch, nothing changed, edits on both sides, replay.
//!
//! Each story is one course of work that every program goes through in a world of its own; the rows
//! are its steps. The server is a folder here; rows over SFTP will be the same stories with another
//! server.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::memory::Peak;
use super::peers::{self, Peer};
use super::table::{Goal, Row, Table, Unit};
use super::tree::{self, Shape};
use super::{Options, timed};
use crate::run::{Result, While, quiet};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Preload,
    Unchanged,
    Edits,
    Replay,
}

pub struct Story {
    shape: Shape,
    /// Files, or MiB of the one large file.
    count: usize,
    /// In this order, and which row shows each.
    acts: Vec<(Act, &'static str)>,
    /// The row of the most memory that any act took.
    memory: Option<&'static str>,
}

/// What both sides edit at once.
const CONFLICTS: usize = 20;
const OUR_EDIT: &str = "edited here\n";
const THEIR_EDIT: &str = "edited there\n";

/// Memory is measured against a figure, time against the others.
const MOST_MEMORY: f64 = 60.0;
const TIMES: [Goal; 3] = [Goal::Ratio("rsync", 1.0), Goal::Ratio("unison", 1.0), Goal::Ratio("rclone", 1.0)];

pub fn stories(options: &Options) -> Vec<Story> {
    use Act::*;
    let small = options.size(10_000);
    let mixed = options.size(53_000);
    let story = |shape, count, acts: &[(Act, &'static str)], memory: Option<&'static str>| {
        let memory = memory.filter(|row| options.wants(row));
        let last = acts.iter().rposition(|(_, row)| options.wants(row));
        let acts = match memory {
            Some(_) => acts.to_vec(),
            None => acts[..last.map_or(0, |at| at + 1)].to_vec(),
        };
        Story { shape, count, acts, memory }
    };
    let all = [
        story(Shape::Small, small, &[(Preload, "preload-small"), (Edits, "edits-small")], None),
        story(Shape::Small, small, &[(Preload, ""), (Replay, "replay")], None),
        story(
            Shape::Mixed,
            mixed,
            &[(Preload, "preload-mixed"), (Unchanged, "unchanged"), (Edits, "edits-mixed")],
            Some("memory-mixed"),
        ),
        story(Shape::Large, options.size(1024), &[(Preload, "preload-large")], None),
    ];
    all.into_iter().filter(|story| !story.acts.is_empty()).collect()
}

impl Story {
    fn files(&self) -> String {
        match self.shape {
            Shape::Small => format!("{} files of 4 KiB", self.count),
            Shape::Tiny => format!("{} files of 100 bytes", self.count),
            Shape::Mixed => format!("{} mixed files", self.count),
            Shape::Large => format!("one file of {} MiB", self.count),
        }
    }

    fn rows(&self, options: &Options) -> Vec<Row> {
        let times = self.acts.iter().map(|(act, row)| {
            let files = self.files();
            let work = match act {
                Act::Preload => format!("preload of {files}"),
                Act::Unchanged => format!("nothing changed, {files}"),
                Act::Edits => format!("1 % edited on each side, {CONFLICTS} on both, {files}"),
                Act::Replay => format!("replay of {} operations on {files}", self.count),
            };
            Row::new(row, work, Unit::Seconds, &TIMES)
        });
        let memory = self.memory.map(|row| {
            let work = format!("most memory, {}", self.files());
            Row::new(row, work, Unit::Megabytes, &[Goal::Most(MOST_MEMORY)])
        });
        times.chain(memory).filter(|row| !row.name.is_empty() && options.wants(&row.name)).collect()
    }

    /// One program from the beginning to the end: row and figure of each step.
    fn tell(&self, peer: &dyn Peer, server: &Path) -> Result<HashMap<&'static str, f64>> {
        let mut figures = HashMap::new();
        let peak = Peak::begin();
        for (act, row) in &self.acts {
            if *act == Act::Unchanged || *act == Act::Edits {
                peer.settle()?;
            }
            let seconds = match act {
                Act::Preload => {
                    let seconds = timed(|| peer.preload())?;
                    same(&peer.here(), server).map(|()| seconds)
                }
                Act::Unchanged => timed(|| peer.reconcile()),
                Act::Edits => self.edits(peer, server),
                Act::Replay => {
                    peer.settle()?;
                    peer.before_edits()?;
                    tree::operate(&peer.here(), self.count, self.count)?;
                    let seconds = timed(|| peer.send())?;
                    same(&peer.here(), server).map(|()| seconds)
                }
            }?;
            figures.insert(*row, seconds);
        }
        let megabytes = peak.end();
        figures.extend(self.memory.map(|row| (row, megabytes)));
        Ok(figures)
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

pub fn measure(ctl: &Path, options: &Options, story: &Story, table: &mut Table) -> Result<()> {
    let (present, absent) = peers::names();
    let mut rows = story.rows(options);
    for run in 1..=options.runs {
        for who in &present {
            eprintln!("{} ({who}, run {run} of {})", story.files(), options.runs);
            let figures = one_run(ctl, story, who)?;
            for row in &mut rows {
                row.add(who, figures[row.name.as_str()]);
            }
        }
    }
    table.rows.extend(rows);
    table.note_once(
        "edits: rsync makes two passes and sees no conflict, unison skips them, rclone renames both",
    );
    for who in absent {
        table.note_once(&format!("{who} is not installed: nothing was compared with it"));
    }
    Ok(())
}

/// Each run has folders of its own: what one has changed, the next never sees.
fn one_run(ctl: &Path, story: &Story, who: &str) -> Result<HashMap<&'static str, f64>> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir()
        .when("cannot make a temporary folder")?;
    let server = folder.path().join("server");
    for name in ["server", who, "state"] {
        fs::create_dir(folder.path().join(name)).when("cannot make a temporary folder")?;
    }
    tree::make(&server, story.shape, story.count)?;
    let peer = peers::start(who, ctl, &server, folder.path())?;
    story.tell(&*peer, &server)
}
