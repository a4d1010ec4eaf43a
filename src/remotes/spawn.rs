//! Starts a process that serves one connection and waits for its end, in a thread of its own.
//!
//! The thread lives as long as the process: the kernel's "signal at the parent's death" is about the
//! thread that started a process, not about the whole parent.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::oneshot;

const PIPE_BYTES: usize = 1 << 20;

pub struct Running {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    /// Where the command was given a pipe for it.
    pub stderr: Option<OwnedFd>,
    pub process: Process,
    /// Comes when the process has ended.
    pub exited: oneshot::Receiver<Option<ExitStatus>>,
}

/// Names the process for certain, even after it ended.
pub struct Process(OwnedFd);

impl Process {
    pub fn kill(&self) {
        if let Err(e) = pidfd_send_signal(&self.0, Signal::KILL) {
            tracing::debug!(error = %e, "it had ended already");
        }
    }
}

/// Gives it pipes for input and output.
pub async fn start(mut command: Command) -> io::Result<Running> {
    let (started_tx, started_rx) = oneshot::channel();
    let (exited_tx, exited) = oneshot::channel();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // Ctrl-C in a terminal is for the engine, which then ends the process in order.
    command.process_group(0);
    std::thread::Builder::new().name("remote-wait".into()).spawn(move || {
        match spawn(&mut command) {
            Ok((mut child, ends)) => {
                // Nobody waits any more: the pipe is closed with `ends`, and the process ends.
                let _ = started_tx.send(Ok(ends));
                let _ = exited_tx.send(child.wait().ok());
            }
            Err(e) => drop(started_tx.send(Err(e))),
        }
    })?;
    let (stdin, stdout, stderr, process) =
        started_rx.await.map_err(|_| io::Error::other("the thread that starts it ended"))??;
    Ok(Running { stdin, stdout, stderr, process, exited })
}

type Ends = (OwnedFd, OwnedFd, Option<OwnedFd>, Process);

fn spawn(command: &mut Command) -> io::Result<(std::process::Child, Ends)> {
    let mut child = command.spawn()?;
    let ends = ends(&mut child);
    if ends.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok((child, ends?))
}

fn ends(child: &mut std::process::Child) -> io::Result<Ends> {
    let missing = || io::Error::other("the process has no pipe");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let process = Process(pidfd_open(pid, PidfdFlags::empty())?);
    let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let stderr = child.stderr.take().map(OwnedFd::from);
    for pipe in [&stdin, &stdout] {
        // Only for speed: above an ordinary user's limit it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
    Ok((stdin, stdout, stderr, process))
}
