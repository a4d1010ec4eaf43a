//! `sftp://`: a folder of a server that speaks SFTP, reached by the person's own `ssh`.
//!
//! ```text
//!  engine -> SftpRemote -> Place: list, read, upload, moves, names, attrs
//!                            -> Session: many requests at once, each answer to who asked
//!                                 -> codec (bytes only) -> pipes -> ssh -s HOST sftp -> the server
//!            what does not answer is ended ----^            ends with the session and the engine
//! ```
//!
//! A request without progress for the deadline (8 s; four times as much for hello and for what the
//! server's disk may need long for) ends the connection: `ssh` is killed, all calls fail with `Gone`,
//! the next `connect` starts another. Nothing that a server sends is believed for its size: what is no
//! SFTP, answers what was not asked or more than was asked, or has no end, ends the call or the session.
//!
//! # What can go unseen
//!
//! - *Times* are whole seconds, and there are neither inode numbers nor change times. So a version is
//!   size, time and mode. A change within the second of the one before it is found because a file that
//!   changed in the server's present second is read, and an upload with such a time put in place, only
//!   once that second is over there. What we put over a version of the same size and second gets the next
//!   second. A change that keeps size and mode and sets the old time again is
//!   not seen at all.
//! - *Replacing* a file: the new content lies complete and synced under a temporary name; the old one is
//!   looked at again; then, in one go, it gets a second name (`hardlink`) and is replaced
//!   (`posix-rename`). The server does both one after the other, so what is kept under the second name
//!   is what was replaced: if it is not the original, it is put back, or kept and told (`Displaced`).
//!   A file put there between those two steps of the server is lost.
//! - *On a server that does not keep the order* of requests they go one by one, and that window is a
//!   round trip. *Without hard links* a write into the old file in that time is lost as well.
//!   *Without `posix-rename`* the old file steps aside first, and the path is absent for a moment.
//!   Which of these holds is found out by trying, and told as the location's caveat.
//! - *Open files.* Who holds a file open on the server while it is replaced or removed writes on into
//!   the old one, which then has no name.
//! - *Links* on the way: paths are resolved by the server. Each folder on the way was looked at within
//!   the last second; one that somebody replaces by a link in that second is followed.
//! - *Folders* moved to a new name: between the server's look and its move an empty folder that comes
//!   there is replaced.
//! - *A crash of the server's machine*: file contents are synced (`fsync`) before they get their name
//!   where the server offers that; folders cannot be.

mod answer;
mod attrs;
mod clock;
mod codec;
mod connect;
mod full;
mod list;
mod moves;
mod names;
mod place;
mod probe;
mod pump;
mod read;
mod refusal;
mod remote;
mod seen;
mod session;
mod ssh;
mod status;
mod upload;
mod url;
mod way;
mod window;

use std::sync::Arc;
use std::time::Duration;

use holdfast_engine::remote::{Connector, Remote};

use answer::Failure;
pub use remote::SftpRemote;

/// What a host may choose about `sftp://` locations.
#[derive(Clone, Debug)]
pub struct SftpOptions {
    /// A call that makes no progress for so long ends the connection.
    pub deadline: Duration,
    /// What is run in place of `ssh`: a program and the words that go before ours.
    pub command: Vec<String>,
    /// For tests: as if the server did not keep the order of requests.
    #[doc(hidden)]
    pub pretend_no_order: bool,
}

impl Default for SftpOptions {
    fn default() -> SftpOptions {
        SftpOptions { deadline: Duration::from_secs(8), command: vec!["ssh".into()], pretend_no_order: false }
    }
}

impl SftpOptions {
    /// `command` as a person writes it for `HOLDFAST_SSH_COMMAND`: split as a shell splits words.
    pub fn with_command(command: &str) -> Result<SftpOptions, String> {
        let words = shell_words::split(command)
            .map_err(|_| format!("HOLDFAST_SSH_COMMAND has a quote without its other one: {command}"))?;
        if words.is_empty() {
            return Err("HOLDFAST_SSH_COMMAND is empty; it names the program to run in place of ssh".into());
        }
        Ok(SftpOptions { command: words, ..SftpOptions::default() })
    }
}

/// `sftp://`: see [the module](self).
pub struct SftpConnector {
    /// Or why there are none: then no location of this kind can be used.
    options: Result<SftpOptions, String>,
}

impl SftpConnector {
    pub fn new(options: Result<SftpOptions, String>) -> SftpConnector {
        SftpConnector { options }
    }
}

impl Connector for SftpConnector {
    fn check(&self, url: &str) -> Result<(), String> {
        url::parse(url).map(drop)?;
        self.options.as_ref().map(drop).map_err(Clone::clone)
    }

    fn public_url(&self, url: &str) -> String {
        url::public(url)
    }

    fn local_folder(&self, _url: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        Ok(Arc::new(SftpRemote::new(url, owner, self.options.clone()?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_splits_words() {
        let words = |text: &str| SftpOptions::with_command(text).map(|options| options.command);
        assert_eq!(words("ssh -F 'my config' -v").unwrap(), ["ssh", "-F", "my config", "-v"]);
        assert!(words("ssh 'x").unwrap_err().contains("quote"));
        assert!(words("  ").unwrap_err().contains("empty"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_started() {
        let connector = SftpConnector::new(Ok(SftpOptions::default()));
        assert_eq!(connector.check("sftp://nas/a"), Ok(()));
        assert!(connector.check("sftp://-oProxyCommand=x/a").is_err());
        assert!(connector.remote("sftp://nas/a", "m/e").is_err());
        assert_eq!(connector.public_url("sftp://me:secret@nas/a"), "sftp://me@nas/a");
        let broken = SftpConnector::new(SftpOptions::with_command("'"));
        assert!(broken.check("sftp://nas/a").unwrap_err().contains("HOLDFAST_SSH_COMMAND"));
    }
}
