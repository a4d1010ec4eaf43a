//! The `sftp://` remote: what it takes to be a [`Remote`], on top of a session.
//!
//! Polled on a tokio runtime with time and I/O.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_engine::model::{LocPath, Meta, Version};
use holdfast_engine::remote::{
    Capabilities, Hint, Listed, Listing, NewMeta, Remote, RemoteError, SetMeta, Source,
};

use super::connect::connect;
use super::place::Place;
use super::read::{self, Range};
use super::refusal::with_way;
use super::session::{Session, lock};
use super::ssh::Target;
use super::status::refused;
use super::upload::Upload;
use super::{SftpOptions, attrs, list, names, url};
use crate::supply::Budget;
use crate::temp;

/// More than the engine ever asks for in one read.
const MAX_READ_BYTES: usize = 8 << 20;

/// A folder of a server that speaks SFTP over SSH.
pub struct SftpRemote {
    target: Target,
    owner: String,
    options: SftpOptions,
    state: Mutex<State>,
    /// One `connect` or `disconnect` at a time.
    connecting: tokio::sync::Mutex<()>,
    budget: Budget,
}

#[derive(Default)]
struct State {
    place: Option<Arc<Place>>,
    /// The number of the file system that was found first.
    file_system: Option<u64>,
}

impl SftpRemote {
    /// `owner` goes into temporary names: letters, digits, `_` and `-` only.
    pub fn new(url: &str, owner: &str, options: SftpOptions) -> Result<SftpRemote, String> {
        temp::check_owner(owner)?;
        Ok(SftpRemote {
            target: Target::new(options.command.clone(), url::parse(url)?),
            owner: owner.to_owned(),
            options,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
            budget: Budget::new(),
        })
    }

    fn place(&self) -> Result<Arc<Place>, RemoteError> {
        lock(&self.state).place.clone().ok_or_else(|| RemoteError::gone("the location is not connected"))
    }

    async fn start(&self) -> Result<Arc<Session>, RemoteError> {
        match Session::open(&self.target, self.options.deadline).await {
            Ok(session) => Ok(Arc::new(session)),
            Err(error) => Err(with_way(&self.target, error).await),
        }
    }

    async fn upload(
        &self,
        path: &LocPath,
        replaces: Option<&Version>,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Result<Meta, RemoteError> {
        let place = self.place()?;
        Upload { place: &place, budget: &self.budget, path, replaces, source, meta }.run().await
    }
}

#[async_trait]
impl Remote for SftpRemote {
    async fn connect(&self) -> Result<Capabilities, RemoteError> {
        let _one = self.connecting.lock().await;
        let (old, known) = {
            let mut state = lock(&self.state);
            (state.place.take(), state.file_system)
        };
        let alive = old.map(|place| place.session.clone()).filter(|session| session.is_alive());
        let connected = match alive {
            Some(session) => match connect(session.clone(), &self.target, &self.owner, known).await {
                // It ended without our having seen that yet.
                Err(RemoteError::Gone { .. }) if !session.is_alive() => None,
                other => Some(other?),
            },
            None => None,
        };
        let (place, file_system) = match connected {
            Some(connected) => connected,
            None => connect(self.start().await?, &self.target, &self.owner, known).await?,
        };
        if self.options.pretend_no_order {
            place.set_in_order(false);
        }
        let capabilities = place.can.capabilities(place.is_in_order());
        let mut state = lock(&self.state);
        state.place = Some(Arc::new(place));
        state.file_system = file_system;
        Ok(capabilities)
    }

    async fn list(&self, folder: &LocPath) -> Result<Listing, RemoteError> {
        list::list(&*self.place()?, folder).await
    }

    async fn stat(&self, path: &LocPath) -> Result<Meta, RemoteError> {
        let place = self.place()?;
        let look = async { place.look(path).await.map_err(refused) };
        if path.is_root() {
            return look.await?.meta();
        }
        let folder = Place::parent(path)?;
        let ((), seen) = futures::try_join!(place.way_to(&folder), look)?;
        seen.meta()
    }

    async fn read(
        &self,
        path: &LocPath,
        version: &Version,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, RemoteError> {
        let range = Range { path, version, offset, len: len.min(MAX_READ_BYTES) };
        read::read(&*self.place()?, &range).await
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
        names::create_folder(&*self.place()?, path, meta).await
    }

    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Result<Meta, RemoteError> {
        names::create_symlink(&*self.place()?, path, target).await
    }

    async fn create_link(
        &self,
        existing: &LocPath,
        version: &Version,
        path: &LocPath,
    ) -> Result<Meta, RemoteError> {
        names::create_link(&*self.place()?, existing, version, path).await
    }

    async fn remove_file(&self, path: &LocPath, version: &Version) -> Result<(), RemoteError> {
        names::remove_file(&*self.place()?, path, version).await
    }

    async fn remove_folder(&self, path: &LocPath) -> Result<(), RemoteError> {
        names::remove_folder(&*self.place()?, path).await
    }

    async fn rename(
        &self,
        from: &LocPath,
        version: Option<&Version>,
        to: &LocPath,
    ) -> Result<Meta, RemoteError> {
        names::rename(&*self.place()?, from, version, to).await
    }

    async fn set_meta(
        &self,
        path: &LocPath,
        version: Option<&Version>,
        set: &SetMeta,
    ) -> Result<Meta, RemoteError> {
        attrs::set(&*self.place()?, path, version, set).await
    }

    async fn leftovers(&self, folder: &LocPath) -> Result<Vec<Listed>, RemoteError> {
        list::leftovers(&*self.place()?, folder).await
    }

    /// A server of this kind tells nothing by itself.
    async fn watch(&self, _folder: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        None
    }

    async fn probe(&self, within: Duration) -> Result<(), RemoteError> {
        match self.place()?.session.probe(within).await {
            Ok(()) => Ok(()),
            Err(error) => Err(with_way(&self.target, error).await),
        }
    }

    async fn lost(&self) -> RemoteError {
        match self.place() {
            Ok(place) => place.session.died().await,
            Err(error) => error,
        }
    }

    async fn disconnect(&self) {
        let _one = self.connecting.lock().await;
        let place = lock(&self.state).place.take();
        if let Some(place) = place {
            place.session.quiet().await;
            place.session.end(self.options.deadline).await;
        }
    }
}
