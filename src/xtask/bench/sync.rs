//! Rows that bring two folders together: first fetch, nothing changed, edits on both sides, replay.
//!
//! Each story is one course of work that every program goes through in a world of its own; the rows
//! are its steps. It is told with a folder as the server, and over SSH, near and far.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::line::{Line, Ssh};
use super::memory::Peak;
use super::peers::{self, Peer, World};
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
    acts: Vec<(Act, String)>,
    /// The row of the most memory that any act took.
    memory: Option<String>,
}

/// Seconds and megabytes of each row.
type Figures = HashMap<String, (f64, f64)>;

/// Times over SFTP are whole seconds: what was changed a moment ago is looked at again later, for
/// safety's sake. A person's edits are older than that.
const GROW_OLD: Duration = Duration::from_millis(2100);

/// What both sides edit at once.
const CONFLICTS: usize = 20;
const OUR_EDIT: &str = "edited here\n";
const THEIR_EDIT: &str = "edited there\n";

/// Memory is measured against a figure, time against the others.
const MOST_MEMORY: f64 = 60.0;
const TIMES: [Goal; 3] = [Goal::Ratio("rsync", 1.0), Goal::Ratio("unison", 1.0), Goal::Ratio("rclone", 1.0)];

/// Those whose rows are wanted, by how their names begin.
pub fn stories(options: &Options, beginning: &str) -> Vec<Story> {
    use Act::*;
    let small = options.size(10_000);
    let mixed = options.size(53_000);
    let story = |shape, count, acts: &[(Act, &str)], memory: Option<&str>| {
        let named = |row: &str| if row.is_empty() { String::new() } else { format!("{beginning}{row}") };
        let memory = memory.map(named).filter(|row| options.wants(row));
        let acts: Vec<_> = acts.iter().map(|(act, row)| (*act, named(row))).collect();
        let last = acts.iter().rposition(|(_, row)| options.wants(row));
        let acts = match memory {
            Some(_) => acts,
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

    fn rows(&self, options: &Options, line: Line) -> Vec<Row> {
        let times = self.acts.iter().map(|(act, row)| {
            let files = self.files();
            let work = match act {
                Act::Preload => format!("preload of {files}"),
                Act::Unchanged => format!("nothing changed, {files}"),
                Act::Edits => format!("1 % edited on each side, {CONFLICTS} on both, {files}"),
                Act::Replay => format!("replay of {} operations on {files}", self.count),
            };
            Row::new(row, work + &line.words(), Unit::Seconds, &TIMES)
        });
        let memory = self.memory.iter().map(|row| {
            let work = format!("most memory, {}{}", self.files(), line.words());
            Row::new(row, work, Unit::Megabytes, &[Goal::Most(MOST_MEMORY)])
        });
        times.chain(memory).filter(|row| !row.name.is_empty() && options.wants(&row.name)).collect()
    }

    /// One program from the beginning to the end.
    fn tell(&self, peer: &dyn Peer, world: &World<'_>) -> Result<Figures> {
        let mut figures = Figures::new();
        let mut most: f64 = 0.0;
        for (act, row) in &self.acts {
            if *act != Act::Preload {
                peer.settle()?;
            }
            let measured = match act {
                Act::Preload => {
                    let measured = measured(world, || peer.preload())?;
                    same(&peer.here(), world.server).map(|()| measured)
                }
                Act::Unchanged => measured(world, || peer.reconcile()),
                Act::Edits => self.edits(peer, world),
                Act::Replay => {
                    peer.before_edits()?;
                    tree::operate(&peer.here(), self.count, self.count)?;
                    let measured = measured(world, || peer.send())?;
                    same(&peer.here(), world.server).map(|()| measured)
                }
            }?;
            most = most.max(measured.1);
            figures.insert(row.clone(), measured);
        }
        figures.extend(self.memory.iter().map(|row| (row.clone(), (most, most))));
        Ok(figures)
    }

    fn edits(&self, peer: &dyn Peer, world: &World<'_>) -> Result<(f64, f64)> {
        peer.before_edits()?;
        let each = self.count / 100;
        let (ours, theirs) = (0..each, each..2 * each);
        let both = 2 * each..2 * each + CONFLICTS;
        tree::edit(&peer.here(), ours.clone(), OUR_EDIT)?;
        tree::edit(world.server, theirs.clone(), THEIR_EDIT)?;
        tree::edit(&peer.here(), both.clone(), "both: here\n")?;
        tree::edit(world.server, both, "both: there, and longer\n")?;
        let measured = measured(world, || peer.reconcile())?;
        tree::must_end_with(world.server, ours, OUR_EDIT)?;
        tree::must_end_with(&peer.here(), theirs, THEIR_EDIT)?;
        Ok(measured)
    }
}

/// Seconds that it takes, and megabytes.
fn measured(world: &World<'_>, work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    if world.ssh.is_some() {
        thread::sleep(GROW_OLD);
    }
    let peak = Peak::without(world.ssh.map(Ssh::process));
    let seconds = timed(work);
    let megabytes = peak.end();
    Ok((seconds?, megabytes))
}

/// A program that was fast and did not do it has no place in the table.
fn same(here: &Path, server: &Path) -> Result<()> {
    quiet(Command::new("diff").arg("-rq").arg(here).arg(server), &[0])
}

pub fn measure(
    ctl: &Path,
    options: &Options,
    line: Line,
    stories: &[Story],
    table: &mut Table,
) -> Result<()> {
    let (present, absent) = peers::names(options);
    let ssh = match line {
        Line::Local => None,
        Line::Ssh(milliseconds) => Some(Ssh::start(&Ssh::build()?, milliseconds)?),
    };
    for story in stories {
        let mut rows = story.rows(options, line);
        for run in 1..=options.runs {
            for who in &present {
                eprint!("{}{} ({who}, run {run} of {})", story.files(), line.words(), options.runs);
                let folder = tempfile::Builder::new()
                    .prefix("holdfast-bench-")
                    .tempdir()
                    .when("cannot make a temporary folder")?;
                let (work, server) = (folder.path(), &folder.path().join("server"));
                let before = options.before.as_deref();
                let world = World { ctl, before, ssh: ssh.as_ref(), server, work };
                let figures = one_run(&world, story, who)?;
                for row in &mut rows {
                    let (figure, megabytes) = figures[&row.name];
                    eprint!(" {figure:.2}");
                    row.add(who, figure);
                    if row.unit == Unit::Seconds {
                        row.took(who, megabytes);
                    }
                }
                eprintln!();
            }
        }
        table.rows.extend(rows);
    }
    table.note_once(&peers::versions());
    table.note_once(
        "edits: rsync makes two passes and sees no conflict, unison skips them, rclone renames both",
    );
    for who in absent {
        table.note_once(&format!("{who} is not installed: nothing was compared with it"));
    }
    Ok(())
}

/// Each run has folders of its own: what one has changed, the next never sees.
fn one_run(world: &World<'_>, story: &Story, who: &str) -> Result<Figures> {
    for name in ["server", who, "state"] {
        fs::create_dir(world.work.join(name)).when("cannot make a temporary folder")?;
    }
    tree::make(world.server, story.shape, story.count)?;
    let peer = peers::start(who, world)?;
    story.tell(&*peer, world)
}
