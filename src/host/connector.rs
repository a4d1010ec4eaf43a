//! The one place where the engine gets its remotes from.

use std::process::ExitCode;
use std::sync::Arc;

use holdfast_engine::remote::{Connector, Remote};

use crate::clash::Places;

/// What `Service` hands to the engine: the remotes' connector behind a guard.
pub fn connector(places: Places) -> Arc<dyn Connector> {
    Arc::new(Guarded {
        places,
        inner: Box::new(NoRemotes),
    })
}

/// The helper process of the remotes.
pub fn helper_main() -> ExitCode {
    eprintln!("holdfast: no remotes are built in");
    ExitCode::FAILURE
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

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        // A mount may have been moved into a location since it was added.
        match self.places.clash(url) {
            Some(why) => Err(why),
            None => self.inner.remote(url, owner),
        }
    }
}

/// Stands in until the remotes are here: refuses every URL.
struct NoRemotes;

impl Connector for NoRemotes {
    fn check(&self, _url: &str) -> Result<(), String> {
        Err("this kind of server is not built in".into())
    }

    fn public_url(&self, url: &str) -> String {
        url.to_owned()
    }

    fn remote(&self, _url: &str, _owner: &str) -> Result<Arc<dyn Remote>, String> {
        Err("this kind of server is not built in".into())
    }
}
