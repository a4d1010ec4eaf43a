//! Copies a range from one content file to another by the cheapest way there is: shared blocks, a
//! copy in the kernel, a copy by hand. Holes stay holes.
//!
//! Afterwards both files read the same in the range, what lies past an end counting as zero; the
//! target grows no further than the source has bytes.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl, opcode};

use super::{DirFile, StoreFile};

/// `struct file_clone_range` of `linux/fs.h`.
#[repr(C)]
struct CloneRange {
    source: i64,
    source_offset: u64,
    source_length: u64,
    target_offset: u64,
}

pub(super) const FICLONERANGE: rustix::ioctl::Opcode = opcode::write::<CloneRange>(0x94, 13);

pub(super) fn copy(from: &DirFile, to: &DirFile, range: Range<u64>) -> io::Result<()> {
    let there = from.len()?;
    let end = range.end.min(there);
    if range.start < end {
        let copied_to = share(from, to, range.start..end, there)?;
        copy_data(from, to, copied_to..end)?;
        if to.len()? < end {
            to.truncate(end)?;
        }
    }
    clear(to, end.max(range.start)..range.end)
}

/// Shares the whole blocks of the range where the file system can, and says up to where.
fn share(from: &DirFile, to: &DirFile, range: Range<u64>, source_len: u64) -> io::Result<u64> {
    let block = from.file.metadata()?.blksize().max(1);
    // The last block may be a part only where it is the last of the source and, so that nothing
    // is cut off, of the target.
    let to_the_end = range.end == source_len && to.len()? <= range.end;
    let end = if to_the_end { range.end } else { range.end - range.end % block };
    if !range.start.is_multiple_of(block) || end <= range.start {
        return Ok(range.start);
    }
    let wanted = CloneRange {
        source: from.file.as_raw_fd().into(),
        source_offset: range.start,
        source_length: end - range.start,
        target_offset: range.start,
    };
    // SAFETY: the opcode is that of FICLONERANGE, which reads one `file_clone_range` and writes none.
    let done = unsafe { ioctl(&to.file, Setter::<FICLONERANGE, CloneRange>::new(wanted)) };
    match done {
        Ok(()) => Ok(end),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS | Errno::INVAL | Errno::XDEV | Errno::PERM) => {
            Ok(range.start)
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies data by data; where the source has a hole, so has the target.
fn copy_data(from: &DirFile, to: &DirFile, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let data = from.seek(at, true)?.unwrap_or(range.end).min(range.end);
        clear(to, at..data)?;
        if data == range.end {
            break;
        }
        let hole = from.seek(data, false)?.unwrap_or(range.end).min(range.end);
        copy_bytes(from, to, data..hole)?;
        at = hole;
    }
    Ok(())
}

/// Zeros what the target has there, without making it longer.
fn clear(to: &DirFile, range: Range<u64>) -> io::Result<()> {
    let range = range.start..range.end.min(to.len()?);
    match to.seek(range.start, true)? {
        Some(data) if data < range.end => to.punch(data..range.end),
        _ => Ok(()),
    }
}

fn copy_bytes(from: &DirFile, to: &DirFile, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let (mut read_at, mut write_at) = (at, at);
        let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(
            &from.file,
            Some(&mut read_at),
            &to.file,
            Some(&mut write_at),
            length,
        ) {
            // Cut short meanwhile, or a file system that says nothing: by hand it will show.
            Ok(0) => return copy_by_hand(from, to, at..range.end),
            Ok(n) => at += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::XDEV | Errno::PERM) => {
                return copy_by_hand(from, to, at..range.end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn copy_by_hand(from: &DirFile, to: &DirFile, range: Range<u64>) -> io::Result<()> {
    let mut buf = vec![0; 256 << 10];
    let mut at = range.start;
    while at < range.end {
        let n = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buf.len());
        let n = from.read_at(at, &mut buf[..n])?;
        if n == 0 {
            break;
        }
        to.file.write_all_at(&buf[..n], at)?;
        at += n as u64;
    }
    Ok(())
}
