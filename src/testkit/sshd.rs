//! A real server: an sshd on loopback of the test's own, which can be frozen, killed and brought
//! back, and folders of it mounted by sshfs without caches.
//!
//! Where it cannot be had on a machine, the reason is told, for the test to skip with.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Signal, descendants, is_stopped, signal};

/// Far above what any of it takes on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
const SFTP_SERVERS: [&str; 2] = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"];
const TOOLS: [&str; 3] = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"];

/// The name of the server in its [`ssh_config`](Sshd::ssh_config).
pub const HOST: &str = "fx";

pub struct Sshd {
    top: tempfile::TempDir,
    port: u16,
    /// `None` while nobody listens.
    child: Option<Child>,
}

impl Sshd {
    /// With keys of its own for server and user.
    pub fn start() -> Result<Sshd, String> {
        Sshd::with_sftp("")
    }

    /// Where `sftp` is another command than OpenSSH's `sftp-server`, or the same with options.
    pub fn with_sftp(command: &str) -> Result<Sshd, String> {
        if let Some(tool) = TOOLS.iter().find(|tool| !Path::new(tool).exists()) {
            return Err(format!("{tool} is missing"));
        }
        let sftp = if command.is_empty() { sftp_server()? } else { command };
        let top = tempfile::Builder::new().prefix("holdfast-sshd-").tempdir().map_err(|e| e.to_string())?;
        if rustix::process::geteuid().is_root() {
            // Where Debian's sshd wants its empty folder.
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.map_err(|e| e.to_string())?.port();
        let mut server = Sshd { top, port, child: None };
        for key in ["host", "id"] {
            let file = server.top.path().join(key);
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file))?;
        }
        let at = server.top.path().display();
        let daemon = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
             AuthorizedKeysFile {at}/id.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nUseDNS no\nSubsystem sftp {sftp}\n"
        );
        std::fs::write(server.top.path().join("sshd_config"), daemon).map_err(|e| e.to_string())?;
        server.reach_by(port)?;
        server.listen()?;
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on clients come to this port of this machine, where something leads on to the server.
    pub fn reach_by(&self, port: u16) -> Result<(), String> {
        let at = self.top.path().display();
        let client = format!(
            "Host {HOST}\n HostName 127.0.0.1\n Port {port}\n IdentityFile {at}/id\n IdentitiesOnly yes\n \
             IdentityAgent none\n UserKnownHostsFile {at}/known_hosts\n StrictHostKeyChecking no\n LogLevel ERROR\n"
        );
        std::fs::write(self.ssh_config(), client).map_err(|e| e.to_string())
    }

    /// What `ssh -F` takes; it knows the server as [`HOST`] and asks nothing.
    pub fn ssh_config(&self) -> PathBuf {
        self.top.path().join("ssh_config")
    }

    /// What runs in place of `ssh`, as a shell would read it.
    pub fn ssh_command(&self) -> String {
        format!("ssh -F {}", self.ssh_config().display())
    }

    /// Where its keys and its configuration lie.
    pub fn dir(&self) -> &Path {
        self.top.path()
    }

    /// Starts it anew with what this makes of its configuration.
    pub fn reconfigure(&mut self, change: impl FnOnce(&str) -> String) -> Result<(), String> {
        self.kill();
        let file = self.top.path().join("sshd_config");
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        std::fs::write(&file, change(&text)).map_err(|e| e.to_string())?;
        self.listen()
    }

    /// Takes connections, again after [`Sshd::kill`], at the same port.
    pub fn listen(&mut self) -> Result<(), String> {
        let dir = self.top.path();
        let mut child = Command::new("/usr/sbin/sshd")
            .arg("-D")
            .arg("-f")
            .arg(dir.join("sshd_config"))
            .arg("-E")
            .arg(dir.join("log"))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > end || !matches!(child.try_wait(), Ok(None)) {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                return Err(format!("sshd does not start: {log}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child = Some(child);
        Ok(())
    }

    /// The server's processes for the connections that there are; not the one that listens.
    pub fn sessions(&self) -> Vec<u32> {
        self.child.as_ref().map(|child| descendants(child.id())).unwrap_or_default()
    }

    /// As a machine that hangs: whoever is connected or connects gets no answer, and is not told that.
    /// When it returns all have really stopped.
    pub fn freeze(&self) {
        loop {
            let going: Vec<u32> = self.processes().into_iter().filter(|pid| !is_stopped(*pid)).collect();
            if going.is_empty() {
                return;
            }
            going.into_iter().for_each(|pid| signal(pid, Signal::STOP));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether nothing of it has been let go on.
    pub fn is_frozen(&self) -> bool {
        let all = self.processes();
        !all.is_empty() && all.into_iter().all(is_stopped)
    }

    pub fn thaw(&self) {
        self.processes().into_iter().for_each(|pid| signal(pid, Signal::CONT));
    }

    /// The one that listens, and those of the connections.
    fn processes(&self) -> Vec<u32> {
        let listens = self.child.as_ref().map(std::process::Child::id);
        listens.into_iter().chain(self.sessions()).collect()
    }

    /// Every connection ends; new ones are taken.
    pub fn kill_sessions(&self) {
        self.sessions().into_iter().for_each(|pid| signal(pid, Signal::KILL));
    }

    /// As a machine that is switched off: every connection ends, and nobody listens.
    pub fn kill(&mut self) {
        let sessions = self.sessions();
        if let Some(mut child) = self.child.take() {
            // First the one that listens, or new ones come meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        sessions.into_iter().for_each(|pid| signal(pid, Signal::KILL));
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// OpenSSH's own, where it lies on this machine.
pub fn sftp_server() -> Result<&'static str, String> {
    let found = SFTP_SERVERS.into_iter().find(|s| Path::new(s).exists());
    found.ok_or_else(|| "sftp-server is missing".into())
}

/// A folder of the server, mounted.
pub struct Sshfs {
    command: Command,
    at: PathBuf,
    mounted: bool,
}

impl Sshfs {
    /// Mounts `folder` of the server at the folder `at`.
    pub fn mount(server: &Sshd, folder: &Path, at: &Path) -> Result<Sshfs, String> {
        for tool in ["/usr/bin/sshfs", "/usr/bin/fusermount3", "/dev/fuse"] {
            if !Path::new(tool).exists() {
                return Err(format!("{tool} is missing"));
            }
        }
        let mut command = Command::new("sshfs");
        command
            .arg("-o")
            .arg(format!("ssh_command={}", server.ssh_command()))
            .args(["-o", "dir_cache=no,attr_timeout=0,entry_timeout=0,negative_timeout=0"])
            .arg(format!("{HOST}:{}", folder.display()))
            .arg(at);
        let mut sshfs = Sshfs { command, at: at.to_owned(), mounted: false };
        sshfs.again()?;
        Ok(sshfs)
    }

    /// Mounts it once more where it is not mounted; a mount that died with its server is cleared away.
    pub fn again(&mut self) -> Result<(), String> {
        if self.mounted {
            self.clear();
        }
        // Some versions refuse links that lead outside, others do not know the option for that.
        let mut lax = Command::new(self.command.get_program());
        lax.args(self.command.get_args()).args(["-o", "no_contain_symlinks"]);
        run(&mut lax).or_else(|_| run(&mut self.command))?;
        self.mounted = true;
        Ok(())
    }

    /// Whether it could be unmounted: not while somebody is in it.
    pub fn unmount(&mut self) -> bool {
        let done = run(Command::new("fusermount3").arg("-u").arg(&self.at)).is_ok();
        self.mounted &= !done;
        done
    }

    /// Whoever is in it.
    fn clear(&mut self) {
        // It may have ended by itself, with the server.
        let _ = run(Command::new("fusermount3").args(["-u", "-z"]).arg(&self.at));
        self.mounted = false;
    }

    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Sshfs {
    fn drop(&mut self) {
        if self.mounted {
            self.clear();
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}
