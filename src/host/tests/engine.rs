//! A real engine behind a real bus, without a mount.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use holdfast_bus::{Client, Commands, Server, ServerOptions};
use holdfast_engine::fileops::Connection;
use holdfast_engine::remote::{Connector, Remote};
use holdfast_engine::{Engine, Options};
use holdfast_host::RealWorld;

struct NoServers;

impl Connector for NoServers {
    fn local_folder(&self, _url: &str) -> Option<PathBuf> {
        None
    }

    fn check(&self, _: &str) -> Result<(), String> {
        Err("no servers".into())
    }

    fn public_url(&self, url: &str) -> String {
        url.to_owned()
    }

    fn remote(&self, _: &str, _: &str) -> Result<Arc<dyn Remote>, String> {
        Err("no servers".into())
    }
}

#[test]
fn a_client_sees_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = Engine::start(
        Options {
            store: dir.path().join("store"),
            boot_id: [1; 16],
            default_owner: (0, 0),
            owner: Some((1000, 1000)),
            mount: Some("/nowhere/Holdfast".into()),
            connection: Connection { id: 1, lives: false },
        },
        Arc::new(RealWorld::new(runtime.handle().clone())),
        Arc::new(NoServers),
    )
    .unwrap();
    let options = ServerOptions { socket: dir.path().join("run/bus"), session_bus: false };
    let server = Server::start(Arc::new(engine.handle.clone()), &options).unwrap();
    async_io::block_on(async {
        let client = Client::connect(server.socket()).await.unwrap();
        let status = client.status().await.unwrap();
        assert_eq!(status.mount, b"/nowhere/Holdfast");
        assert!(status.locations.is_empty());
        assert!(client.location_add("nas", "file:///nowhere").await.is_err());
        assert!(client.conflicts(None).await.unwrap().is_empty());
        assert!(client.check(false).await.unwrap().ok);
    });
    server.stop();
    runtime.block_on(engine.handle.shut_down()).unwrap();
}
