//! A tar archive of local states, with names in bytes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_engine::model::{StateReport, Target};
use tar::{Builder, EntryType, Header};

pub struct Archive<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> Archive<W> {
    pub fn new(to: W) -> Archive<W> {
        Archive { tar: Builder::new(to) }
    }

    /// Exactly the size that the content has when it is opened.
    pub fn file(&mut self, state: &StateReport, content: File) -> io::Result<()> {
        let size = content.metadata()?.len();
        let mut header = header(state, EntryType::Regular, size);
        let mut exact = content.take(size).chain(io::repeat(0)).take(size);
        self.tar.append_data(&mut header, Path::new(OsStr::from_bytes(&member(&state.path))), &mut exact)
    }

    pub fn folder(&mut self, state: &StateReport) -> io::Result<()> {
        let mut header = header(state, EntryType::Directory, 0);
        let mut name = member(&state.path);
        name.push(b'/');
        self.tar.append_data(&mut header, Path::new(OsStr::from_bytes(&name)), io::empty())
    }

    pub fn symlink(&mut self, state: &StateReport, target: &[u8]) -> io::Result<()> {
        let mut header = header(state, EntryType::Symlink, 0);
        self.tar.append_link(
            &mut header,
            Path::new(OsStr::from_bytes(&member(&state.path))),
            Path::new(OsStr::from_bytes(target)),
        )
    }

    /// Writes the list of changes and the end.
    pub fn finish(mut self, list: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(list.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, "holdfast-changes.json", list)?;
        self.tar.into_inner()?.flush()
    }
}

fn header(state: &StateReport, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(state.mode & 0o7777);
    // Before 1970 there is no time in a tar archive.
    header.set_mtime(u64::try_from(state.mtime.secs()).unwrap_or(0));
    header
}

/// `NAME/path`.
fn member(path: &Target) -> Vec<u8> {
    let mut name = path.location.clone().into_bytes();
    if !path.path.is_root() {
        name.push(b'/');
        name.extend_from_slice(path.path.as_bytes());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use holdfast_engine::model::{Confidence, Kind, LocPath, Time};

    use super::*;

    fn state(path: &[u8], kind: Kind) -> StateReport {
        StateReport {
            kind,
            size: 5,
            mode: 0o640,
            mtime: Time::new(1_700_000_000, 1),
            version: String::new(),
            confidence: Confidence::Sure,
            digest: None,
            path: Target { location: "nas".into(), path: LocPath::parse(path).unwrap() },
            here: true,
            link_target: None,
            content: None,
        }
    }

    #[test]
    fn members_come_out_as_they_went_in() {
        let mut content = tempfile::tempfile().unwrap();
        content.write_all(b"hello").unwrap();
        content.rewind().unwrap();
        let long = [b"d/".as_slice(), &[b'x'; 200], b"/\xff"].concat();
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.folder(&state(b"d", Kind::Folder)).unwrap();
        archive.file(&state(&long, Kind::File), content).unwrap();
        archive.symlink(&state(b"l", Kind::Symlink), b"../else/\xfe").unwrap();
        archive.finish(b"{}").unwrap();

        let mut read = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name_bytes().map(|link| link.into_owned());
            read.push((entry.path_bytes().into_owned(), text, link, entry.header().mode().unwrap()));
        }
        assert_eq!(
            read,
            [
                (b"nas/d/".to_vec(), String::new(), None, 0o640),
                ([b"nas/".as_slice(), &long].concat(), "hello".into(), None, 0o640),
                (b"nas/l".to_vec(), String::new(), Some(b"../else/\xfe".to_vec()), 0o640),
                (b"holdfast-changes.json".to_vec(), "{}".into(), None, 0o644),
            ]
        );
    }
}
