//! A successor waits here until the helper before it is gone, with every one of its threads: one
//! that hangs in the kernel may still do what it was told when the server wakes up.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::folder::protocol::Failure;

/// Held until the process ends; never unlocked by hand.
pub fn acquire(dir: &Path, root: &[u8], owner: &str, wait: Duration) -> Result<File, Failure> {
    let cannot = |e: std::io::Error| Failure::Io(format!("the lock in {} cannot be had: {e}", dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(cannot)?;
    let name = blake3::Hasher::new().update(owner.as_bytes()).update(b"\0").update(root).finalize();
    let path = dir.join(format!("helper-{}.lock", &name.to_hex()[..24]));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(cannot)?;
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < wait => {
                super::pool::progress();
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Failure::Gone(
                    "an earlier helper still hangs in a call to this server and cannot be ended".into(),
                ));
            }
            Err(e) => return Err(cannot(e.into())),
        }
    }
}
