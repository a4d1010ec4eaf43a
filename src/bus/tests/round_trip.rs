//! Each command and event arrives as it was sent.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use holdfast_bus::{Client, Commands, ConnectError, Server, ServerOptions};
use holdfast_engine::handle::{ErrorKind, Event, Revised};
use holdfast_engine::model::*;

use crate::fake::{self, Fake, target};

struct Served {
    fake: Arc<Fake>,
    client: Client,
    server: Server,
    _dir: tempfile::TempDir,
}

fn serve(fake: Fake) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let fake = Arc::new(fake);
    let options = ServerOptions { socket: dir.path().join("run/bus"), session_bus: false };
    let server = Server::start(fake.clone(), &options).unwrap();
    let client = async_io::block_on(Client::connect(server.socket())).unwrap();
    Served { fake, client, server, _dir: dir }
}

fn text(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn no_engine_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let connect = || async_io::block_on(Client::connect(&dir.path().join("bus"))).err();
    assert!(matches!(connect(), Some(ConnectError::NoEngine)));
    // Left by a killed engine.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("bus")).unwrap());
    assert!(matches!(connect(), Some(ConnectError::NoEngine)));
}

#[test]
fn reports_arrive_whole() {
    let served = serve(Fake::new());
    let (client, fake) = (&served.client, &*served.fake);
    async_io::block_on(async {
        assert_eq!(client.status().await, fake.status().await);
        assert_eq!(client.location_list().await, fake.location_list().await);
        assert_eq!(client.pins().await, fake.pins().await);
        assert_eq!(client.problems(None).await, fake.problems(None).await);
        assert_eq!(client.changes(None).await, fake.changes(None).await);
        assert_eq!(client.conflicts(None).await, fake.conflicts(None).await);
        let a = target(b"a");
        assert_eq!(client.states(&a).await, fake.states(&a).await);
        assert_eq!(client.why(&a).await, fake.why(&a).await);
        assert_eq!(client.stash_list(None).await, fake.stash_list(None).await);
        assert_eq!(client.history().await, fake.history().await);
        assert_eq!(client.check(true).await, fake.check(true).await);
        assert_eq!(client.evict(&a).await, Ok(99));
        assert_eq!(client.stash_restore(StashId(1), None).await, Ok(target(b"old\xff")));
        assert_eq!(client.stash_restore(StashId(1), Some(&a)).await, Ok(a));
    });
}

#[test]
fn commands_arrive_as_they_were_given() {
    let served = serve(Fake::new());
    let client = &served.client;
    async_io::block_on(async {
        let limit = Some(Duration::from_millis(1500));
        assert_eq!(client.sync(Some("nas"), true, limit).await, Ok(SyncOutcome::NeedsPerson));
        client.sync(None, false, None).await.unwrap();
        client.offline(None).await.unwrap();
        client.undo(None).await.unwrap();
        client.undo(Some(HistoryId(3))).await.unwrap();
        client.stash_drop(StashId(4)).await.unwrap();
        client.pin(&target(b"a b"), false).await.unwrap();
    });
    assert_eq!(
        served.fake.asked(),
        [
            "sync Some(\"nas\") true Some(1.5s)",
            "sync None false None",
            "offline None",
            "undo None",
            "undo Some(HistoryId(3))",
            "drop 4",
            "pin nas:a b false",
        ]
    );
}

#[test]
fn decisions_arrive_as_they_were_made() {
    let served = serve(Fake::new());
    let under = Selection::Under {
        folder: target(b"src"),
        pattern: Some(b"*.o".to_vec()),
        kind: Some(ConflictKind::EditEdit),
    };
    let paths = Selection::Paths(vec![target(b"\xff")]);
    async_io::block_on(async {
        let client = &served.client;
        client.resolve(&under, &Choice::KeepNewest, true).await.unwrap();
        let reports = client.resolve(&paths, &Choice::With(ContentId(7)), false).await.unwrap();
        assert!(reports[0].done && reports[0].kind == ConflictKind::Cycle);
    });
    assert_eq!(
        served.fake.asked(),
        [format!("resolve {under:?} KeepNewest true"), format!("resolve {paths:?} With(ContentId(7)) false"),]
    );
}

#[test]
fn errors_keep_kind_and_sentence() {
    let served = serve(Fake::new());
    async_io::block_on(async {
        let error = served.client.location_add("nas", "u").await.unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (ErrorKind::Refused, "it is there already"));
        let error = served.client.online(None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Offline);
        let error = served.client.location_set("nas", "k", "v").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
    });
}

#[test]
fn contents_travel_as_descriptors() {
    let served = serve(Fake::new());
    async_io::block_on(async {
        let client = &served.client;
        let server = client.open_state(&target(b"a"), Side::Server).await.unwrap();
        assert_eq!(text(server), "server");
        let again = client.stash_open(StashId(1)).await.unwrap();
        assert_eq!(client.add_content(again).await, Ok(ContentId(7)));
    });
}

