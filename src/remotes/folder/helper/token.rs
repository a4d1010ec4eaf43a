//! Versions of what this kernel shows: see [`Token`].

use holdfast_engine::model::Time;
use rustix::fs::{Statx, StatxTimestamp};

use super::fstype::Keeps;
use crate::token::{stamp, target};

pub use crate::token::Token;

const KIND_MASK: u32 = 0o170_000;

pub fn time(t: StatxTimestamp) -> Time {
    Time::new(t.tv_sec, t.tv_nsec)
}

/// The marks of what was looked at; `link` is where a symbolic link leads.
pub fn of(stat: &Statx, keeps: &Keeps, link: Option<&[u8]>) -> Token {
    let mode = u32::from(stat.stx_mode);
    let ino = keeps.ino.then_some(stat.stx_ino);
    if mode & KIND_MASK == 0o040_000 {
        return Token { kind: 'd', ino, ..Token::default() };
    }
    Token {
        kind: match mode & KIND_MASK {
            0o100_000 => 'f',
            0o120_000 => 'l',
            _ => 'o',
        },
        ino,
        size: Some(stat.stx_size),
        mtime: Some(stamp(time(stat.stx_mtime), keeps.step)),
        ctime: keeps.ctime.then(|| stamp(time(stat.stx_ctime), keeps.step)),
        mode: keeps.mode.then_some(u64::from(mode & 0o1777)),
        target: link.map(target),
    }
}
