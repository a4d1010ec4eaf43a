//! The `file://` remote: what it takes to be a [`Remote`], on top of a helper process.
//!
//! Polled on a tokio runtime with time and I/O. Makes no call on the folder itself: also its root is
//! only ever touched by the helper.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_engine::model::{LocPath, Meta, OfflineReason, Version};
use holdfast_engine::remote::{
    Capabilities, Hint, Listed, Listing, NewMeta, Remote, RemoteError, SetMeta, Source,
};

use super::identity::Identity;
use super::link::{Call, Link, TICKS};
use super::options::{FolderOptions, HelperCommand};
use super::protocol::{Answer, Ask, Connected, Hello, Upload};
use super::send;
use crate::supply::Budget;
use crate::temp;

/// More than the engine ever asks for in one read.
const MAX_READ_BYTES: usize = 8 << 20;
const QUEUED_HINTS: usize = 256;

/// A folder of this computer, most of all a mounted network file system.
pub struct FolderRemote {
    root: PathBuf,
    owner: String,
    command: HelperCommand,
    options: FolderOptions,
    state: Mutex<State>,
    /// One `connect` or `disconnect` at a time.
    connecting: tokio::sync::Mutex<()>,
    budget: Budget,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    /// What was found at the first `connect`; anything else is "not mounted".
    known: Option<Identity>,
    ranged: bool,
}

impl FolderRemote {
    /// `owner` goes into temporary names: letters, digits, `_` and `-` only.
    pub fn new(
        root: &Path,
        owner: &str,
        command: HelperCommand,
        options: FolderOptions,
    ) -> Result<FolderRemote, String> {
        temp::check_owner(owner)?;
        if !root.is_absolute() {
            return Err("the path of the folder must begin with a /".into());
        }
        Ok(FolderRemote {
            root: root.to_owned(),
            owner: owner.to_owned(),
            command,
            options,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
            budget: Budget::new(),
        })
    }

