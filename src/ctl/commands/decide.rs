//! Conflicts and what becomes of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_bus::Commands;
use holdfast_engine::model::{Choice, HistoryId, LocPath, ResolveReport, Selection};

use crate::cli::{Chosen, ResolveArgs};
use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::place::{optional_target, target};
use crate::show::{json, text};

pub async fn conflicts(engine: &dyn Commands, path: Option<&OsStr>, out: Out) -> Ended {
    let under = optional_target(engine, path).await?;
    let conflicts = engine.conflicts(under.as_ref()).await?;
    out.print(|| json::array(&conflicts, json::conflict), || text::conflicts(&conflicts))?;
    Ok(Exit::Done)
}

pub async fn states(engine: &dyn Commands, path: &OsStr, out: Out) -> Ended {
    let target = target(engine, path).await?;
    let states = engine.states(&target).await?;
    out.print(|| json::states(&states), || text::states(&states))?;
    Ok(Exit::Done)
}

pub async fn resolve(engine: &dyn Commands, args: &ResolveArgs, out: Out) -> Ended {
    let selections = selections(engine, args).await?;
    let choice = choice(engine, args.choice.chosen()).await?;
    let mut reports = Vec::new();
    for selection in selections {
        reports.extend(engine.resolve(&selection, &choice, args.dry_run).await?);
    }
    out.print(|| json::array(&reports, json::resolved), || text::resolved(&reports, args.dry_run))?;
    Ok(exit(&reports, &choice, args.dry_run))
}

/// One for the paths or one for the folder; `--under` the mount itself is one for each location.
async fn selections(engine: &dyn Commands, args: &ResolveArgs) -> Ended<Vec<Selection>> {
    let Some(under) = &args.under else {
        let mut paths = Vec::with_capacity(args.paths.len());
        for path in &args.paths {
            paths.push(target(engine, path).await?);
        }
        return Ok(vec![Selection::Paths(paths)]);
    };
    let folders = match optional_target(engine, Some(under)).await? {
        Some(folder) => vec![folder],
        None => {
            let locations = engine.location_list().await?;
            let root = |name| holdfast_engine::model::Target { location: name, path: LocPath::root() };
            locations.into_iter().map(|location| root(location.name)).collect()
        }
    };
    let selection = |folder| Selection::Under {
        folder,
        pattern: args.pattern.as_ref().map(|pattern| pattern.as_bytes().to_vec()),
        kind: args.kind,
    };
    Ok(folders.into_iter().map(selection).collect())
}

/// Hands over the bytes of a file of one's own: a copy, because the file may lie in the mount, which
/// the engine must not read from, and may change while it is read.
async fn choice(engine: &dyn Commands, chosen: Chosen) -> Ended<Choice> {
    let path = match chosen {
        Chosen::Plain(choice) => return Ok(choice),
        Chosen::With(path) => path,
    };
    let copy = copied(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(Choice::With(engine.add_content(copy.into()).await?))
}

fn copied(path: &Path) -> io::Result<File> {
    let mut file = File::open(path)?;
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut file, &mut copy)?;
    copy.rewind()?;
    Ok(copy)
}

fn exit(reports: &[ResolveReport], choice: &Choice, dry_run: bool) -> Exit {
    let some_stay_open = reports.iter().any(|report| !report.done) || *choice == Choice::Later;
    match some_stay_open && !dry_run && !reports.is_empty() {
        true => Exit::Waiting,
        false => Exit::Done,
    }
}

pub async fn history(engine: &dyn Commands, out: Out) -> Ended {
    let entries = engine.history().await?;
    out.print(|| json::array(&entries, json::history), || text::history(&entries))?;
    Ok(Exit::Done)
}

pub async fn undo(engine: &dyn Commands, id: Option<u64>, out: Out) -> Ended {
    let entry = engine.undo(id.map(HistoryId)).await?;
    out.print(|| json::history(&entry), || text::undone(&entry))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use holdfast_engine::model::{ConflictKind, Target};

    use super::*;

    fn report(done: bool) -> ResolveReport {
        ResolveReport {
            path: Target { location: "nas".into(), path: LocPath::root() },
            kind: ConflictKind::EditEdit,
            choice: String::new(),
            done,
            message: String::new(),
        }
    }

    #[test]
    fn what_stays_open_waits_for_a_person() {
        let (done, open) = (report(true), report(false));
        assert_eq!(exit(&[done.clone(), done.clone()], &Choice::KeepLocal, false), Exit::Done);
        assert_eq!(exit(&[done.clone(), open.clone()], &Choice::Merge, false), Exit::Waiting);
        assert_eq!(exit(&[done], &Choice::Later, false), Exit::Waiting);
        assert_eq!(exit(&[open], &Choice::KeepLocal, true), Exit::Done);
        assert_eq!(exit(&[], &Choice::Later, false), Exit::Done);
    }
}
