//! `/proc/self/mountinfo`: what is mounted where, known without touching any of it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Of this mount, as long as it exists.
    pub id: u64,
    /// Minor device number; the name of the connection under `/sys/fs/fuse/connections`.
    pub minor: u32,
    pub point: PathBuf,
    /// File system type, with the subtype: `fuse.holdfast`.
    pub kind: String,
    pub source: String,
}

impl Entry {
    pub fn is_ours(&self) -> bool {
        self.kind == "fuse.holdfast" || (self.kind == "fuse" && self.source == "holdfast")
    }
}

/// The topmost mount at exactly this path.
pub(crate) fn top(point: &Path) -> io::Result<Option<Entry>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    Ok(top_in(&text, point))
}

fn top_in(text: &[u8], point: &Path) -> Option<Entry> {
    text.split(|&b| b == b'\n').filter_map(parse).rfind(|entry| entry.point == point)
}

/// `36 35 0:52 / /mnt rw,nosuid shared:1 - fuse.holdfast holdfast rw,user_id=0`
fn parse(line: &[u8]) -> Option<Entry> {
    let fields: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let dash = fields.iter().position(|f| *f == b"-")?;
    let text = |i: usize| Some(String::from_utf8_lossy(&unescape(fields.get(i)?)).into_owned());
    Some(Entry {
        id: text(0)?.parse().ok()?,
        minor: text(2)?.split_once(':')?.1.parse().ok()?,
        point: OsString::from_vec(unescape(fields.get(4)?)).into(),
        kind: text(dash + 1)?,
        source: text(dash + 2)?,
    })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        36 22 0:52 / /home/u/My\\040Files rw,nosuid - fuse.holdfast holdfast rw,user_id=0\n\
        37 22 0:53 / /mnt rw shared:3 master:1 - tmpfs none rw\n\
        38 37 0:54 / /mnt rw - fuse holdfast rw\n";

    #[test]
    fn the_last_one_at_the_path_counts() {
        let entry = top_in(TABLE, Path::new("/mnt")).unwrap();
        assert_eq!((entry.id, entry.minor, entry.is_ours()), (38, 54, true));
        assert!(top_in(TABLE, Path::new("/mn")).is_none());
        assert!(!top_in(TABLE, Path::new("/")).unwrap().is_ours());
    }

    #[test]
    fn spaces_are_octal() {
        let entry = top_in(TABLE, Path::new("/home/u/My Files")).unwrap();
        assert_eq!(entry.kind, "fuse.holdfast");
        assert_eq!(unescape(b"a\\134\\"), b"a\\\\");
    }
}
