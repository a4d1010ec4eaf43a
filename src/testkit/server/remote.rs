//! One connection to a fake server, with the face that the engine knows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_engine::model::{Kind, LocPath, Meta, Name, Version};
use holdfast_engine::remote::{
    Capabilities, Hint, Listed, Listing, NewMeta, Remote, RemoteError, SetMeta, Source, TEMP_PREFIX,
};

use super::call::{Call, Link};
use super::tree::{Body, Ino, TreeError};
use super::{FakeServer, Faults, State, Watcher};

type Answer<T> = Result<T, RemoteError>;

/// Made by [`FakeServer::remote`]; not connected at first.
pub struct FakeRemote {
    link: Arc<Link>,
}

impl FakeRemote {
    pub(super) fn new(server: FakeServer, owner: &str) -> FakeRemote {
        FakeRemote { link: Arc::new(Link::new(server, owner)) }
    }

    /// A call that has its effect in one step.
    async fn step<T: Send + 'static>(
        &self,
        name: &'static str,
        about: String,
        work: impl FnOnce(&Call) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        self.link.call(name, about, 0, |call| async move { work(&call) }).await
    }
}

#[async_trait]
impl Remote for FakeRemote {
    async fn connect(&self) -> Answer<Capabilities> {
        self.link.connect().await?;
        Ok(self.link.server.profile().capabilities)
    }

    async fn list(&self, folder: &LocPath) -> Answer<Listing> {
        let path = folder.as_bytes().to_vec();
        self.step("list", folder.to_string(), move |call| {
            let state = call.link.server.inner.state.lock();
            let ino = state.folder_to_list(&path)?;
            state.listing(ino)
        })
        .await
    }

    async fn stat(&self, path: &LocPath) -> Answer<Meta> {
        let at = path.as_bytes().to_vec();
        self.step("stat", path.to_string(), move |call| {
            let state = call.link.server.inner.state.lock();
            let ino = state.reach(&at, false)?;
            Ok(state.tree.meta(ino, &state.profile))
        })
        .await
    }

    async fn read(&self, path: &LocPath, version: &Version, offset: u64, len: usize) -> Answer<Vec<u8>> {
        assert!(len <= 8 << 20, "at most 8 MiB are asked for at once");
        let (at, version) = (path.as_bytes().to_vec(), version.clone());
        let about = format!("{path} {offset}+{len}");
        self.link
            .call("read", about, len as u64, move |call| async move {
                let bytes = call.link.server.inner.state.lock().read(&at, &version, offset, len)?;
                call.receive(bytes.len() as u64).await;
                // Still that version at the end of the read?
                call.link.server.inner.state.lock().read(&at, &version, offset, 0)?;
                Ok(bytes)
            })
            .await
    }

    async fn create_file(&self, path: &LocPath, source: Arc<dyn Source>, meta: &NewMeta) -> Answer<Meta> {
        let (at, meta, size) = (path.clone(), meta.clone(), source.size());
        self.link
            .call("create", path.to_string(), size, move |call| async move {
                call.create_file(&at, source, &meta).await
            })
            .await
    }

    async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Answer<Meta> {
        let (at, version, meta, size) = (path.clone(), version.clone(), meta.clone(), source.size());
        self.link
            .call("replace", path.to_string(), size, move |call| async move {
                call.replace_file(&at, &version, source, &meta).await
            })
            .await
    }

    async fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Answer<Meta> {
        let (at, meta) = (path.clone(), meta.clone());
        self.step("mkdir", path.to_string(), move |call| call.create_folder(&at, &meta)).await
    }

    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Answer<Meta> {
        let (at, target) = (path.clone(), target.to_vec());
        self.step("symlink", path.to_string(), move |call| call.create_symlink(&at, &target)).await
    }

    async fn create_link(&self, existing: &LocPath, version: &Version, path: &LocPath) -> Answer<Meta> {
        let (from, version, at) = (existing.clone(), version.clone(), path.clone());
        let about = format!("{existing} as {path}");
        self.step("link", about, move |call| call.create_link(&from, &version, &at)).await
    }

    async fn remove_file(&self, path: &LocPath, version: &Version) -> Answer<()> {
        let (at, version) = (path.clone(), version.clone());
        self.link
            .call(
                "remove",
                path.to_string(),
                0,
                move |call| async move { call.remove_file(&at, &version).await },
            )
            .await
    }

    async fn remove_folder(&self, path: &LocPath) -> Answer<()> {
        let at = path.clone();
        self.step("rmdir", path.to_string(), move |call| call.remove_folder(&at)).await
    }

    async fn rename(&self, from: &LocPath, version: Option<&Version>, to: &LocPath) -> Answer<Meta> {
        let (at, version, new) = (from.clone(), version.cloned(), to.clone());
        let about = format!("{from} to {to}");
        self.step("rename", about, move |call| call.rename(&at, version.as_ref(), &new)).await
    }

    async fn set_meta(&self, path: &LocPath, version: Option<&Version>, set: &SetMeta) -> Answer<Meta> {
        let (at, version, set) = (path.clone(), version.cloned(), set.clone());
        self.step("attributes", path.to_string(), move |call| call.set_meta(&at, version.as_ref(), &set))
            .await
    }

    async fn leftovers(&self, folder: &LocPath) -> Answer<Vec<Listed>> {
        let path = folder.as_bytes().to_vec();
        self.step("leftovers", folder.to_string(), move |call| {
            let state = call.link.server.inner.state.lock();
            let ino = state.folder_to_list(&path)?;
            Ok(state.temporaries(ino, &temp_prefix(&call.link.owner)))
        })
        .await
    }

