//! From what a server tells of a file to what the engine is told.

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::model::{Kind, Meta, Time};
use holdfast_engine::remote::RemoteError;

use super::codec::Attrs;
use crate::kinds::{MODE_MASK, special};
use crate::token::{self, Token};

/// Times are whole seconds.
pub const STEP: Duration = Duration::from_secs(1);
/// No file is larger; what a server says beyond is no size.
const MOST_BYTES: u64 = 1 << 60;

/// One look at a file, folder or link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub kind: Kind,
    mode: u32,
    size: u64,
    pub mtime: u32,
    pub owner: Option<(u32, u32)>,
    /// Where a link leads.
    pub target: Option<Vec<u8>>,
}

impl Seen {
    /// A link's target is asked for apart.
    pub fn new(attrs: &Attrs, target: Option<Vec<u8>>) -> Result<Seen, RemoteError> {
        let (Some(permissions), Some((_, mtime))) = (attrs.permissions, attrs.times) else {
            return Err(RemoteError::Io("it does not tell kind and time of it".into()));
        };
        let kind = Kind::from_mode(permissions);
        let size = match (kind, attrs.size, &target) {
            (Kind::Symlink, _, Some(target)) => target.len() as u64,
            (Kind::File, Some(size), _) if size <= MOST_BYTES => size,
            (Kind::File, Some(_), _) => return Err(RemoteError::Io("no file can be so large".into())),
            (Kind::File, None, _) => return Err(RemoteError::Io("it does not tell its size".into())),
            _ => 0,
        };
        Ok(Seen { kind, mode: permissions & MODE_MASK, size, mtime, owner: attrs.owner, target })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn mode(&self) -> u32 {
        self.mode
    }

    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }

    pub fn token(&self) -> Token {
        let mtime = token::stamp(self.time(), STEP);
        match self.kind {
            Kind::Folder => Token { kind: 'd', ..Token::default() },
            kind => Token {
                kind: match kind {
                    Kind::File => 'f',
                    Kind::Symlink => 'l',
                    _ => 'o',
                },
                size: Some(self.size),
                mtime: Some(mtime),
                mode: (kind == Kind::File).then_some(u64::from(self.mode)),
                target: self.target.as_deref().map(token::target),
                ..Token::default()
            },
        }
    }

    fn time(&self) -> Time {
        Time::new(i64::from(self.mtime), 0)
    }

    /// What the engine is told; of what cannot be kept, a sentence.
    pub fn meta(&self) -> Result<Meta, RemoteError> {
        if let Kind::Special(bits) = self.kind {
            return Err(RemoteError::Io(special(bits).into()));
        }
        Ok(Meta {
            kind: self.kind,
            mode: self.mode,
            size: self.size,
            mtime: self.time(),
            link_target: self.target.as_deref().map(Arc::from),
            xattrs: None,
            version: self.token().version(),
            file_id: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Attrs {
        Attrs { size: Some(5), owner: None, permissions: Some(0o106_644), times: Some((1, 2)) }
    }

    #[test]
    fn what_is_not_told_or_cannot_be_is_an_error() {
        assert_eq!(Seen::new(&file(), None).unwrap().meta().unwrap().mode, 0o644);
        for attrs in [
            Attrs { size: None, ..file() },
            Attrs { size: Some(u64::MAX), ..file() },
            Attrs { permissions: None, ..file() },
            Attrs { times: None, ..file() },
        ] {
            assert!(matches!(Seen::new(&attrs, None), Err(RemoteError::Io(_))), "{attrs:?}");
        }
        let fifo = Attrs { permissions: Some(0o010_644), ..file() };
        assert!(matches!(Seen::new(&fifo, None).unwrap().meta(), Err(RemoteError::Io(_))));
    }

    #[test]
    fn a_folder_is_the_same_whatever_is_in_it() {
        let folder = |mtime| Attrs { permissions: Some(0o040_755), times: Some((0, mtime)), ..file() };
        let version = |mtime| Seen::new(&folder(mtime), None).unwrap().meta().unwrap().version;
        assert_eq!(version(1), version(2));
        assert_ne!(version(1), Seen::new(&file(), None).unwrap().meta().unwrap().version);
    }
}
