//! Rows of ordinary programs' work in the mount, against the same work on the native file system and
//! on a bare FUSE file system over it.
//!
//! The location is offline meanwhile, so that no replay runs beside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::bare::{self, Bare};
use super::table::{Goal, Row, Table, Unit};
use super::tree::{self, Noise, Shape};
use super::{Options, timed};
use crate::run::{Result, While, capture, quiet, run};
use crate::served::Served;

const OURS: &str = "holdfast";
const NATIVE: &str = "native";
const BARE: &str = "bare FUSE";

/// How much of everything.
struct Sizes {
    mib: usize,
    files: usize,
    many: usize,
}

struct Step {
    row: &'static str,
    /// `{}` is how much.
    work: &'static str,
    size: fn(&Sizes) -> usize,
    goal: Goal,
    /// What must have been done in the folder before, by its row.
    after: Option<&'static str>,
    run: fn(&Path, &Sizes) -> Result<f64>,
}

/// In this order: a step may use what an earlier one has left in the folder.
const STEPS: [Step; 8] = [
    step("mount-write", "write {} MiB and fsync", |s| s.mib, Goal::Ratio(NATIVE, 0.65), None, write_large),
    step(
        "mount-read",
        "read {} MiB (warm)",
        |s| s.mib,
        Goal::Ratio(NATIVE, 0.7),
        Some("mount-write"),
        read_large,
    ),
    step("mount-create", "create {} files", |s| s.files, Goal::Ratio(BARE, 0.75), None, create),
    step(
        "mount-rename",
        "rename {} files",
        |s| s.files,
        Goal::Ratio(BARE, 0.75),
        Some("mount-create"),
        rename,
    ),
    step(
        "mount-git",
        "git status, {} files",
        |s| s.files,
        Goal::Ratio(NATIVE, 0.5),
        Some("mount-create"),
        git_status,
    ),
    step("mount-untar", "untar {} files", |s| s.many, Goal::Ratio(BARE, 0.75), None, untar),
    step("mount-find", "find over {} files", |s| s.many, Goal::Ratio(NATIVE, 0.8), Some("mount-untar"), find),
    step("mount-rm", "rm -r of {} files", |s| s.many, Goal::Ratio(BARE, 0.75), Some("mount-untar"), remove),
];

const fn step(
    row: &'static str,
    work: &'static str,
    size: fn(&Sizes) -> usize,
    goal: Goal,
    after: Option<&'static str>,
    run: fn(&Path, &Sizes) -> Result<f64>,
) -> Step {
    Step { row, work, size, goal, after, run }
}

pub fn measure(ctl: &Path, options: &Options, table: &mut Table) -> Result<()> {
    let sizes = Sizes { mib: options.size(1024), files: options.size(10_000), many: options.size(50_000) };
    let needed =
        |row: &str| options.wants(row) || STEPS.iter().any(|s| options.wants(s.row) && s.after == Some(row));
    let steps: Vec<&Step> = STEPS.iter().filter(|step| needed(step.row)).collect();
    if steps.is_empty() {
        return Ok(());
    }
    println!("Building the bare file system (release) ...");
    let bare = bare::build()?;
    let work = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir()
        .when("cannot make a temporary folder")?;
    let archive = work.path().join("tree.tar");
    make_archive(work.path(), &archive, sizes.many)?;

    let mut rows: Vec<Row> = steps
        .iter()
        .map(|step| {
            let work = step.work.replace("{}", &(step.size)(&sizes).to_string());
            Row::new(step.row, work, Unit::Seconds, &[step.goal])
        })
        .collect();
    for round in 1..=options.runs {
        let served = Served::start(ctl)?;
        let url = format!("file://{}", served.make_folder("server")?.display());
        quiet(&mut served.ctl(["location", "add", "bench", &url]), &[0])?;
        quiet(&mut served.ctl(["pin", "bench:", "--wait"]), &[0])?;
        quiet(&mut served.ctl(["offline", "bench"]), &[0])?;
        let (behind, in_front) = (served.make_folder("bare")?, served.make_folder("bare-mount")?);
        let bare = Bare::start(&bare, &behind, &in_front)?;
        let places =
            [(OURS, served.mount().join("bench")), (NATIVE, served.make_folder("native")?), (BARE, in_front)];
        for (_, folder) in &places {
            fs::copy(&archive, folder.join("tree.tar")).when("cannot copy the archive")?;
        }
        for (step, row) in steps.iter().zip(&mut rows) {
            eprintln!("{} (run {round} of {})", row.work, options.runs);
            for (who, folder) in &places {
                row.add(who, (step.run)(folder, &sizes)?);
            }
        }
        drop(bare);
        served.stop()?;
    }
    table.rows.extend(rows.into_iter().filter(|row| options.wants(&row.name)));
    Ok(())
}

