//! What a version is made of here: the marks of a file that its server keeps.
//!
//! Printable, as `f.i2a.s400.m17c0.c17c1`: kind, then inode, size, mtime, ctime, mode, target.
//! For a folder the inode alone counts: nothing in its own times says that *it* changed.

use std::fmt::Write;
use std::time::Duration;

use holdfast_engine::model::{Time, Version};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Token {
    pub kind: char,
    pub ino: Option<u64>,
    pub size: Option<u64>,
    pub mtime: Option<u64>,
    pub ctime: Option<u64>,
    pub mode: Option<u64>,
    /// A short hash of where a symbolic link leads.
    pub target: Option<u64>,
}

/// A time in steps of what a server keeps; bits, as they are only compared.
pub fn stamp(time: Time, step: Duration) -> u64 {
    let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
    (time.0.div_euclid(step) * step) as u64
}

/// A short hash of where a symbolic link leads.
pub fn target(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(bytes).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Token {
    /// `None` where the version was not made here.
    pub fn parse(version: &Version) -> Option<Token> {
        let mut parts = std::str::from_utf8(&version.0).ok()?.split('.');
        let kind = parts.next()?;
        let mut token = Token { kind: kind.chars().next()?, ..Token::default() };
        for part in parts {
            let value = Some(u64::from_str_radix(part.get(1..)?, 16).ok()?);
            match part.as_bytes().first()? {
                b'i' => token.ino = value,
                b's' => token.size = value,
                b'm' => token.mtime = value,
                b'c' => token.ctime = value,
                b'p' => token.mode = value,
                b't' => token.target = value,
                _ => return None,
            }
        }
        Some(token)
    }

    pub fn version(&self) -> Version {
        let mut text = String::from(self.kind);
        let fields = [
            ('i', self.ino),
            ('s', self.size),
            ('m', self.mtime),
            ('c', self.ctime),
            ('p', self.mode),
            ('t', self.target),
        ];
        for (letter, value) in fields {
            if let Some(value) = value {
                let _ = write!(text, ".{letter}{value:x}");
            }
        }
        Version::new(text.as_bytes())
    }

    /// The same file with the same content, but for what a rename or link of ours changes in it.
    pub fn same_but_ctime(&self, other: &Token) -> bool {
        Token { ctime: None, ..self.clone() } == Token { ctime: None, ..other.clone() }
    }

    /// As [`same_but_ctime`](Token::same_but_ctime), where we also set mode or time ourselves.
    pub fn same_file_and_size(&self, other: &Token) -> bool {
        (self.kind, self.ino, self.size) == (other.kind, other.ino, other.size)
    }

    pub fn same_mtime(&self, other: &Token) -> bool {
        self.mtime == other.mtime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_whole() {
        let token = Token {
            kind: 'f',
            ino: Some(0x2a),
            size: Some(0),
            mtime: Some((-5i64) as u64),
            ctime: Some(7),
            mode: None,
            target: None,
        };
        let version = token.version();
        assert_eq!(version.to_text(), "f.i2a.s0.mfffffffffffffffb.c7");
        assert_eq!(Token::parse(&version), Some(token));
    }

    #[test]
    fn foreign_versions_are_no_tokens() {
        for text in [&b""[..], b"f.x1", b"f.i", b"\xff", b"etag-1.2"] {
            assert_eq!(Token::parse(&Version::new(text)), None, "{text:?}");
        }
    }
}
