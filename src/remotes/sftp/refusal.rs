//! Why there is no connection, in one plain sentence: from what `ssh` says on its standard error.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_engine::model::OfflineReason;
use holdfast_engine::remote::RemoteError;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::session::lock;
use super::ssh::{Child, Target};
use super::way::{Way, way};

/// Its last words are the ones that count.
const KEPT_BYTES: usize = 8 << 10;
const SHOWN_CHARS: usize = 200;
/// For the end of `ssh` and its last words, once its output is at its end.
const MOMENT: Duration = Duration::from_secs(2);

/// What it says, read as it comes so that it never waits to say it.
pub struct Stderr {
    text: Arc<Mutex<Vec<u8>>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Stderr {
    pub fn watch(pipe: Option<OwnedFd>) -> Stderr {
        let text = Arc::new(Mutex::new(Vec::new()));
        let pipe = pipe.and_then(|fd| pipe::Receiver::from_owned_fd(fd).ok());
        let task = pipe.map(|pipe| tokio::spawn(keep(pipe, text.clone())));
        Stderr { text, task }
    }

    /// All of it, where it ends in a moment: another process of the person's may hold it open.
    async fn last_words(self) -> String {
        if let Some(task) = self.task {
            let stop = task.abort_handle();
            let _ = timeout(MOMENT, task).await;
            stop.abort();
        }
        String::from_utf8_lossy(&lock(&self.text)).into_owned()
    }
}

async fn keep(mut pipe: pipe::Receiver, text: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut piece).await {
        let mut text = lock(&text);
        text.extend_from_slice(&piece[..n]);
        let extra = text.len().saturating_sub(KEPT_BYTES);
        text.drain(..extra);
    }
}

/// What stands where the first message should: a login that prints something, most often.
pub async fn no_sftp(start: &[u8], output: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = start.to_vec();
    let mut rest = [0; 60];
    if let Ok(Ok(n)) = timeout(MOMENT / 4, output.read(&mut rest)).await {
        bytes.extend_from_slice(&rest[..n]);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.trim().chars().take_while(|c| !c.is_control()).collect()
}

/// The error for a connection whose `ssh` has closed its output.
pub async fn ended(child: &Child, stderr: Stderr, greeted: bool) -> RemoteError {
    let status = child.exited(MOMENT).await;
    let words = stderr.last_words().await;
    explain(&words, status.and_then(|s| s.code()), child.host(), greeted)
}

/// `greeted`: it was a connection, and ended later.
fn explain(words: &str, status: Option<i32>, host: &str, greeted: bool) -> RemoteError {
    use OfflineReason::{Error, NoNetwork, ServerGone, SignInNeeded};
    let has = |text: &str| words.contains(text);
    let (reason, message) = if has("Could not resolve hostname") {
        (ServerGone, nameless(host))
    } else if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let way = "if that is right, remove the old key with ssh-keygen -R";
        (
            Error,
            format!(
                "the server {host} shows another host key than before, so it may be another; {way} {host}"
            ),
        )
    } else if has("Host key verification failed") || has("host key is known for") {
        let way = format!("connect once with ssh {host} and compare it");
        (Error, format!("the host key of the server {host} is not known here yet; {way}"))
    } else if has("Permission denied (") || has("Too many authentication failures") {
        let way = "a key that it takes must be loaded in the agent";
        (
            SignInNeeded,
            format!("the server {host} does not let this user in; {way} or named in ssh's configuration"),
        )
    } else if has("Network is unreachable") {
        (NoNetwork, no_way(host))
    } else if has("No route to host") {
        (ServerGone, format!("the server {host} does not answer: nobody is at its address"))
    } else if has("Connection refused") {
        (ServerGone, format!("the server {host} refuses the connection: no SSH server listens there"))
    } else if has("timed out") {
        (ServerGone, format!("the server {host} does not answer"))
    } else if has("subsystem request failed") {
        (Error, format!("the server {host} lets this user in but offers no SFTP"))
    } else if greeted {
        let why = last_line(words).map(|line| format!(": {line}")).unwrap_or_default();
        (ServerGone, format!("the connection to the server {host} has ended{why}"))
    } else if let Some(line) = last_line(words) {
        let lost = ["Connection closed", "Connection reset", "kex_exchange", "Broken pipe"];
        let reason = if lost.iter().any(|text| has(text)) { ServerGone } else { Error };
        (reason, format!("ssh cannot connect to the server {host}: {line}"))
    } else if status == Some(255) {
        (ServerGone, format!("ssh cannot connect to the server {host}"))
    } else {
        (Error, format!("the server {host} lets this user in but starts no SFTP server"))
    };
    RemoteError::Gone { reason, message }
}

