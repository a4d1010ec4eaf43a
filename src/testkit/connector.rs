//! Connecting: `fake://NAME` leads to the fake server of that name, and a real one may take several tries.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_engine::remote::{Connector, Remote, RemoteError};
use parking_lot::Mutex;

use crate::server::FakeServer;

/// Knows the servers of a simulation. `fake://user:secret@NAME/` is understood too, so that a test
/// can look for secrets where none may be.
#[derive(Clone, Default)]
pub struct FakeConnector {
    servers: Arc<Mutex<BTreeMap<String, FakeServer>>>,
}

impl FakeConnector {
    pub fn new() -> FakeConnector {
        FakeConnector::default()
    }

    #[must_use]
    pub fn with(self, server: &FakeServer) -> FakeConnector {
        self.add(server);
        self
    }

    pub fn add(&self, server: &FakeServer) {
        self.servers.lock().insert(server.name().to_owned(), server.clone());
    }

    fn find(&self, url: &str) -> Result<FakeServer, String> {
        let rest = url.strip_prefix("fake://").ok_or("the address does not begin with fake://")?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let name = host.trim_end_matches('/');
        let server = self.servers.lock().get(name).cloned();
        server.ok_or_else(|| format!("there is no server {name}"))
    }
}

impl Connector for FakeConnector {
    fn local_folder(&self, _url: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn check(&self, url: &str) -> Result<(), String> {
        self.find(url).map(drop)
    }

    fn public_url(&self, url: &str) -> String {
        let rest = url.strip_prefix("fake://").unwrap_or(url);
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split_once(':').map_or(user, |(user, _)| user);
                format!("fake://{user}@{host}")
            }
            None => url.to_owned(),
        }
    }

    fn remote(&self, url: &str, owner: &str) -> Result<Arc<dyn Remote>, String> {
        Ok(Arc::new(self.find(url)?.remote(owner)))
    }
}

/// Connects a real remote. On a machine so slow that the short deadline of a test passes, it is tried
/// again.
pub async fn connect(remote: &dyn Remote) {
    loop {
        match remote.connect().await {
            Ok(_) => return,
            Err(RemoteError::Gone { message, .. }) => eprintln!("again: {message}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Profile, SimWorld};

    #[test]
    fn leads_to_the_server_and_hides_the_secret() {
        let world = SimWorld::new(1);
        let server = FakeServer::new(&world, "nas", Profile::posix());
        let connector = FakeConnector::new().with(&server);
        assert_eq!(connector.check("fake://nas"), Ok(()));
        assert!(connector.check("fake://other").is_err());
        assert!(connector.check("http://nas").is_err());
        assert_eq!(connector.public_url("fake://me:pw@nas/"), "fake://me@nas/");
        let remote = connector.remote("fake://me:pw@nas/", "1").unwrap();
        assert!(world.run_until(remote.connect()).unwrap().exchange);
    }
}
