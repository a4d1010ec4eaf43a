//! Who does what to which folder, and what must come of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::saving::{Way, ways};
use crate::common::{Ran, Session, has_program, skip, tree};

/// Folders of sources, each with its part in the story; files are relative to the location.
pub struct Plan {
    repository: String,
    moved_here: String,
    removed_here: String,
    moved_there: String,
    /// Edited here only, there only, on both sides.
    edited_here: Vec<String>,
    edited_there: Vec<String>,
    edited_both: Vec<String>,
    /// Edited here and deleted there.
    deleted_there: Vec<String>,
    /// Gets another mode there.
    with_mode: Vec<String>,
    /// In the folder that is moved here, edited there.
    in_moved: String,
    /// In the folder that is removed here, edited there.
    in_removed: String,
    removed_there: String,
    /// In the folder that is removed there, edited here.
    in_removed_there: String,
    /// Gets one name here and another there.
    named_twice: String,
}

const OURS: &str = "// what we wrote";
const MADE_TWICE: &str = "src/made-by-both.txt";
const MERGED: &str = "// what became of both\n";
const THEIRS: &str = "// what they wrote, which is longer\n";

/// Regular files below a folder of the server, in order.
fn files(s: &Session, folder: &str) -> Vec<String> {
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.is_file());
    tree(&s.there(folder))
        .into_keys()
        .filter_map(|path| path.to_str().map(|p| format!("{folder}/{p}")))
        .filter(|path| is_file(&s.there(path)))
        .collect()
}

/// Those that any editor takes, and a shell without quotes.
fn texts(s: &Session, folder: &str) -> Vec<String> {
    let mut files = files(s, folder);
    files.retain(|path| {
        let text = fs::read_to_string(s.there(path)).unwrap_or_default();
        path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
            && text.ends_with('\n')
            && !text.contains('\r')
    });
    files
}

impl Plan {
    pub fn of(s: &Session) -> Plan {
        let mut folders: Vec<String> = fs::read_dir(s.there("src"))
            .expect("it can be listed")
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .map(|name| format!("src/{name}"))
            .filter(|folder| texts(s, folder).len() >= 12 && files(s, folder).len() >= 20)
            .collect();
        folders.sort();
        assert!(folders.len() >= 20, "too few folders of a good size");
        let mut next = || folders.remove(0);
        let (repository, moved_here, removed_here) = (next(), next(), next());
        let (moved_there, removed_there, named_twice) = (next(), next(), next());
        let mut edits = |count: usize| -> Vec<String> {
            let mut chosen = Vec::new();
            while chosen.len() < count {
                chosen.extend(texts(s, &next()).into_iter().take(10));
            }
            chosen.truncate(count);
            chosen
        };
        Plan {
            in_moved: files(s, &moved_here)[3].clone(),
            in_removed: files(s, &removed_here)[5].clone(),
            in_removed_there: texts(s, &removed_there)[7].clone(),
            named_twice: files(s, &named_twice)[2].clone(),
            edited_here: edits(40),
            edited_there: edits(30),
            edited_both: edits(20),
            deleted_there: edits(10),
            with_mode: edits(20),
            repository,
            moved_here,
            removed_here,
            moved_there,
            removed_there,
        }
    }

    pub fn work_here(&self, s: &Session) {
        self.git(s);
        self.archive(s);
        if has_program("sqlite3") {
            s.shell("sqlite3 -bail notes.db 'create table t(x); insert into t select hex(randomblob(200)) from generate_series(1, 3000); delete from t where rowid % 3 = 0;'")
                .done();
        } else {
            skip("there is no sqlite3");
        }
        s.shell(&format!("mv {} src/moved-by-us; rm -r {}", self.moved_here, self.removed_here)).done();
        let edited = self.edited_here.iter().chain(&self.edited_both).chain(&self.deleted_there);
        let edited = edited.chain([&self.in_removed_there]);
        let ways: Vec<_> = ways().collect();
        for (n, path) in edited.enumerate() {
            save(s, path, ways[n % ways.len()].1);
        }
        s.write_here(MADE_TWICE, OURS);
        s.shell(&format!("mv '{}' src/named-by-us", self.named_twice)).done();
    }

