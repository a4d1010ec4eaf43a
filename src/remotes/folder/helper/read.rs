//! Bytes of one version of a file, and of no other.
//!
//! The version is compared before and after. A file that changed a moment ago is read only when its
//! clock has gone on: until then a second change might have the same time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_engine::model::{LocPath, Time, Version};
use rustix::fs::{Mode, OFlags, Statx};
use rustix::io::Errno;

use super::output::Output;
use super::place::{Place, stat_fd};
use super::pool::progress;
use super::token::{self, time};
use super::{errno, guard};
use crate::folder::protocol::{Answer, Failure, PIECE_BYTES};

/// The clock of file times goes in steps of the kernel's timer, whatever the times could hold.
const CLOCK_STEP: Duration = Duration::from_millis(10);
const NETWORK_STEP_BYTES: usize = 256 << 10;

pub struct Range<'a> {
    pub path: &'a LocPath,
    pub version: &'a Version,
    pub offset: u64,
    pub len: u64,
}

pub fn read(place: &Place, output: &Output, id: u64, range: &Range<'_>) -> Result<(), Failure> {
    let (folder, name) = place.parent(range.path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&folder, &name, flags, Mode::empty()).map_err(|e| match e {
        // A link or a special file is another version.
        Errno::LOOP | Errno::NXIO => guard::changed(place, &folder, &name),
        e => errno::failure(e),
    })?;
    let check = || -> Result<Statx, Failure> {
        let stat = stat_fd(&fd).map_err(errno::failure)?;
        if token::of(&stat, &place.fs.keeps, None).version() == *range.version {
            Ok(stat)
        } else {
            Err(guard::changed(place, &folder, &name))
        }
    };
    wait_for_clock(place, &check()?);
    check()?;
    let step = if place.fs.local { PIECE_BYTES } else { NETWORK_STEP_BYTES };
    let (mut at, mut left) = (range.offset, range.len);
    while left > 0 {
        let mut piece = vec![0; left.min(step as u64) as usize];
        let n = match rustix::io::pread(&fd, &mut piece[..], at) {
            Ok(0) => break,
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(errno::failure(e)),
        };
        piece.truncate(n);
        progress();
        output.send_with(id, &Answer::Part, piece);
        at += n as u64;
        left -= n as u64;
    }
    check()?;
    Ok(())
}

/// Sleeps while a change at this very moment could still get the time that the file has already.
/// The clocks of a server and of this computer may differ: by so much this may fail.
fn wait_for_clock(place: &Place, stat: &Statx) {
    let step = place.step.max(CLOCK_STEP);
    let mut last = time(stat.stx_mtime);
    if place.fs.keeps.ctime {
        // Then a change cannot hide behind a time that was set.
        last = time(stat.stx_ctime);
    }
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return;
    };
    let now = Time::ZERO + now;
    if now >= last && now.since(last) < step {
        std::thread::sleep(step - now.since(last));
        progress();
    }
}
