//! What `cargo xtask bench` is called with, and the rows it knows.

use std::path::PathBuf;

use super::line::LINES;
use crate::run::{Failure, Result};

/// Name of a row and what it measures. A name also stands for all that begin with it.
pub const ROWS: [(&str, &str); 19] = [
    ("merge", "100,000 lines, 1,000 edits a side, against git merge-file"),
    ("merge-hostile", "the texts that are worst for us"),
    ("mount-write", "1 GiB written and synced, against native files"),
    ("mount-read", "reading it again from the cache"),
    ("mount-create", "10,000 files made, against a bare FUSE file system"),
    ("mount-rename", "renaming them"),
    ("mount-git", "git status over them, against native files"),
    ("mount-untar", "50,000 files from an archive, against a bare FUSE file system"),
    ("mount-find", "find over them, against native files"),
    ("mount-rm", "removing them, against a bare FUSE file system"),
    ("preload-small", "10,000 small files brought here, against rsync, unison, rclone"),
    ("edits-small", "1 % edited on each side and 20 on both"),
    ("replay", "10,000 operations sent to the server"),
    ("preload-mixed", "53,000 mixed files brought here"),
    ("unchanged", "asking for news where there are none"),
    ("edits-mixed", "1 % edited on each side and 20 on both"),
    ("memory-mixed", "the most memory all that took with 53,000 files"),
    ("preload-large", "one file of 1 GiB brought here"),
    ("memory-million", "memory with a million files; takes long"),
];

/// Those that bring two folders together: measured over SSH too, under names with another beginning.
const OVER_SSH: [&str; 8] = [
    "preload-small",
    "edits-small",
    "replay",
    "preload-mixed",
    "unchanged",
    "edits-mixed",
    "memory-mixed",
    "preload-large",
];

/// Every row's name, with what it measures.
pub fn rows() -> impl Iterator<Item = (String, String)> {
    let here = ROWS.iter().map(|(name, what)| (name.to_string(), what.to_string()));
    let lines = LINES.iter().skip(1);
    let far = lines.flat_map(|(beginning, line)| {
        let rows = ROWS.iter().filter(|(name, _)| OVER_SSH.contains(name));
        rows.map(move |(name, what)| (format!("{beginning}{name}"), format!("{what}{}", line.words())))
    });
    here.chain(far)
}

#[derive(PartialEq, Debug)]
pub struct Options {
    /// Of the full sizes.
    pub scale: f64,
    pub runs: usize,
    pub list: bool,
    /// Another build of holdfastctl, measured beside this one.
    pub before: Option<PathBuf>,
    /// Of those that bring two folders together; all where it is `None`.
    against: Option<Vec<String>>,
    names: Vec<String>,
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options =
            Options { scale: 1.0, runs: 3, list: false, before: None, against: None, names: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--quick" => options.scale = 0.1,
                "--scale" => {
                    let scale =
                        args.next().and_then(|n| n.parse().ok()).filter(|n| (0.01..=10.0).contains(n));
                    options.scale =
                        scale.ok_or_else(|| Failure::new("--scale takes a number from 0.01 to 10"))?;
                }
                "--runs" => {
                    let runs = args.next().and_then(|n| n.parse().ok()).filter(|n| (1..=99).contains(n));
                    options.runs = runs.ok_or_else(|| Failure::new("--runs takes a number from 1 to 99"))?;
                }
                "--against" => {
                    let list = args
                        .next()
                        .ok_or_else(|| Failure::new("--against takes names like rsync,rclone, or none"))?;
                    options.against = Some(list.split(',').map(str::to_owned).collect());
                }
                "--before" => {
                    let before = args.next().map(PathBuf::from).filter(|file| file.is_file());
                    options.before =
                        Some(before.ok_or_else(|| Failure::new("--before takes a holdfastctl"))?);
                }
                name if rows().any(|(row, _)| row.starts_with(name)) && !name.is_empty() => {
                    options.names.push(name.to_owned());
                }
                other => {
                    return Err(Failure::new(format!(
                        "bench does not know `{other}`; `cargo xtask bench --list` names its rows"
                    )));
                }
            }
        }
        Ok(options)
    }

    pub fn is_compared_with(&self, peer: &str) -> bool {
        self.against.as_ref().is_none_or(|list| list.iter().any(|name| name == peer))
    }

    pub fn wants(&self, row: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| row.starts_with(name.as_str()))
    }

    pub fn size(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn rows_are_chosen_by_the_beginning_of_their_names() {
        let options = parse(&["--runs", "5", "replay", "mount", "--quick"]).unwrap();
        assert_eq!((options.runs, options.size(10_000)), (5, 1000));
        assert!(options.wants("replay") && options.wants("mount-rm") && !options.wants("merge"));
        assert!(parse(&[]).unwrap().wants("mount-rm"));
        let far = parse(&["far-preload"]).unwrap();
        assert!(far.wants("far-preload-small") && !far.wants("preload-small"));
        assert!(parse(&["far-mount"]).is_err());
        assert!(parse(&[]).unwrap().is_compared_with("rclone"));
        assert!(!parse(&["--against", "none"]).unwrap().is_compared_with("rclone"));
        assert!(parse(&["--runs", "0"]).is_err());
        assert!(parse(&["--scale", "-1"]).is_err());
        assert!(parse(&["repaly"]).is_err());
    }
}
