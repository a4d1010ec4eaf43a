//! Rows of ordinary programs' work in the mount, against the same work on the native file system.
//!
//! The location is offline meanwhile, so that no replay runs beside. Metadata work is to be measured
//! against a FUSE file system that keeps no log: it joins as one more [`Place`] in [`measure`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::table::{Cell, Row, Table};
use super::tree::{self, Noise, Shape};
use super::{Options, timed};
use crate::run::{Result, While, capture, quiet, run};
use crate::served::Served;

/// A folder to work in, and whose it is.
struct Place {
    who: &'static str,
    folder: PathBuf,
}

/// How much of everything.
struct Sizes {
    mib: usize,
    find: usize,
    files: usize,
}

type Step = (&'static str, fn(&Path, &Sizes) -> Result<f64>);

/// In this order: a step may use what the one before has left in the folder.
const STEPS: [Step; 8] = [
    ("write 1 GiB and fsync", write_large),
    ("read it again (warm)", read_large),
    ("create 10,000 files", create),
    ("rename 10,000 files", rename),
    ("untar 50,000 files", untar),
    ("find over 50,000 files", find),
    ("git status over 10,000 files", git_status),
    ("rm -r of 50,000 files", remove),
];

pub fn measure(ctl: &Path, options: &Options) -> Result<Table> {
    let sizes = Sizes { mib: options.size(1024), find: options.size(50_000), files: options.size(10_000) };
    let work = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir()
        .when("cannot make a temporary folder")?;
    let archive = work.path().join("tree.tar");
    make_archive(work.path(), &archive, sizes.find)?;

    let mut rows: Vec<Row> = STEPS
        .iter()
        .map(|(title, _)| Row {
            work: (*title).to_owned(),
            cells: ["holdfast", "native"].map(|who| Cell { who: who.into(), samples: Vec::new() }).into(),
        })
        .collect();
    for round in 1..=options.runs {
        eprintln!("mount (run {round} of {})", options.runs);
        let served = Served::start(ctl)?;
        let url = format!("file://{}", served.make_folder("server")?.display());
        quiet(&mut served.ctl(["location", "add", "bench", &url]), &[0])?;
        quiet(&mut served.ctl(["pin", "bench:", "--wait"]), &[0])?;
        quiet(&mut served.ctl(["offline", "bench"]), &[0])?;
        let places = [
            Place { who: "holdfast", folder: served.mount().join("bench") },
            Place { who: "native", folder: served.make_folder("native")? },
        ];
        for place in &places {
            fs::copy(&archive, place.folder.join("tree.tar")).when("cannot copy the archive")?;
        }
        for ((_, step), row) in STEPS.iter().zip(&mut rows) {
            for place in &places {
                let seconds = step(&place.folder, &sizes)?;
                row.cells.iter_mut().filter(|c| c.who == place.who).for_each(|c| c.samples.push(seconds));
            }
        }
        served.stop()?;
    }
    let mut notes = vec!["there is no bare FUSE file system to compare metadata work with yet".to_owned()];
    if options.quick {
        notes.push("--quick: a tenth of what the rows say".to_owned());
    }
    Ok(Table { title: "ordinary work in the mount, offline".into(), rows, notes })
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
        let sizes = Sizes { mib: 1, find: 20, files: 30 };
        for (title, step) in STEPS {
            assert!(step(&folder, &sizes).unwrap_or_else(|e| panic!("{title}: {e}")) > 0.0);
        }
        assert!(folder.join("created/d000/f00007.moved").exists() && !folder.join("tree").exists());
    }
}