#[test]
fn a_path_in_the_mount_is_understood() {
    let served = serve(Fake::new());
    async_io::block_on(async {
        let found = served.client.target_in_mount(b"nas/x\xfe").await;
        assert_eq!(found, Ok(target(b"x\xfe")));
    });
}

#[test]
fn a_long_call_holds_nobody_up() {
    let served = serve(Fake::new());
    async_io::block_on(async {
        let a = target(b"a");
        let pin = Box::pin(served.client.pin(&a, true));
        let status = Box::pin(async {
            for _ in 0..100 {
                served.client.status().await.unwrap();
            }
        });
        let Either::Right(((), pin)) = select(pin, status).await else {
            panic!("the pin is still under way");
        };
        served.fake.present.0.send(()).await.unwrap();
        pin.await.unwrap();
    });
}

#[test]
fn a_list_longer_than_a_page_arrives_whole() {
    let served = serve(Fake { conflict_count: 25_001, ..Fake::new() });
    let conflicts = async_io::block_on(served.client.conflicts(None)).unwrap();
    assert_eq!(conflicts.len(), 25_001);
}

#[test]
fn every_event_arrives() {
    let served = serve(Fake::new());
    let events = [
        Event::Location(fake::location()),
        Event::LocationRemoved("nas".into()),
        Event::Pin(fake::pin()),
        Event::Unpinned(target(b"\xff")),
        Event::Change(fake::change()),
        Event::ChangeDone(4),
        Event::Conflict(fake::conflict(5)),
        Event::ConflictClosed(ConflictId(6)),
        Event::Problem(fake::problem()),
        Event::ProblemClosed(ProblemId(7)),
        Event::Lost,
    ];
    async_io::block_on(async {
        let receiver = served.client.subscribe().await.unwrap();
        for (revision, event) in (0..).zip(events) {
            let sent = Revised { revision, event };
            served.fake.events.0.send(sent.clone()).await.unwrap();
            assert_eq!(receiver.recv().await, Ok(sent));
        }
    });
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    let served = serve(Fake::new());
    async_io::block_on(async {
        let receiver = served.client.subscribe().await.unwrap();
        for revision in 0..20_000 {
            let event = Event::ChangeDone(revision);
            served.fake.events.0.send(Revised { revision, event }).await.unwrap();
        }
        while !served.fake.events.1.is_empty() {
            served.client.status().await.unwrap();
        }
        assert_eq!(receiver.recv().await.unwrap().revision, 0);
    });
}

#[test]
fn clients_see_the_engine_go() {
    let served = serve(Fake::new());
    let Served { client, server, .. } = served;
    server.stop();
    async_io::block_on(client.closed());
    let error = async_io::block_on(client.status()).unwrap_err();
    assert_eq!(error.text, "the engine has gone away");
}

#[test]
fn a_call_under_way_ends_with_the_engine() {
    let Served { client, server, .. } = serve(Fake::new());
    async_io::block_on(async {
        let a = target(b"a");
        let pin = Box::pin(client.pin(&a, true));
        let Either::Right((_, pin)) = select(pin, Box::pin(client.status())).await else {
            panic!("the pin is still under way");
        };
        server.stop();
        assert_eq!(pin.await.unwrap_err().text, "the engine has gone away");
    });
}

/// Threads of this process that zbus runs connections on.
fn connection_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            name.starts_with("zbus")
        })
        .count()
}

#[test]
fn nothing_is_left_of_a_client_that_went() {
    let served = serve(Fake::new());
    let before = connection_threads();
    async_io::block_on(async {
        for _ in 0..40 {
            let client = Client::connect(served.server.socket()).await.unwrap();
            drop(client.subscribe().await.unwrap());
            // A wait that nobody will hear the end of.
            let a = target(b"a");
            let pin = Box::pin(client.pin(&a, true));
            assert!(matches!(select(pin, Box::pin(client.status())).await, Either::Right(_)));
        }
    });
    // Other tests come and go beside this one, with a few connections each.
    let mut after = connection_threads();
    for _ in 0..100 {
        if after <= before + 20 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
        after = connection_threads();
    }
    panic!("{before} threads before, {after} after");
}

#[test]
fn a_socket_may_lie_deep() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("d".repeat(100)).join("run");
    let options = ServerOptions { socket: folder.join("bus"), session_bus: false };
    let server = Server::start(Arc::new(Fake::new()), &options).unwrap();
    assert!(async_io::block_on(Client::connect(server.socket())).is_ok());
    server.stop();
    assert!(!folder.join("bus").exists());
}