/// The same error, where what is known about the way to the server says more than `ssh` does.
pub async fn with_way(target: &Target, error: RemoteError) -> RemoteError {
    let RemoteError::Gone { reason: OfflineReason::ServerGone | OfflineReason::NoNetwork, .. } = &error
    else {
        return error;
    };
    weighed(error, way(target).await, &target.address.host)
}

fn weighed(error: RemoteError, way: Way, host: &str) -> RemoteError {
    let RemoteError::Gone { reason, message } = error else { return error };
    let (reason, message) = match way {
        Way::None => (OfflineReason::NoNetwork, no_way(host)),
        Way::Nameless { network: false } => {
            (OfflineReason::NoNetwork, format!("there is no network, so the name {host} leads to no server"))
        }
        Way::Nameless { network: true } => (OfflineReason::ServerGone, nameless(host)),
        // There is one now.
        Way::Exists if reason == OfflineReason::NoNetwork => {
            (OfflineReason::ServerGone, format!("the server {host} could not be reached"))
        }
        Way::Exists | Way::Unknown => (reason, message),
    };
    RemoteError::Gone { reason, message }
}

fn no_way(host: &str) -> String {
    format!("there is no way through the network to the server {host}")
}

fn nameless(host: &str) -> String {
    format!("the name {host} leads to no server: it is misspelt, or not known in this network")
}

fn last_line(words: &str) -> Option<String> {
    let line = words.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(words: &str, status: i32) -> (OfflineReason, String) {
        match explain(words, Some(status), "nas", false) {
            RemoteError::Gone { reason, message } => (reason, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_way_that_ssh_refuses_has_its_sentence() {
        use OfflineReason::{Error, NoNetwork, ServerGone, SignInNeeded};
        let cases = [
            ("ssh: Could not resolve hostname nas: Name or service not known\r\n", ServerGone, "misspelt"),
            (
                "ssh: connect to host nas port 22: Connection refused\r\n",
                ServerGone,
                "refuses the connection",
            ),
            ("ssh: connect to host nas port 22: Connection timed out\r\n", ServerGone, "does not answer"),
            ("ssh: connect to host nas port 22: No route to host\r\n", ServerGone, "nobody is at"),
            ("ssh: connect to host nas port 22: Network is unreachable\r\n", NoNetwork, "no way"),
            ("me@nas: Permission denied (publickey,password).\r\n", SignInNeeded, "agent"),
            (
                "No ED25519 host key is known for nas and you have requested strict checking.\r\n\
              Host key verification failed.\r\n",
                Error,
                "not known here yet",
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\nHost key verification failed.\r\n",
                Error,
                "ssh-keygen -R",
            ),
            ("subsystem request failed on channel 0\r\n", Error, "offers no SFTP"),
            (
                "kex_exchange_identification: Connection closed by remote host\r\n",
                ServerGone,
                "cannot connect",
            ),
            ("bash: line 1: /usr/lib/no-such: No such file or directory\r\n", Error, "No such file"),
            ("", Error, "starts no SFTP"),
        ];
        for (words, reason, part) in cases {
            let (found, message) = sentence(words, 1);
            assert!(found == reason && message.contains(part), "{words}: {found:?} {message}");
            assert!(!message.contains('\n') && message.contains("nas"), "{message}");
        }
        assert_eq!(sentence("", 255).0, ServerGone);
    }

    #[test]
    fn the_way_decides_between_the_network_and_the_server() {
        use OfflineReason::{NoNetwork, ServerGone, SignInNeeded};
        let gone = |reason| RemoteError::Gone { reason, message: "as ssh says".into() };
        let cases = [
            (ServerGone, Way::None, NoNetwork, "no way through"),
            (ServerGone, Way::Exists, ServerGone, "as ssh says"),
            (ServerGone, Way::Unknown, ServerGone, "as ssh says"),
            (ServerGone, Way::Nameless { network: true }, ServerGone, "misspelt"),
            (ServerGone, Way::Nameless { network: false }, NoNetwork, "no network"),
            (NoNetwork, Way::Exists, ServerGone, "could not be reached"),
            (NoNetwork, Way::Unknown, NoNetwork, "as ssh says"),
            (SignInNeeded, Way::Exists, SignInNeeded, "as ssh says"),
        ];
        for (said, way, expected, part) in cases {
            match weighed(gone(said), way, "nas") {
                RemoteError::Gone { reason, message } => {
                    assert!(reason == expected && message.contains(part), "{said:?} {way:?}: {message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn control_characters_of_a_server_do_not_come_through() {
        let (_, message) = sentence("\x1b[31mwelcome\x07", 1);
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}