    fn git(&self, s: &Session) {
        if !has_program("git") {
            return skip("there is no git");
        }
        let git = "git -c user.name=Me -c user.email=me@here -c gc.auto=0";
        s.shell(&format!(
            "cd {}; git init -q; {git} add -A; {git} commit -qm one; \
             for n in 1 2 3 4 5; do echo $n >> note; {git} add -A; {git} commit -qm $n; done; \
             git gc -q; git fsck --strict",
            self.repository
        ))
        .done();
    }

    fn archive(&self, s: &Session) {
        let tar = s.base().join("some.tar");
        Ran::of(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(s.there("")).arg(&self.moved_there))
            .done();
        s.shell(&format!(
            "mkdir unpacked again; tar -xf '{tar}' -C unpacked; tar -xf '{tar}' -C again; rm -r unpacked/src",
            tar = tar.display()
        ))
        .done();
    }

    pub fn work_there(&self, s: &Session) {
        let there = |path: &String| s.there(path);
        for path in
            self.edited_there.iter().chain(&self.edited_both).chain([&self.in_moved, &self.in_removed])
        {
            let text = [THEIRS.as_bytes(), &fs::read(there(path)).expect("it is there")].concat();
            fs::write(there(path), text).expect("it can be written");
        }
        for path in &self.deleted_there {
            fs::remove_file(there(path)).expect("it can be removed");
        }
        for path in &self.with_mode {
            fs::set_permissions(there(path), fs::Permissions::from_mode(0o640)).expect("it has a mode");
        }
        for (from, to) in [(&self.moved_there, "src/moved-by-them"), (&self.named_twice, "src/named-by-them")]
        {
            fs::rename(there(from), s.there(to)).expect("it can be moved");
        }
        fs::remove_dir_all(there(&self.removed_there)).expect("it can be removed");
        s.write_there(MADE_TWICE, THEIRS);
    }

    /// Where nothing tells that a file of another name is the same, whoever renames it there deletes
    /// it and makes another.
    pub fn conflicts(&self, moves_are_seen: bool) -> Vec<(String, &'static str)> {
        let of = |paths: &[String], kind| paths.iter().map(|p| (p.clone(), kind)).collect::<Vec<_>>();
        let mut all = of(&self.edited_both, "edit/edit");
        all.extend(of(&self.deleted_there, "edit/delete"));
        all.push((self.in_removed_there.clone(), "edit/delete"));
        all.push((self.in_removed.clone(), "delete/edit"));
        all.push((MADE_TWICE.into(), "create/create"));
        all.push(("src/named-by-us".into(), if moves_are_seen { "move/move" } else { "move/delete" }));
        all
    }

    /// Some one by one; of the others ours where both edited, theirs where they deleted, and the file
    /// that they went on with.
    pub fn decide(&self, s: &Session) {
        let merged = s.base().join("merged");
        fs::write(&merged, MERGED).expect("it can be written");
        let (merged, both) = (merged.to_str().expect("a plain name"), &self.edited_both);
        for (path, choice) in [
            (both[0].as_str(), &["--keep", "server"][..]),
            (&both[1], &["--with", merged]),
            (&both[2], &["--keep", "both"]),
            (MADE_TWICE, &["--keep", "server"]),
            ("src/named-by-us", &["--keep", "local"]),
        ] {
            let path = format!("nas:{path}");
            let done = s.json(&[&["resolve", path.as_str()], choice].concat());
            assert_eq!(done[0]["done"], true, "{done}");
        }
        for (kind, keep, count) in [
            ("edit/edit", "local", both.len() - 3),
            ("edit/delete", "server", self.deleted_there.len() + 1),
            ("delete/edit", "server", 1),
        ] {
            let args = ["resolve", "--under", "nas:", "--kind", kind, "--keep", keep];
            let preview = s.json(&[&args[..], &["--dry-run"]].concat());
            let done = s.json(&args);
            assert_eq!(preview.as_array().map(Vec::len), Some(count), "{kind}");
            assert_eq!(done.as_array().map(Vec::len), Some(count), "{kind}");
        }
        s.must_conflict(&[]);
    }

