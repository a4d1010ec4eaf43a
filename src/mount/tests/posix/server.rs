//! A server with an empty folder that takes nothing: all changes stay here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_engine::model::*;
use holdfast_engine::remote::*;

pub struct EmptyServer;

fn gone<T>() -> Result<T, RemoteError> {
    Err(RemoteError::gone("the server takes nothing"))
}

impl Connector for EmptyServer {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn public_url(&self, url: &str) -> String {
        url.to_owned()
    }

    fn local_folder(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn remote(&self, _: &str, _: &str) -> Result<Arc<dyn Remote>, String> {
        Ok(Arc::new(EmptyServer))
    }
}

#[async_trait]
impl Remote for EmptyServer {
    async fn connect(&self) -> Result<Capabilities, RemoteError> {
        Ok(Capabilities {
            exchange: true,
            atomic_replace: true,
            file_ids: true,
            symlinks: true,
            hard_links: true,
            modes: true,
            xattrs: true,
            set_times: true,
            time_step: Duration::from_nanos(1),
            ranged_write: true,
            case_sensitive: true,
            watches: true,
            confidence: Confidence::Sure,
            caveat: String::new(),
        })
    }

    async fn list(&self, folder: &LocPath) -> Result<Listing, RemoteError> {
        if folder.is_root() { Ok(Listing::default()) } else { Err(RemoteError::NotFound) }
    }

    async fn stat(&self, path: &LocPath) -> Result<Meta, RemoteError> {
        if !path.is_root() {
            return Err(RemoteError::NotFound);
        }
        Ok(Meta {
            kind: Kind::Folder,
            mode: 0o755,
            size: 0,
            mtime: Time::ZERO,
            link_target: None,
            xattrs: None,
            version: Version::new(b"root"),
            file_id: Some(1),
        })
    }

    async fn read(&self, _: &LocPath, _: &Version, _: u64, _: usize) -> Result<Vec<u8>, RemoteError> {
        gone()
    }

    async fn create_file(&self, _: &LocPath, _: Arc<dyn Source>, _: &NewMeta) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn replace_file(
        &self,
        _: &LocPath,
        _: &Version,
        _: Arc<dyn Source>,
        _: &NewMeta,
    ) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn create_folder(&self, _: &LocPath, _: &NewMeta) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn create_symlink(&self, _: &LocPath, _: &[u8]) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn create_link(&self, _: &LocPath, _: &Version, _: &LocPath) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn remove_file(&self, _: &LocPath, _: &Version) -> Result<(), RemoteError> {
        gone()
    }

    async fn remove_folder(&self, _: &LocPath) -> Result<(), RemoteError> {
        gone()
    }

    async fn rename(&self, _: &LocPath, _: Option<&Version>, _: &LocPath) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn set_meta(&self, _: &LocPath, _: Option<&Version>, _: &SetMeta) -> Result<Meta, RemoteError> {
        gone()
    }

    async fn leftovers(&self, _: &LocPath) -> Result<Vec<Listed>, RemoteError> {
        Ok(Vec::new())
    }

    async fn watch(&self, _: &LocPath) -> Option<async_channel::Receiver<Hint>> {
        None
    }

    async fn probe(&self, _: Duration) -> Result<(), RemoteError> {
        Ok(())
    }

    async fn disconnect(&self) {}
}
