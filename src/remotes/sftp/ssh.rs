//! The `ssh` child that carries one connection: the person's own configuration, agent, jump hosts,
//! certificates and known hosts count.
//!
//! It asks nothing (`BatchMode`), has no terminal, becomes nobody's shared connection, and ends with
//! the session and with the engine.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_engine::model::OfflineReason;
use holdfast_engine::remote::RemoteError;
use rustix::process::Signal;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::session::lock;
use super::url::Address;
use crate::spawn::{self, Process, Running};

const OPTIONS: [&str; 9] = [
    "-x",
    "-a",
    "-oBatchMode=yes",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
    "-oControlMaster=no",
    "-oLogLevel=ERROR",
];

/// What is run in place of `ssh`, and where it is to lead.
pub struct Target {
    /// The program and the words before ours.
    command: Vec<String>,
    pub address: Address,
    /// A connection shared with other programs (`ControlPath`) has hung: the next one is our own.
    distrusts_shared: Arc<AtomicBool>,
}

impl Target {
    pub fn new(command: Vec<String>, address: Address) -> Target {
        Target { command, address, distrusts_shared: Arc::default() }
    }

    /// The program with the words before ours.
    fn program(&self) -> Command {
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map_or("ssh", String::as_str));
        command.args(words);
        // What ssh says is told apart by its words.
        command.env("LC_ALL", "C");
        command
    }

    /// Prints what the person's configuration makes of this address.
    pub fn describe(&self) -> tokio::process::Command {
        let mut command = self.program();
        command.arg("-G");
        self.name_port_and_user(&mut command);
        command.arg("--").arg(&self.address.host);
        command.into()
    }

    /// The same of one that is jumped over, as the configuration names it: `[user@]host[:port]`, or a URI.
    pub fn describe_jump(&self, host: &str) -> tokio::process::Command {
        let mut command = self.program();
        let uri = if host.contains("://") { host.to_owned() } else { format!("ssh://{host}") };
        command.arg("-G").arg("--").arg(uri);
        command.into()
    }

    fn command(&self) -> Command {
        let mut command = self.program();
        command.args(OPTIONS);
        // Once only: where a person signed in through it, there is no other way in.
        if self.distrusts_shared.swap(false, Ordering::Relaxed) {
            command.arg("-oControlPath=none");
        }
        self.name_port_and_user(&mut command);
        command.args(["-s", &self.address.host, "sftp"]);
        command.stderr(Stdio::piped());
        command
    }

    fn name_port_and_user(&self, command: &mut Command) {
        if let Some(port) = self.address.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &self.address.user {
            command.arg("-l").arg(user);
        }
    }

    pub async fn start(&self) -> Result<Child, RemoteError> {
        let mut command = self.command();
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // A parent that died before the call above would never be told of.
                if rustix::process::getppid() == Some(parent) {
                    Ok(())
                } else {
                    Err(rustix::io::Errno::SRCH.into())
                }
            });
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let running = spawn::start(command).await.map_err(|e| RemoteError::Gone {
            reason: OfflineReason::Error,
            message: match e.kind() {
                std::io::ErrorKind::NotFound => format!("the program {program} is not installed here"),
                _ => format!("the program {program} cannot be started: {e}"),
            },
        })?;
        Child::new(running, self.address.host.clone(), self.distrusts_shared.clone())
    }
}

/// The ends of its pipes, until a session takes them.
pub struct Ends {
    pub input: pipe::Sender,
    pub output: pipe::Receiver,
    pub errors: Option<OwnedFd>,
}

pub struct Child {
    host: String,
    process: Process,
    ends: Option<Ends>,
    exited: Mutex<Option<oneshot::Receiver<Option<ExitStatus>>>>,
    distrusts_shared: Arc<AtomicBool>,
}

impl Child {
    fn new(running: Running, host: String, distrusts_shared: Arc<AtomicBool>) -> Result<Child, RemoteError> {
        let Running { stdin, stdout, stderr, process, exited } = running;
        let ends = pipe::Sender::from_owned_fd(stdin)
            .and_then(|input| {
                Ok(Ends { input, output: pipe::Receiver::from_owned_fd(stdout)?, errors: stderr })
            })
            .map_err(|e| RemoteError::Io(format!("the pipes to ssh cannot be used: {e}")))?;
        Ok(Child { host, process, ends: Some(ends), exited: Mutex::new(Some(exited)), distrusts_shared })
    }

    pub fn ends(&mut self) -> Option<Ends> {
        self.ends.take()
    }

    /// As the address names it.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn kill(&self) {
        self.process.kill();
    }

    /// It carried nothing any more, and nobody said why.
    pub fn was_silent(&self) {
        self.distrusts_shared.store(true, Ordering::Relaxed);
    }

    /// Its exit status, where it ends within this time.
    pub async fn exited(&self, wait: Duration) -> Option<ExitStatus> {
        let exited = lock(&self.exited).take()?;
        tokio::time::timeout(wait, exited).await.ok()?.ok()?
    }

    /// Waits for its end, and brings it about after this time.
    pub async fn end(&self, wait: Duration) {
        self.exited(wait).await;
        self.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
