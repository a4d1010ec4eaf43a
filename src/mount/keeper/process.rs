//! The keeper itself: a process that holds the descriptor of a mount and does nothing with it.
//!
//! While one engine serves, it waits. Where the engine is gone without a word, it waits for the next one;
//! programs wait with it. Where none comes, or where the kernel could not send again what the engine had
//! taken along, it ends the connection: nobody hangs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};

use super::line::{About, FromKeeper, Line, ToKeeper};

/// How long programs wait for the next engine.
const WAIT_FOR_ENGINE: Duration = Duration::from_secs(30);

/// Whoever comes to the door asks at once.
const SPEAKS_WITHIN: Duration = Duration::from_secs(1);

/// Holds what the engine at the other end of the standard input hands over, until that is over.
pub(super) fn run(socket: PathBuf) -> io::Result<()> {
    let engine = Line::from_fd(io::stdin().as_fd().try_clone_to_owned()?);
    let Some((ToKeeper::Hold(about), Some(fd))) = engine.receive::<ToKeeper>()? else {
        return Ok(());
    };
    let listener = listener(&socket)?;
    engine.send(&FromKeeper::Held, None)?;
    let mut keeper = Keeper { socket, listener, about, fd, engine: Some(engine), next: None, deadline: None };
    keeper.keep()
}

fn listener(socket: &Path) -> io::Result<OwnedFd> {
    let _ = fs::remove_file(socket);
    let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind(&fd, &SocketAddrUnix::new(socket)?)?;
    listen(&fd, 8)?;
    Ok(fd)
}

struct Keeper {
    socket: PathBuf,
    listener: OwnedFd,
    about: About,
    fd: OwnedFd,
    /// Who serves the mount.
    engine: Option<Line>,
    /// Who is to serve it as soon as the other one has made way.
    next: Option<Line>,
    deadline: Option<Instant>,
}

impl Keeper {
    fn keep(&mut self) -> io::Result<()> {
        loop {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                self.end();
                return Ok(());
            }
            let (engine, knocking) = self.wait(left)?;
            if engine && self.hear_engine() == Over::Yes {
                return Ok(());
            }
            if knocking {
                self.answer_door();
            }
        }
    }

    /// Whether the engine has something to say, and whether somebody is at the door.
    fn wait(&self, longest: Option<Duration>) -> io::Result<(bool, bool)> {
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(self.engine.as_ref().map(|line| PollFd::new(line, PollFlags::IN)));
        let longest = longest.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut fds, longest.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok((fds.get(1).is_some_and(is_ready), is_ready(&fds[0])))
    }

    fn hear_engine(&mut self) -> Over {
        let heard = self.engine.as_ref().map(Line::receive::<ToKeeper>);
        match heard {
            Some(Ok(Some((ToKeeper::End, _)))) => {
                // It has unmounted by itself, or is about to.
                let _ = fs::remove_file(&self.socket);
                Over::Yes
            }
            Some(Ok(Some(_))) | None => Over::No,
            Some(Ok(None) | Err(_)) => self.engine_gone(),
        }
    }

    fn engine_gone(&mut self) -> Over {
        self.engine = None;
        if !self.about.resends {
            self.end();
            return Over::Yes;
        }
        match self.next.take() {
            Some(next) => self.hand_over(next),
            None => self.deadline = Some(Instant::now() + WAIT_FOR_ENGINE),
        }
        Over::No
    }

    fn answer_door(&mut self) {
        let Ok(fd) = accept_with(&self.listener, SocketFlags::CLOEXEC) else { return };
        let line = Line::from_fd(fd);
        // Who has nothing to say holds nobody up.
        let _ = line.wait_at_most(Some(SPEAKS_WITHIN));
        let Ok(Some((ToKeeper::Take { replace }, _))) = line.receive::<ToKeeper>() else { return };
        match &self.engine {
            None => self.hand_over(line),
            Some(engine) if replace && self.next.is_none() && self.about.resends => {
                if engine.send(&FromKeeper::MakeWay, None).is_ok() {
                    self.next = Some(line);
                }
            }
            Some(_) => {
                let _ = line.send(&FromKeeper::Busy, None);
            }
        }
    }

    fn hand_over(&mut self, line: Line) {
        if line.send(&FromKeeper::Here(self.about.clone()), Some(self.fd.as_fd())).is_ok() {
            self.engine = Some(line);
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + WAIT_FOR_ENGINE);
        }
    }

    /// Takes the mount away. Whoever waits in it gets an error.
    fn end(&self) {
        let _ = fs::remove_file(&self.socket);
        // Nobody is there to be told where it stays.
        let _ = self.about.end();
    }
}

#[derive(PartialEq, Eq)]
enum Over {
    Yes,
    No,
}
