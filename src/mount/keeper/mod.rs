//! The keeper: a small process that holds the mount's descriptor, so that a mount outlives its engine.
//!
//! ```text
//!  engine --Hold(descriptor)--> keeper        killed: programs wait
//!  next engine --Take--> keeper --Here(descriptor)--> next engine: programs go on
//! ```
//!
//! It is the same executable, started by the engine that mounts, and knows nothing but one descriptor
//! and whom it belongs to. It waits on a socket that only the same user can reach.

mod line;
mod process;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub(crate) use line::About;
use line::{FromKeeper, Line, ToKeeper};

/// A keeper has little to do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// An engine that makes way ends what it has under way with servers first.
const MAKES_WAY_WITHIN: Duration = Duration::from_secs(60);

/// Where a keeper of a mount can be met, and how one is started.
#[derive(Clone, Debug)]
pub struct KeeperPlace {
    /// In a folder that only the same user can enter.
    pub socket: PathBuf,
    pub program: PathBuf,
    /// What makes the program a keeper; the socket's path follows.
    pub arguments: Vec<OsString>,
}

/// The life of a keeper process, with the socket it is to be met at. Returns when it has nothing to
/// hold any more.
pub fn keeper_main(socket: &OsStr) -> io::Result<()> {
    // Nothing may keep a folder of somebody else's from being unmounted.
    std::env::set_current_dir("/")?;
    process::run(socket.into())
}

/// What an engine finds where a keeper may be.
pub enum Found {
    Nobody,
    /// Another engine serves the mount.
    Busy,
    Here(Kept),
}

/// A living mount whose engine is gone. Dropped, it waits for the next one.
pub struct Kept {
    about: About,
    pub(crate) fd: OwnedFd,
    line: Line,
}

impl Kept {
    /// The connection it is, as the engine before knew it.
    pub fn id(&self) -> u64 {
        self.about.id
    }

    /// Whether it is the mount that is wanted.
    pub fn is(&self, directory: &Path, options: &[String]) -> bool {
        self.about.directory() == directory && self.about.options == options
    }

    /// Nobody can serve it: it goes, and who waits in it gets an error.
    pub fn end(self) {
        if let Err(cause) = self.about.end() {
            tracing::warn!(directory = ?self.about.directory(), cause, "a mount that cannot be taken over stays");
        }
        // Until it has gone: the next keeper is met at the same place.
        let _ = self.line.send(&ToKeeper::End, None);
        let _ = self.line.receive::<FromKeeper>();
    }

    pub(crate) fn into_keeping(self) -> Keeping {
        Keeping::new(self.line)
    }
}

impl KeeperPlace {
    /// `replace`: an engine that serves the mount is asked to make way, and this waits until it has.
    pub fn find(&self, replace: bool) -> Found {
        let found = Line::connect(&self.socket).and_then(|line| {
            line.wait_at_most(Some(if replace { MAKES_WAY_WITHIN } else { ANSWERS_WITHIN }))?;
            line.send(&ToKeeper::Take { replace }, None)?;
            Ok((line.receive::<FromKeeper>()?, line))
        });
        match found {
            Ok((Some((FromKeeper::Here(about), Some(fd))), line)) => Found::Here(Kept { about, fd, line }),
            Ok((Some((FromKeeper::Busy, _)), _)) => Found::Busy,
            Ok((said, _)) => {
                tracing::debug!(?said, "no living mount");
                Found::Nobody
            }
            Err(error) => {
                tracing::debug!(%error, "no living mount");
                Found::Nobody
            }
        }
    }

    /// Starts a keeper and gives it the descriptor.
    pub(crate) fn hold(&self, about: About, fd: BorrowedFd<'_>) -> io::Result<Keeping> {
        let (line, theirs) = Line::pair()?;
        let mut child = Command::new(&self.program)
            .arg0("holdfast")
            .args(&self.arguments)
            .arg(&self.socket)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal is for the engine.
            .process_group(0)
            .spawn()?;
        // It outlives us; where it does not, somebody has to take note of its end.
        thread::Builder::new().name("keeper-end".into()).spawn(move || child.wait())?;
        line.wait_at_most(Some(ANSWERS_WITHIN))?;
        line.send(&ToKeeper::Hold(about), Some(fd))?;
        match line.receive::<FromKeeper>()? {
            Some((FromKeeper::Held, _)) => Ok(Keeping::new(line)),
            _ => Err(io::Error::other("the keeper process ended at once")),
        }
    }
}

/// The line to the keeper of a mount that is served.
pub(crate) struct Keeping {
    line: Arc<Line>,
    make_way: async_channel::Receiver<()>,
}

impl Keeping {
    fn new(line: Line) -> Keeping {
        if let Err(error) = line.wait_at_most(None) {
            tracing::warn!(%error, "the keeper is not heard for long");
        }
        let line = Arc::new(line);
        let (tell, make_way) = async_channel::bounded(1);
        let listening = line.clone();
        let started = thread::Builder::new().name("keeper-line".into()).spawn(move || {
            loop {
                match listening.receive::<FromKeeper>() {
                    Ok(Some((FromKeeper::MakeWay, _))) => drop(tell.try_send(())),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "the keeper is not heard");
        }
        Keeping { line, make_way }
    }

    /// Gives a word each time another engine wants to take over; closed where the keeper is gone.
    pub fn make_way(&self) -> async_channel::Receiver<()> {
        self.make_way.clone()
    }

    /// The mount has gone by our own doing.
    pub fn end(&self) {
        let _ = self.line.send(&ToKeeper::End, None);
        let _ = rustix::net::shutdown(self.line.as_fd(), rustix::net::Shutdown::Both);
    }
}
