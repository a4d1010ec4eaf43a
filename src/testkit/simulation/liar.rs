//! A remote that takes guards for granted: whatever is there is replaced.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_engine::model::{LocPath, Meta, Version};
use holdfast_engine::remote::{
    Capabilities, Connector, Hint, Listed, Listing, NewMeta, Remote, RemoteError, SetMeta, Source,
};

pub(super) struct LyingConnector(pub Arc<dyn Connector>);

impl Connector for LyingConnector {
    fn check(&self, url: &str) -> Result<(), String> {
        self.0.check(url)
    }
    fn public_url(&self, url: &str) -> String {
        self.0.public_url(url)
    }
    fn local_folder(&self, url: &str) -> Option<PathBuf> {
        self.0.local_folder(url)
    }
    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        Ok(Arc::new(Liar(self.0.remote(url, owner)?)))
    }
}

struct Liar(Arc<dyn Remote>);

type Answer<T> = Result<T, RemoteError>;

#[async_trait]
impl Remote for Liar {
    async fn connect(&self) -> Answer<Capabilities> {
        self.0.connect().await
    }
    async fn list(&self, folder: &LocPath) -> Answer<Listing> {
        self.0.list(folder).await
    }
    async fn stat(&self, path: &LocPath) -> Answer<Meta> {
        self.0.stat(path).await
    }
    async fn read(&self, path: &LocPath, version: &Version, offset: u64, len: usize) -> Answer<Vec<u8>> {
        self.0.read(path, version, offset, len).await
    }
    async fn create_file(&self, path: &LocPath, source: Arc<dyn Source>, meta: &NewMeta) -> Answer<Meta> {
        match self.0.create_file(path, source.clone(), meta).await {
            Err(RemoteError::Changed { .. }) => {
                let now = self.0.stat(path).await?.version;
                self.0.replace_file(path, &now, source, meta).await
            }
            answer => answer,
        }
    }
    async fn replace_file(
        &self,
        path: &LocPath,
        version: &Version,
        source: Arc<dyn Source>,
        meta: &NewMeta,
    ) -> Answer<Meta> {
        match self.0.replace_file(path, version, source.clone(), meta).await {
            Err(RemoteError::Changed { .. }) => {
                let now = self.0.stat(path).await?.version;
                self.0.replace_file(path, &now, source, meta).await
            }
            answer => answer,
        }
    }
    async fn create_folder(&self, path: &LocPath, meta: &NewMeta) -> Answer<Meta> {
        self.0.create_folder(path, meta).await
    }
    async fn create_symlink(&self, path: &LocPath, target: &[u8]) -> Answer<Meta> {
        self.0.create_symlink(path, target).await
    }
    async fn create_link(&self, existing: &LocPath, version: &Version, path: &LocPath) -> Answer<Meta> {
        self.0.create_link(existing, version, path).await
    }
    async fn remove_file(&self, path: &LocPath, version: &Version) -> Answer<()> {
        match self.0.remove_file(path, version).await {
            Err(RemoteError::Changed { .. }) => {
                let now = self.0.stat(path).await?.version;
                self.0.remove_file(path, &now).await
            }
            answer => answer,
        }
    }
    async fn remove_folder(&self, path: &LocPath) -> Answer<()> {
        self.0.remove_folder(path).await
    }
    async fn rename(&self, from: &LocPath, version: Option<&Version>, to: &LocPath) -> Answer<Meta> {
        self.0.rename(from, version, to).await
    }
    async fn set_meta(&self, path: &LocPath, version: Option<&Version>, set: &SetMeta) -> Answer<Meta> {
        self.0.set_meta(path, version, set).await
    }
    async fn leftovers(&self, folder: &LocPath) -> Answer<Vec<Listed>> {
        self.0.leftovers(folder).await
    }
    async fn watch(&self, folder: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        self.0.watch(folder).await
    }
    async fn probe(&self, within: std::time::Duration) -> Answer<()> {
        self.0.probe(within).await
    }
    async fn lost(&self) -> RemoteError {
        self.0.lost().await
    }
    async fn disconnect(&self) {
        self.0.disconnect().await;
    }
}
