//! Waiting changes as a tar archive.
//!
//! Members are named `NAME/path`: the local content of what was made or written, folders that were
//! made, symbolic links. `holdfast-changes.json`, the last member, lists all changes, also those
//! that are no content (removals, moves, attributes), and the paths whose content could not be had.

mod archive;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use holdfast_bus::Commands;
use holdfast_engine::model::{ChangeReport, Kind, Op, Side, StateReport, Target};
use serde_json::{Map, Value, json};

use self::archive::Archive;
use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::place::optional_target;
use crate::show::{json, text};

pub async fn export(engine: &dyn Commands, file: &Path, path: Option<&OsStr>, out: Out) -> Ended {
    let to_stdout = file.as_os_str() == "-";
    if to_stdout && out == Out::Json {
        return Err(Failure::wrong_use("standard output cannot hold both the archive and --json"));
    }
    let under = optional_target(engine, path).await?;
    let changes = engine.changes(under.as_ref()).await?;
    if to_stdout {
        let told = write_archive(engine, &changes, io::BufWriter::new(io::stdout().lock())).await?;
        return told.end();
    }
    let told = into_file(engine, &changes, file).await?;
    out.print(
        || told.json(file),
        || {
            let changes = text::count(told.changes as u64, "change", "changes");
            format!("{changes} in {}.", text::plain(&file.to_string_lossy()))
        },
    )?;
    told.end()
}

/// Under a temporary name first, so that the file is complete or not there.
async fn into_file(engine: &dyn Commands, changes: &[ChangeReport], file: &Path) -> Ended<Told> {
    let problem = |error: io::Error| {
        // `tempfile` appends the temporary name, which nobody asked for.
        let text = error.to_string();
        let cause = text.split_once(" at path ").map_or(text.as_str(), |(cause, _)| cause);
        Failure::failed(format!("{}: {cause}", file.display()))
    };
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".holdfast-export-")
        // As the umask leaves it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(problem)?;
    let told = write_archive(engine, changes, io::BufWriter::new(temporary.as_file_mut())).await?;
    temporary.as_file().sync_all().map_err(problem)?;
    temporary.persist(file).map_err(|error| problem(error.error))?;
    Ok(told)
}

/// What an export came to.
#[derive(Default)]
struct Told {
    changes: usize,
    members: usize,
    missing: Vec<Target>,
}

impl Told {
    fn json(&self, file: &Path) -> Value {
        json!({
            "ok": self.missing.is_empty(),
            "file": file.to_string_lossy(),
            "changes": self.changes,
            "members": self.members,
            "missing": json::array(&self.missing, path_object),
        })
    }

    fn end(&self) -> Ended {
        match self.missing.as_slice() {
            [] => Ok(Exit::Done),
            [first, ..] => Err(Failure {
                exit: Exit::Waiting,
                text: format!(
                    "the content of {} changed items could not be had and is not in the archive, first {first}",
                    self.missing.len()
                ),
            }),
        }
    }
}

fn path_object(path: &Target) -> Value {
    let mut map = Map::new();
    json::put_path(&mut map, "path", path);
    map.into()
}

async fn write_archive(engine: &dyn Commands, changes: &[ChangeReport], to: impl Write) -> Ended<Told> {
    let mut archive = Archive::new(to);
    let mut told = Told { changes: changes.len(), ..Told::default() };
    let mut seen = BTreeSet::new();
    for change in changes.iter().filter(|change| has_content(change.op)) {
        if !seen.insert(&change.path) {
            continue;
        }
        let state = match engine.states(&change.path).await {
            Ok(states) => states.local,
            Err(_) => None,
        };
        // Gone again meanwhile, or replaced: the list of changes still tells of it.
        let Some(state) = state.filter(|state| state.path == change.path) else {
            continue;
        };
        match add(engine, &mut archive, &state).await? {
            true => told.members += 1,
            false => told.missing.push(change.path.clone()),
        }
    }
    let list = json!({
        "changes": json::array(changes, json::change),
        "missing": json::array(&told.missing, path_object),
    });
    archive.finish(list.to_string().as_bytes())?;
    Ok(told)
}

fn has_content(op: Op) -> bool {
    match op {
        Op::Create | Op::Write | Op::Mkdir | Op::Symlink | Op::Link => true,
        Op::Remove | Op::Rmdir | Op::Move | Op::Attributes => false,
    }
}

/// False where the content cannot be had.
async fn add<W: Write>(engine: &dyn Commands, archive: &mut Archive<W>, state: &StateReport) -> Ended<bool> {
    match state.kind {
        Kind::File => match engine.open_state(&state.path, Side::Local).await {
            Ok(content) => archive.file(state, content.into())?,
            Err(_) => return Ok(false),
        },
        Kind::Folder => archive.folder(state)?,
        Kind::Symlink => match &state.link_target {
            Some(target) => archive.symlink(state, target)?,
            None => return Ok(false),
        },
        // Lives only here.
        Kind::Special(_) => {}
    }
    Ok(true)
}
