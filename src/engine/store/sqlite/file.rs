//! What is known of a database file before SQLite touches it, and how one comes into being.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::schema::APPLICATION_ID;
use crate::store::persist::StoreError;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;

/// Whether there is a database of ours; what else stands there is an error that names it.
pub fn looks_ours(path: &Path) -> Result<bool, StoreError> {
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if !kind.is_file() {
        return Err(foreign(path, if kind.is_dir() { "it is a folder" } else { "it is no regular file" }));
    }
    let header = read_header(path)?;
    if header.len() < HEADER_BYTES && MAGIC.starts_with(&header[..header.len().min(MAGIC.len())]) {
        let length = header.len();
        return Err(damaged(path, format!("is cut off after {length} bytes")));
    }
    if !header.starts_with(MAGIC) {
        let text = !header.contains(&0) && std::str::from_utf8(&header).is_ok();
        return Err(foreign(path, if text { "it is a text file" } else { "it is no SQLite database" }));
    }
    let application = i32::from_be_bytes([header[68], header[69], header[70], header[71]]);
    if application != APPLICATION_ID {
        let detail = format!("it is an SQLite database of another program (application id {application})");
        return Err(foreign(path, &detail));
    }
    Ok(true)
}

/// Whether the file has the pages it says it has. What the write-ahead log holds may still be
/// missing from the file itself, so this tells nothing where there is one.
pub fn check_length(path: &Path) -> Result<(), StoreError> {
    if beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let header = read_header(path)?;
    let number = |at: usize| {
        u64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    if header.len() < HEADER_BYTES {
        return Err(damaged(path, "has lost its header".into()));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        bytes => u64::from(bytes),
    };
    // The number of pages counts only where it was written by the last change.
    let expected = if number(24) == number(92) { number(28) * page_bytes } else { 0 };
    let length = fs::metadata(path)?.len();
    if length < expected {
        return Err(damaged(path, format!("has {length} of {expected} bytes")));
    }
    Ok(())
}

/// Makes a database under another name first, so that it is there whole or not at all.
pub fn create(path: &Path, make: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
    // SQLite would take an old log for one of the new database.
    if beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(damaged(path, "is gone, and its write-ahead log is there".into()));
    }
    let new = beside(path, ".new");
    for rest in [new.clone(), beside(&new, "-wal"), beside(&new, "-shm"), beside(&new, "-journal")] {
        match fs::remove_file(&rest) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    // For its owner only; SQLite gives its log the same mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    make(&new)?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}

fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn foreign(path: &Path, detail: &str) -> StoreError {
    StoreError::Foreign { path: path.display().to_string(), detail: detail.to_owned() }
}

fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged(format!("{} {what}", path.display()))
}
