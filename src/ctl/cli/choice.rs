//! CHOICE: what is to become of a conflict.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use holdfast_engine::model::Choice;

#[derive(Args, Debug)]
#[group(id = "choice", required = true, multiple = false)]
pub struct ChoiceArgs {
    /// What stays, on both sides; what loses goes to the stash
    #[arg(long, value_enum, value_name = "STATE")]
    keep: Option<Keep>,
    /// What goes to the stash, for ever
    #[arg(long, value_enum, value_name = "SIDE")]
    stash: Option<Stash>,
    /// Merge the texts; refused where regions conflict
    #[arg(long)]
    merge: bool,
    /// A merged file of one's own
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Put off
    #[arg(long)]
    later: bool,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Keep {
    Local,
    Server,
    Original,
    Newest,
    Both,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Stash {
    Local,
    Server,
    Both,
}

/// A choice before its file is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chosen {
    Plain(Choice),
    With(PathBuf),
}

impl ChoiceArgs {
    pub fn chosen(&self) -> Chosen {
        let keep = self.keep.map(|keep| match keep {
            Keep::Local => Choice::KeepLocal,
            Keep::Server => Choice::KeepServer,
            Keep::Original => Choice::KeepOriginal,
            Keep::Newest => Choice::KeepNewest,
            Keep::Both => Choice::KeepBoth,
        });
        let stash = self.stash.map(|stash| match stash {
            Stash::Local => Choice::StashLocal,
            Stash::Server => Choice::StashServer,
            Stash::Both => Choice::StashBoth,
        });
        if let Some(choice) = keep.or(stash) {
            Chosen::Plain(choice)
        } else if let Some(file) = &self.with {
            Chosen::With(file.clone())
        } else if self.merge {
            Chosen::Plain(Choice::Merge)
        } else {
            // The group makes sure that one of them is given.
            Chosen::Plain(Choice::Later)
        }
    }
}