    async fn watch(&self, folder: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        let connection = self.link.serial()?;
        let mut state = self.link.server.inner.state.lock();
        if !state.profile.capabilities.watches {
            return None;
        }
        let (hints, receiver) = async_channel::unbounded();
        let folder = folder.clone();
        state.watchers.push(Watcher { folder, connection, hints });
        Some(receiver)
    }

    async fn probe(&self, within: Duration) -> Answer<()> {
        self.link.probe(within).await
    }

    async fn disconnect(&self) {
        self.link.disconnect().await;
    }
}

/// How the temporary names of one owner begin.
pub(super) fn temp_prefix(owner: &str) -> Vec<u8> {
    [TEMP_PREFIX, owner.as_bytes(), b"-"].concat()
}

pub(super) fn refusal(error: TreeError) -> RemoteError {
    match error {
        TreeError::NotFound | TreeError::NotFolder | TreeError::IsFolder => RemoteError::NotFound,
        TreeError::Exists => RemoteError::Changed { now: None },
        TreeError::NotEmpty => RemoteError::NotEmpty,
        TreeError::IntoItself => RemoteError::Forbidden("a folder cannot go into itself".into()),
        TreeError::BadName(why) => RemoteError::BadName(why.into()),
    }
}

impl State {
    /// What is at a path that may be looked at (or changed).
    pub(super) fn reach(&self, path: &[u8], change: bool) -> Answer<Ino> {
        self.may(path, change)?;
        self.tree.find(path, &self.profile).map_err(refusal)
    }

    /// Whether what is at the path may be looked at or changed.
    pub(super) fn may(&self, path: &[u8], change: bool) -> Answer<()> {
        let folder = super::tree::split(path).map(|(folder, _)| folder);
        let within = |paths| folder.as_deref().is_some_and(|folder| Faults::lies_in(paths, folder));
        if within(&self.faults.forbidden) {
            return Err(RemoteError::Forbidden("the folder may not be entered".into()));
        }
        if change && within(&self.faults.read_only) {
            return Err(RemoteError::Forbidden("nothing may be changed in this folder".into()));
        }
        Ok(())
    }

    fn folder_to_list(&self, path: &[u8]) -> Answer<Ino> {
        let ino = self.reach(path, false)?;
        if self.faults.forbidden.contains(path) {
            return Err(RemoteError::Forbidden("the folder may not be listed".into()));
        }
        if self.faults.unreadable.contains(path) {
            return Err(RemoteError::Io("the folder cannot be read".into()));
        }
        self.tree.folder(ino).map_err(refusal)?;
        Ok(ino)
    }

    fn listing(&self, folder: Ino) -> Answer<Listing> {
        let mut listing = Listing::default();
        for (bytes, ino) in self.tree.folder(folder).map_err(refusal)?.values() {
            if bytes.starts_with(TEMP_PREFIX) {
                continue;
            }
            match (Name::new(bytes), &self.tree.node(*ino).body) {
                (Err(error), _) => listing.refused.push((bytes.clone(), error.to_string())),
                (_, Body::Special(_)) => {
                    let why = "it is neither a file nor a folder nor a link".to_string();
                    listing.refused.push((bytes.clone(), why));
                }
                (Ok(name), _) => {
                    let meta = self.tree.meta(*ino, &self.profile);
                    listing.entries.push(Listed { name, meta });
                }
            }
        }
        Ok(listing)
    }

    pub(super) fn temporaries(&self, folder: Ino, prefix: &[u8]) -> Vec<Listed> {
        let Ok(entries) = self.tree.folder(folder) else {
            return Vec::new();
        };
        let ours = entries.values().filter(|(name, _)| name.starts_with(prefix));
        ours.filter_map(|(name, ino)| {
            let meta = self.tree.meta(*ino, &self.profile);
            Some(Listed { name: Name::new(name).ok()?, meta })
        })
        .collect()
    }

    /// `Changed` unless exactly that version is at the path.
    pub(super) fn guarded(&self, path: &[u8], version: &Version) -> Answer<Ino> {
        let ino = self.reach(path, true)?;
        self.is_version(ino, version)?;
        Ok(ino)
    }

    pub(super) fn is_version(&self, ino: Ino, version: &Version) -> Answer<()> {
        if self.tree.version(ino, &self.profile) == *version {
            return Ok(());
        }
        Err(self.changed(ino))
    }

    pub(super) fn changed(&self, ino: Ino) -> RemoteError {
        let now = Some(Box::new(self.tree.meta(ino, &self.profile)));
        RemoteError::Changed { now }
    }

    fn read(&self, path: &[u8], version: &Version, offset: u64, len: usize) -> Answer<Vec<u8>> {
        let ino = self.reach(path, false)?;
        if self.faults.unreadable.contains(path) {
            return Err(RemoteError::Io("the disk reports an error".into()));
        }
        self.is_version(ino, version)?;
        let meta = self.tree.meta(ino, &self.profile);
        match &self.tree.node(ino).body {
            Body::File(content) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let end = start.saturating_add(len).min(content.len());
                Ok(content[start..end].to_vec())
            }
            _ if meta.kind == Kind::File => unreachable!("a file has content"),
            _ => Err(RemoteError::Changed { now: Some(Box::new(meta)) }),
        }
    }
}
