//! Steps and outcomes as the trace of a run shows them.

use crate::local::{Op, Outcome, Step};

/// One line, without content.
pub(super) fn describe(step: &Step) -> String {
    let text = format!("{step:?}");
    match text.find("data: [") {
        Some(at) => format!("program: {}...", &text[..at]),
        None => format!("program: {}", readable(step)),
    }
}

fn readable(step: &Step) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match step {
        Step::Open { slot, path, write, truncate, create, .. } => {
            format!("open {} in {slot} write={write} truncate={truncate} create={create}", text(path))
        }
        Step::Rename { from, to, mode } => format!("rename {} to {} {mode:?}", text(from), text(to)),
        Step::Link { existing, path } => format!("link {} as {}", text(existing), text(path)),
        Step::Unlink { path } => format!("unlink {}", text(path)),
        Step::Mkdir { path } => format!("mkdir {}", text(path)),
        Step::Rmdir { path } => format!("rmdir {}", text(path)),
        Step::Truncate { path, size } => format!("truncate {} to {size}", text(path)),
        Step::Chmod { path, mode } => format!("chmod {} {mode:o}", text(path)),
        Step::ReadFile { path } => format!("read {}", text(path)),
        Step::Stat { path } => format!("stat {}", text(path)),
        Step::List { path } => format!("list {}", text(path)),
        Step::Symlink { path, .. } => format!("symlink {}", text(path)),
        Step::SetXattr { path, .. } => format!("set attribute of {}", text(path)),
        Step::RemoveXattr { path, .. } => format!("remove attribute of {}", text(path)),
        Step::SetTime { path, .. } => format!("set time of {}", text(path)),
        step => format!("{step:?}"),
    }
}

/// The same of an outcome.
pub(super) fn brief(outcome: &Op<Outcome>) -> String {
    match outcome {
        Ok(Outcome::Bytes(bytes)) => {
            let start = &bytes[..bytes.len().min(24)];
            format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(start))
        }
        outcome => format!("{outcome:?}"),
    }
}
