//! How kinds and the like are written in the tables. A released word never changes.

use std::borrow::Cow;

use crate::model::{Kind, Needs};

pub fn kind_word(kind: Kind) -> Cow<'static, str> {
    match kind {
        Kind::File => "file".into(),
        Kind::Folder => "folder".into(),
        Kind::Symlink => "symlink".into(),
        Kind::Special(bits) => format!("special {bits:o}").into(),
    }
}

pub fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "file" => Some(Kind::File),
        "folder" => Some(Kind::Folder),
        "symlink" => Some(Kind::Symlink),
        _ => Some(Kind::Special(u32::from_str_radix(word.strip_prefix("special ")?, 8).ok()?)),
    }
}

const NEEDS: [Needs; 6] =
    [Needs::Retry, Needs::Confirm, Needs::SignIn, Needs::Space, Needs::Name, Needs::Unfinished];

pub fn needs_of(word: &str) -> Option<Needs> {
    NEEDS.into_iter().find(|needs| needs.word() == word)
}

pub const AS_BASE: &str = "as base";
pub const GONE: &str = "gone";
pub const AT: &str = "at";