fn make_archive(work: &Path, archive: &Path, files: usize) -> Result<()> {
    let tree = work.join("tree");
    fs::create_dir(&tree).when("cannot make a temporary folder")?;
    tree::make(&tree, Shape::Mixed, files)?;
    run(Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(work).arg("tree"))?;
    fs::remove_dir_all(&tree).when("cannot clear a temporary folder away")
}

fn write_large(folder: &Path, sizes: &Sizes) -> Result<f64> {
    timed(|| tree::large(&folder.join("large"), sizes.mib, &mut Noise(3)).when("cannot write the large file"))
}

fn read_large(folder: &Path, _: &Sizes) -> Result<f64> {
    timed(|| quiet(Command::new("cat").arg(folder.join("large")).stdout(Stdio::null()), &[0]))
}

/// All alike: making up bytes would be timed too.
fn create(folder: &Path, sizes: &Sizes) -> Result<f64> {
    let block = Noise(5).bytes(4096);
    let paths: Vec<PathBuf> = (0..sizes.files).map(|n| folder.join("created").join(tree::path(n))).collect();
    let folders: BTreeSet<&Path> = paths.iter().filter_map(|p| p.parent()).collect();
    timed(|| {
        folders.iter().try_for_each(fs::create_dir_all).when("cannot make a folder")?;
        paths.iter().try_for_each(|path| fs::write(path, &block)).when("cannot create a file")
    })
}

fn rename(folder: &Path, sizes: &Sizes) -> Result<f64> {
    let folder = folder.join("created");
    timed(|| {
        (0..sizes.files)
            .map(|n| folder.join(tree::path(n)))
            .try_for_each(|path| fs::rename(&path, path.with_extension("moved")))
            .when("cannot rename")
    })
}

fn untar(folder: &Path, _: &Sizes) -> Result<f64> {
    timed(|| quiet(Command::new("tar").args(["-xf", "tree.tar"]).current_dir(folder), &[0]))
}

fn find(folder: &Path, _: &Sizes) -> Result<f64> {
    timed(|| quiet(Command::new("find").arg(folder.join("tree")).args(["-type", "f", "-size", "+1"]), &[0]))
}

fn git_status(folder: &Path, _: &Sizes) -> Result<f64> {
    let folder = folder.join("created");
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0"]);
        command.args(words).current_dir(&folder);
        command
    };
    for words in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "all"], &["status"]] {
        quiet(&mut git(words), &[0])?;
    }
    timed(|| capture(&mut git(&["status", "--short"])).map(drop))
}

fn remove(folder: &Path, _: &Sizes) -> Result<f64> {
    timed(|| quiet(Command::new("rm").arg("-r").arg(folder.join("tree")), &[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_runs_in_an_ordinary_folder() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("place");
        fs::create_dir(&folder).unwrap();
        make_archive(work.path(), &folder.join("tree.tar"), 20).unwrap();
        let sizes = Sizes { mib: 1, files: 30, many: 20 };
        for step in STEPS {
            let seconds = (step.run)(&folder, &sizes).unwrap_or_else(|e| panic!("{}: {e}", step.row));
            assert!(seconds > 0.0);
        }
        assert!(folder.join("created/d000/f00007.moved").exists() && !folder.join("tree").exists());
    }
}
