//! The one place where the engine gets its remotes from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_engine::remote::{Connector, Remote};
use holdfast_remotes::folder::{self, FolderOptions, HelperCommand};
use holdfast_remotes::sftp::{SftpConnector, SftpOptions};
use holdfast_remotes::{Connectors, FileConnector};

use crate::clash::Places;
use crate::hidden::REMOTE_HELPER;
use crate::places::follow;

/// What `Service` hands to the engine: the remotes' connector behind a guard. `runtime` is private to
/// this user.
pub fn connector(places: Places, runtime: &Path) -> Arc<dyn Connector> {
    let helper = HelperCommand {
        // This very program, also where an upgrade has replaced its file meanwhile.
        program: "/proc/self/exe".into(),
        args: vec![REMOTE_HELPER.into()],
    };
    let file = FileConnector::new(helper, FolderOptions::new(runtime));
    let sftp = SftpConnector::new(ssh_command(std::env::var_os(SSH_COMMAND)));
    let all = Connectors::new().with("file", file).with("sftp", sftp);
    Arc::new(Guarded { places, inner: Box::new(all) })
}

/// Replaces `ssh`, as `GIT_SSH_COMMAND` does for git.
const SSH_COMMAND: &str = "HOLDFAST_SSH_COMMAND";

fn ssh_command(value: Option<OsString>) -> Result<SftpOptions, String> {
    match value.map(OsString::into_string) {
        None => Ok(SftpOptions::default()),
        Some(Ok(command)) => SftpOptions::with_command(&command),
        Some(Err(_)) => Err(format!("{SSH_COMMAND} must be text")),
    }
}

/// The helper process of the remotes.
pub fn helper_main() -> ! {
    folder::helper_main()
}

/// Refuses locations that lie in our own mount or store, or hold them.
struct Guarded {
    places: Places,
    inner: Box<dyn Connector>,
}

impl Connector for Guarded {
    fn check(&self, url: &str) -> Result<(), String> {
        self.inner.check(url)?;
        match self.places.clash(url) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    fn public_url(&self, url: &str) -> String {
        self.inner.public_url(url)
    }

    fn local_folder(&self, url: &str) -> Option<PathBuf> {
        let folder = self.inner.local_folder(url)?;
        Some(follow(&folder, self.places.mount.as_deref()))
    }

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        // A mount may have been moved into a location since it was added.
        match self.places.clash(url) {
            Some(why) => Err(why),
            None => self.inner.remote(url, owner),
        }
    }
}