    pub fn must_have_come_out(&self, s: &Session, moves_are_seen: bool) {
        let begins = |path: &Path, with: &str| {
            let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(bytes.starts_with(with.as_bytes()), "{} does not begin with {with:?}", path.display());
        };
        for root in [s.here(""), s.there("")] {
            self.edited_here.iter().chain(&self.edited_both[2..]).for_each(|p| begins(&root.join(p), OURS));
            for (path, with) in [(self.edited_both[0].as_str(), THEIRS), (&self.edited_both[1], MERGED)] {
                begins(&root.join(path), with);
            }
            let folder = Path::new(&self.edited_both[2]).parent().expect("it lies in a folder");
            let beside =
                tree(&root.join(folder)).into_keys().filter(|p| p.to_string_lossy().contains(" (server "));
            let beside: Vec<PathBuf> = beside.collect();
            assert_eq!(beside.len(), 1, "{beside:?}");
            begins(&root.join(folder).join(&beside[0]), THEIRS);
            begins(&root.join(MADE_TWICE), THEIRS);
            assert!(root.join("src/named-by-us").is_file());
            assert_eq!(root.join("src/named-by-them").exists(), !moves_are_seen);
            assert!(!root.join(&self.named_twice).exists() && !root.join(&self.in_removed_there).exists());
            self.edited_there.iter().chain([&self.in_removed]).for_each(|p| begins(&root.join(p), THEIRS));
            let in_moved = self.in_moved.replacen(&self.moved_here, "src/moved-by-us", 1);
            begins(&root.join(in_moved), THEIRS);
            for path in &self.deleted_there {
                assert!(!root.join(path).exists(), "{path}");
            }
            for path in &self.with_mode {
                let mode = fs::metadata(root.join(path)).expect("it is there").permissions().mode();
                assert_eq!(mode & 0o7777, 0o640, "{path}");
            }
            assert!(!root.join(&self.moved_here).exists() && !root.join(&self.moved_there).exists());
            // Of the folder that was removed only what they went on with is left.
            let left: Vec<PathBuf> = tree(&root.join(&self.removed_here)).into_keys().collect();
            let files: Vec<&PathBuf> =
                left.iter().filter(|p| root.join(&self.removed_here).join(p).is_file()).collect();
            assert_eq!(files.len(), 1, "{files:?}");
            assert!(root.join("src/moved-by-them").is_dir() && !root.join("unpacked/src").exists());
        }
        if has_program("git") {
            let repository = s.there(&self.repository);
            let git = ["-c", "safe.directory=*", "fsck", "--full", "--strict"];
            Ran::of(Command::new("git").args(git).current_dir(repository)).done();
        }
        if has_program("sqlite3") {
            let ask = "pragma integrity_check; select count(*) from t;";
            let told = Ran::of(Command::new("sqlite3").arg(s.there("notes.db")).arg(ask)).done();
            assert_eq!(told.text(), "ok\n2000\n");
        }
    }
}

/// Puts our line before what a file holds, in one of the ways in which programs save.
fn save(s: &Session, path: &str, way: &Way) {
    let (folder, name) = path.rsplit_once('/').expect("it lies in a folder");
    let new = s.base().join("new");
    let text = [OURS.as_bytes(), b"\n", &fs::read(s.here(path)).expect("it is here")].concat();
    fs::write(&new, &text).expect("it can be written");
    s.shell(&format!("cd '{folder}'; {}", way.script(&format!("'{name}'"), OURS, &new))).done();
    assert!(fs::read(s.here(path)).is_ok_and(|now| now == text), "{path} saved by the way `{}`", way.name);
}

/// Inode and time of the last change of each file: whoever touches one changes them.
pub fn stamps(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    tree(folder)
        .into_keys()
        .map(|path| {
            let meta = fs::symlink_metadata(folder.join(&path)).expect("it was just listed");
            (path, (meta.ino(), meta.ctime(), meta.ctime_nsec()))
        })
        .collect()
}
