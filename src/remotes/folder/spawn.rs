//! Starts the helper process and waits for its end, in a thread of its own.
//!
//! The thread lives as long as the helper: the kernel's "signal at the parent's death" is about the
//! thread that started a process, not about the whole parent.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::oneshot;

use super::options::HelperCommand;

const PIPE_BYTES: usize = 1 << 20;

pub struct Running {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub process: Process,
    /// Ends when the process has.
    pub exited: oneshot::Receiver<()>,
}

/// Names the process for certain, even after it ended.
pub struct Process(OwnedFd);

impl Process {
    pub fn kill(&self) {
        if let Err(e) = pidfd_send_signal(&self.0, Signal::KILL) {
            tracing::debug!(error = %e, "the helper had ended already");
        }
    }
}

pub async fn start(command: &HelperCommand) -> io::Result<Running> {
    let (started_tx, started_rx) = oneshot::channel();
    let (exited_tx, exited) = oneshot::channel();
    let mut process = Command::new(&command.program);
    process.args(&command.args).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Ctrl-C in a terminal is for the engine, which then ends the helper in order.
    process.process_group(0);
    std::thread::Builder::new().name("helper-wait".into()).spawn(move || {
        match spawn(&mut process) {
            Ok((mut child, ends)) => {
                // Nobody waits any more: the pipe is closed with `ends`, and the helper ends.
                let _ = started_tx.send(Ok(ends));
                let _ = child.wait();
                let _ = exited_tx.send(());
            }
            Err(e) => drop(started_tx.send(Err(e))),
        }
    })?;
    let (stdin, stdout, process) =
        started_rx.await.map_err(|_| io::Error::other("the thread that starts it ended"))??;
    Ok(Running { stdin, stdout, process, exited })
}

type Ends = (OwnedFd, OwnedFd, Process);

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
    let missing = || io::Error::other("the helper has no pipe");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let process = Process(pidfd_open(pid, PidfdFlags::empty())?);
    let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    for pipe in [&stdin, &stdout] {
        // Only for speed: above an ordinary user's limit it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
    Ok((stdin, stdout, process))
}