    /// What is mounted there, for [`FolderOptions::expected_identity`] of a later run; `None` before
    /// the first `connect`.
    pub fn identity(&self) -> Option<String> {
        self.state().known.as_ref().map(Identity::to_text)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> Result<Arc<Link>, RemoteError> {
        self.state().link.clone().ok_or_else(|| RemoteError::gone("the folder is not connected"))
    }

    async fn call(&self, ask: Ask) -> Result<Call, RemoteError> {
        self.link()?.call(&ask, Vec::new()).await
    }

    async fn meta(&self, ask: Ask) -> Result<Meta, RemoteError> {
        send::meta(self.call(ask).await?.next().await?.0)
    }

    async fn done(&self, ask: Ask) -> Result<(), RemoteError> {
        self.call(ask).await?.next().await.map(drop)
    }

    fn hello(&self) -> Hello {
        Hello {
            root: self.root.as_os_str().as_bytes().to_vec(),
            owner: self.owner.clone(),
            lock_dir: self.options.lock_dir.as_os_str().as_bytes().to_vec(),
            tick: self.options.deadline / TICKS,
            known: self.state().known.clone(),
            expected: self.options.expected_identity.clone(),
            pretend: self.options.pretend.clone(),
        }
    }

    async fn start(&self) -> Result<(Arc<Link>, Connected), RemoteError> {
        let place = format!("the server behind {}", self.root.display());
        let started = Link::start(&self.command, self.options.deadline / TICKS, &place).await;
        let link = Arc::new(started.map_err(|e| RemoteError::Gone {
            reason: OfflineReason::Error,
            message: format!("the helper process for this folder cannot be started: {e}"),
        })?);
        let connected = self.greet(&link).await?;
        Ok((link, connected))
    }

    async fn greet(&self, link: &Arc<Link>) -> Result<Connected, RemoteError> {
        match link.call(&Ask::Connect(Box::new(self.hello())), Vec::new()).await?.next().await?.0 {
            Answer::Connected(connected) => Ok(*connected),
            other => {
                tracing::error!(?other, "an answer of another kind was expected");
                Err(RemoteError::Io("the helper gave an unexpected answer".into()))
            }
        }
    }

    async fn upload(
        &self,
        path: &LocPath,
        replaces: Option<&Version>,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError> {
        let (link, ranged) = (self.link()?, self.state().ranged);
        let request = Upload {
            path: path.clone(),
            replaces: replaces.cloned(),
            size: source.size(),
            meta: meta.into(),
            from_old: false,
        };
        send::upload(&link, &self.budget, source, request, ranged).await
    }

    /// Collects the parts of a listing.
    async fn entries(&self, ask: Ask) -> Result<Listing, RemoteError> {
        let mut call = self.call(ask).await?;
        let mut listing = Listing::default();
        loop {
            match call.next().await?.0 {
                Answer::Entries { entries, refused } => {
                    listing.entries.extend(entries.into_iter().map(|(name, meta)| Listed { name, meta }));
                    listing.refused.extend(refused);
                }
                _ => return Ok(listing),
            }
        }
    }
}

#[async_trait]
impl Remote for FolderRemote {
    async fn connect(&self) -> Result<Capabilities, RemoteError> {
        let _one = self.connecting.lock().await;
        let alive = self.state().link.take().filter(|link| link.is_alive());
        let (link, connected) = match alive {
            Some(link) => match self.greet(&link).await {
                // It ended without our having seen that yet.
                Err(RemoteError::Gone { .. }) if !link.is_alive() => self.start().await?,
                greeted => (link, greeted?),
            },
            None => self.start().await?,
        };
        tracing::debug!(root = %self.root.display(), fs_type = %connected.identity.fs_type, "connected");
        let mut state = self.state();
        state.ranged = connected.capabilities.ranged_write;
        state.known = Some(connected.identity);
        state.link = Some(link);
        Ok(connected.capabilities.into())
    }

    async fn list(&self, folder: &LocPath) -> Result<Listing, RemoteError> {
        self.entries(Ask::List { folder: folder.clone() }).await
    }

    async fn stat(&self, path: &LocPath) -> Result<Meta, RemoteError> {
        self.meta(Ask::Stat { path: path.clone() }).await
    }

    async fn read(
        &self,
        path: &LocPath,
        version: &Version,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, RemoteError> {
        let len = len.min(MAX_READ_BYTES) as u64;
        let ask = Ask::Read { path: path.clone(), version: version.clone(), offset, len };
        let mut call = self.call(ask).await?;
        let mut bytes = Vec::new();
        loop {
            match call.next().await? {
                (Answer::Part, piece) if bytes.is_empty() => bytes = piece,
                (Answer::Part, piece) => bytes.extend_from_slice(&piece),
                _ => return Ok(bytes),
            }
        }
    }

    async fn create_file(
        &self,
        path: &LocPath,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError> {
        self.upload(path, None, source, meta).await
    }

    async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError> {
        self.upload(path, Some(version), source, meta).await
    }

    async fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Result<Meta, RemoteError> {
        self.meta(Ask::CreateFolder { path: path.clone(), meta: meta.into() }).await
    }

    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Result<Meta, RemoteError> {
        self.meta(Ask::CreateSymlink { path: path.clone(), target: target.to_vec() }).await
    }

    async fn create_link(
        &self,
        existing: &LocPath,
        version: &Version,
        path: &LocPath,
    ) -> Result<Meta, RemoteError> {
        let (existing, version, path) = (existing.clone(), version.clone(), path.clone());
        self.meta(Ask::CreateLink { existing, version, path }).await
    }

    async fn remove_file(&self, path: &LocPath, version: &Version) -> Result<(), RemoteError> {
        self.done(Ask::RemoveFile { path: path.clone(), version: version.clone() }).await
    }

    async fn remove_folder(&self, path: &LocPath) -> Result<(), RemoteError> {
        self.done(Ask::RemoveFolder { path: path.clone() }).await
    }

    async fn rename(
        &self,
        from: &LocPath,
        version: Option<&Version>,
        to: &LocPath,
    ) -> Result<Meta, RemoteError> {
        self.meta(Ask::Rename { from: from.clone(), version: version.cloned(), to: to.clone() }).await
    }

    async fn set_meta(
        &self,
        path: &LocPath,
        version: Option<&Version>,
        set: &SetMeta,
    ) -> Result<Meta, RemoteError> {
        self.meta(Ask::SetMeta { path: path.clone(), version: version.cloned(), set: set.into() }).await
    }

    async fn leftovers(&self, folder: &LocPath) -> Result<Vec<Listed>, RemoteError> {
        let mut call = self.call(Ask::Leftovers { folder: folder.clone() }).await?;
        match call.next().await?.0 {
            Answer::Entries { entries, .. } => {
                Ok(entries.into_iter().map(|(name, meta)| Listed { name, meta }).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The channel ends with the connection.
    async fn watch(&self, folder: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        let link = self.link().ok()?;
        let mut call = link.call(&Ask::Watch { folder: folder.clone() }, Vec::new()).await.ok()?;
        let Ok((Answer::Watching(true), _)) = call.next().await else {
            return None;
        };
        let (hints, receiver) = async_channel::bounded(QUEUED_HINTS);
        tokio::spawn(pass_hints(Arc::downgrade(&link), call, hints));
        Some(receiver)
    }

    /// A call like any other: how long the kernel may need for it is known to the helper's deadline.
    async fn probe(&self, _within: Duration) -> Result<(), RemoteError> {
        self.stat(&LocPath::root()).await.map(drop)
    }

    async fn lost(&self) -> RemoteError {
        match self.link() {
            Ok(link) => link.died().await,
            Err(error) => error,
        }
    }

    async fn disconnect(&self) {
        let _one = self.connecting.lock().await;
        let link = self.state().link.take();
        if let Some(link) = link {
            link.quiet().await;
            link.end(self.options.deadline).await;
        }
    }
}

/// Hands hints on. Where nobody takes them in time, "everything" stands for all that came.
async fn pass_hints(link: std::sync::Weak<Link>, mut call: Call, hints: async_channel::Sender<Hint>) {
    loop {
        let next = tokio::select! {
            next = call.next() => next,
            () = hints.closed() => break,
        };
        let Ok((Answer::Hints(found), _)) = next else {
            return;
        };
        if found.into_iter().any(|hint| hints.try_send(hint.into()).is_err()) {
            if hints.send(Hint::Everything).await.is_err() {
                break;
            }
            call.forget_queued();
        }
    }
    if let Some(link) = link.upgrade() {
        link.tell(&Ask::Unwatch { watch: call.id });
    }
}
