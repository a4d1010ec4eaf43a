use std::time::Duration;

use holdfast_engine::model::{Meta, OfflineReason, Version};
use holdfast_engine::remote::{NewMeta, Remote, RemoteError, SetMeta};
use parking_lot::Mutex;

use super::*;
use crate::BytesSource;

struct Case {
    world: SimWorld,
    server: FakeServer,
    remote: FakeRemote,
}

fn case(seed: u64, profile: Profile) -> Case {
    let world = SimWorld::new(seed);
    let server = FakeServer::new(&world, "nas", profile);
    let remote = server.remote("me");
    world.run_until(remote.connect()).unwrap();
    Case { world, server, remote }
}

fn path(text: &str) -> LocPath {
    LocPath::parse(text.as_bytes()).unwrap()
}

fn meta() -> NewMeta {
    NewMeta { mode: 0o640, mtime: Time::new(1_700_000_001, 5), xattrs: None }
}

impl Case {
    fn stat(&self, at: &str) -> Result<Meta, RemoteError> {
        self.world.run_until(self.remote.stat(&path(at)))
    }
    fn version(&self, at: &str) -> Version {
        self.stat(at).unwrap().version
    }
    fn create(&self, at: &str, bytes: &str) -> Result<Meta, RemoteError> {
        self.world.run_until(self.remote.create_file(&path(at), BytesSource::new(bytes), &meta()))
    }
    fn replace(&self, at: &str, version: &Version, bytes: &str) -> Result<Meta, RemoteError> {
        self.world.run_until(self.remote.replace_file(&path(at), version, BytesSource::new(bytes), &meta()))
    }
    fn content(&self, at: &str) -> Option<String> {
        self.server.user().content(at).map(|c| String::from_utf8(c).unwrap())
    }
}

fn is_gone<T: std::fmt::Debug>(answer: &Result<T, RemoteError>) -> bool {
    matches!(answer, Err(RemoteError::Gone { .. }))
}

#[test]
fn guards_hold_on_every_kind_of_server() {
    for (name, profile) in Profile::all() {
        let case = case(1, profile);
        let made = case.create("a", "one").unwrap();
        assert_eq!(made.version, case.version("a"), "{name}: what was answered is what is there");
        assert!(matches!(case.create("a", "two"), Err(RemoteError::Changed { now: Some(_) })), "{name}");
        case.server.user().write("a", "theirs");
        let answer = case.replace("a", &made.version, "mine");
        assert!(matches!(answer, Err(RemoteError::Changed { now: Some(_) })), "{name}");
        let removed = case.world.run_until(case.remote.remove_file(&path("a"), &made.version));
        assert!(matches!(removed, Err(RemoteError::Changed { .. })), "{name}");
        let read = case.world.run_until(case.remote.read(&path("a"), &made.version, 0, 10));
        assert!(matches!(read, Err(RemoteError::Changed { .. })), "{name}");
        let renamed = case.world.run_until(case.remote.rename(&path("a"), Some(&made.version), &path("b")));
        assert!(matches!(renamed, Err(RemoteError::Changed { .. })), "{name}");
        assert_eq!(case.content("a").as_deref(), Some("theirs"), "{name}");
        let replaced = case.replace("a", &case.version("a"), "mine").unwrap();
        assert_eq!(replaced, case.stat("a").unwrap(), "{name}");
        assert_eq!(case.content("a").as_deref(), Some("mine"), "{name}");
        assert_eq!(case.server.user().temporaries(), [], "{name}");
        case.world.run_until(case.remote.remove_file(&path("a"), &replaced.version)).unwrap();
        assert_eq!(case.stat("a"), Err(RemoteError::NotFound), "{name}");
    }
}

#[test]
fn a_quick_edit_of_equal_size_is_seen_unless_the_profile_hides_it() {
    for hides in [false, true] {
        let mut profile = Profile::sshfs_like();
        profile.hides_quick_edits = hides;
        let case = case(1, profile);
        case.server.user().write("a", "one");
        let before = case.version("a");
        case.server.user().write("a", "two");
        assert_eq!(case.version("a") == before, hides);
        assert_eq!(case.server.hits().len(), usize::from(hides));
    }
}

#[test]
fn a_race_at_the_swap_ends_as_the_profile_says() {
    let race = |profile| {
        let case = case(5, profile);
        let made = case.create("a", "one").unwrap();
        case.server.race_at("a", |user| {
            user.write("a", "theirs");
        });
        let answer = case.replace("a", &made.version, "mine");
        (case, answer)
    };
    let (posix, answer) = race(Profile::posix());
    assert!(matches!(answer, Err(RemoteError::Changed { .. })));
    assert_eq!(posix.content("a").as_deref(), Some("theirs"));
    assert_eq!(posix.server.hits(), []);

    let (fat, answer) = race(Profile::fat_like());
    let Err(RemoteError::Displaced { kept, now }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(*now, fat.stat("a").unwrap());
    assert_eq!(fat.content("a").as_deref(), Some("mine"));
    let leftovers = fat.world.run_until(fat.remote.leftovers(&LocPath::root())).unwrap();
    assert_eq!(leftovers[0].name, kept);
    let kept = LocPath::root().join(&kept);
    let read = fat.world.run_until(fat.remote.read(&kept, &leftovers[0].meta.version, 0, 100));
    assert_eq!(read.unwrap(), b"theirs");
    assert!(matches!(&fat.server.hits()[..], [Hit::Displaced { .. }]));

    let (sshfs, answer) = race(Profile::sshfs_like());
    assert!(answer.is_ok());
    assert_eq!(sshfs.content("a").as_deref(), Some("mine"));
    assert!(matches!(&sshfs.server.hits()[..], [Hit::Lost { content, .. }] if **content == b"theirs"));
}

#[test]
fn a_lost_answer_means_done_and_a_break_means_not_done() {
    let case = case(1, Profile::posix());
    case.server.faults(|f| f.lost_answers = 1000);
    assert!(is_gone(&case.create("a", "one")));
    assert_eq!(case.content("a").as_deref(), Some("one"));
    case.server.faults(|f| (f.lost_answers, f.breaks) = (0, 1000));
    assert!(is_gone(&case.stat("a")), "the old connection is dead");
    assert!(is_gone(&case.world.run_until(case.remote.connect())));
    case.server.faults(|f| f.breaks = 0);
    case.world.run_until(case.remote.connect()).unwrap();
    case.server.faults(|f| f.breaks = 1000);
    assert!(is_gone(&case.create("b", "one")));
    assert_eq!(case.content("b"), None);
}

#[test]
fn a_line_that_is_down_says_why_and_needs_a_new_connection() {
    let case = case(1, Profile::posix());
    case.server.line(Line::Down(OfflineReason::SignInNeeded));
    let reason = |answer| match answer {
        Err(RemoteError::Gone { reason, .. }) => Some(reason),
        _ => None,
    };
    assert_eq!(reason(case.stat("")), Some(OfflineReason::SignInNeeded));
    case.server.line(Line::Up);
    assert_eq!(reason(case.stat("")), Some(OfflineReason::ServerGone));
    case.world.run_until(case.remote.connect()).unwrap();
    case.stat("").unwrap();
}

#[test]
fn a_broken_upload_leaves_old_content_and_a_temporary_name() {
    let case = case(1, Profile::posix());
    let version = case.create("a", "old").unwrap().version;
    let (world, server) = (case.world.clone(), case.server.clone());
    case.world.spawn(Box::pin(async move {
        world.sleep(Duration::from_millis(60)).await;
        server.line(Line::Down(OfflineReason::NoNetwork));
    }));
    let source = BytesSource::new(vec![7; 20 << 20]);
    let answer = case.world.run_until(case.remote.replace_file(&path("a"), &version, source, &meta()));
    assert!(is_gone(&answer));
    assert_eq!(case.content("a").as_deref(), Some("old"));
    assert_eq!(case.server.user().temporaries().len(), 1);
    case.server.line(Line::Up);
    case.world.run_until(case.remote.connect()).unwrap();
    let listing = case.world.run_until(case.remote.list(&LocPath::root())).unwrap();
    assert_eq!(listing.entries.len(), 1, "temporary names are hidden");
    assert_eq!(case.world.run_until(case.remote.leftovers(&LocPath::root())).unwrap().len(), 1);
}

#[test]
fn a_line_that_breaks_on_the_way_leaves_it_done_or_not() {
    let mut done = std::collections::BTreeSet::new();
    for break_after_ms in [1, 3, 5, 7, 9, 11, 13, 15, 17] {
        let mut profile = Profile::dav_like();
        profile.latency = Duration::from_millis(10)..Duration::from_millis(11);
        let case = case(1, profile);
        let (world, server) = (case.world.clone(), case.server.clone());
        case.world.spawn(Box::pin(async move {
            world.sleep(Duration::from_millis(break_after_ms)).await;
            server.line(Line::Down(OfflineReason::NoNetwork));
        }));
        let (at, meta) = (path("d"), meta());
        assert!(is_gone(&case.world.run_until(case.remote.create_folder(&at, &meta))));
        case.world.run_until_idle(Duration::from_secs(1));
        let is_there = case.server.user().exists("d");
        assert_eq!(is_there, break_after_ms > 10, "the call arrives after 10 ms");
        done.insert(is_there);
    }
    assert_eq!(done.len(), 2);
}

#[test]
fn a_frozen_line_ends_calls_after_the_deadline() {
    let case = case(1, Profile::posix());
    case.server.line(Line::Frozen);
    let before = case.world.elapsed();
    assert!(is_gone(&case.create("a", "one")));
    let took = case.world.elapsed() - before;
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    assert!(is_gone(&case.world.run_until(case.remote.connect())));
    case.server.line(Line::Up);
    case.world.run_until(case.remote.connect()).unwrap();
}

#[test]
fn calls_run_at_once() {
    let case = case(1, Profile::dav_like());
    case.server.user().write("a", "x");
    let before = case.world.elapsed();
    let at = path("a");
    let all = futures::future::join_all((0..100).map(|_| case.remote.stat(&at)));
    assert!(case.world.run_until(all).iter().all(Result::is_ok));
    assert!(case.world.elapsed() - before < Duration::from_millis(300));
}

#[test]
fn trouble_at_one_place_stays_there() {
    let case = case(1, Profile::posix());
    case.server.user().write("secret/a", "1").write("open/b", "22").write("c", "3");
    case.server.faults(|f| {
        f.forbidden.insert(b"secret".to_vec());
        f.unreadable.insert(b"c".to_vec());
        f.capacity = Some(10);
    });
    let list = |at: &str| case.world.run_until(case.remote.list(&path(at)));
    assert!(matches!(list("secret"), Err(RemoteError::Forbidden(_))));
    assert_eq!(list("").unwrap().entries.len(), 3, "it is there, though it cannot be entered");
    assert!(matches!(case.stat("secret/a"), Err(RemoteError::Forbidden(_))));
    let version = case.version("c");
    let read = case.world.run_until(case.remote.read(&path("c"), &version, 0, 10));
    assert!(matches!(read, Err(RemoteError::Io(_))));
    assert!(matches!(case.create("d", "0123456789"), Err(RemoteError::NoSpace(_))));
    assert_eq!(case.server.user().temporaries(), []);
    case.create("open/d", "0").unwrap();
}

#[test]
fn an_emptied_root_is_told_or_not() {
    for told in [false, true] {
        let case = case(1, Profile::posix());
        case.server.user().write("a", "1");
        case.server.empty_root(told);
        assert_eq!(case.world.run_until(case.remote.list(&LocPath::root())).unwrap().entries, []);
        assert_eq!(is_gone(&case.world.run_until(case.remote.connect())), told);
        case.server.restore_root();
        assert_eq!(case.content("a").as_deref(), Some("1"));
    }
}

#[test]
fn only_changed_ranges_travel() {
    let case = case(1, Profile::posix());
    let mut bytes = vec![1; 1 << 20];
    case.server.user().write("a", &bytes);
    let version = case.version("a");
    bytes[500..600].fill(2);
    let source = BytesSource::changed(&bytes, std::iter::once(500..600).collect());
    let before = case.server.traffic().bytes_up;
    case.world.run_until(case.remote.replace_file(&path("a"), &version, source, &meta())).unwrap();
    assert_eq!(case.server.traffic().bytes_up - before, 100);
    assert_eq!(case.server.user().content("a").unwrap(), bytes);
}

#[test]
fn a_name_in_another_case_is_the_same_one() {
    let case = case(1, Profile::fat_like());
    case.create("Ä.txt", "1").unwrap();
    assert!(matches!(case.create("ä.TXT", "2"), Err(RemoteError::Changed { .. })));
    assert!(matches!(case.create("a:b", "2"), Err(RemoteError::BadName(_))));
    let version = case.version("Ä.txt");
    case.world.run_until(case.remote.rename(&path("Ä.txt"), Some(&version), &path("ä.txt"))).unwrap();
    let listing = case.world.run_until(case.remote.list(&LocPath::root())).unwrap();
    assert_eq!(listing.entries[0].name.as_bytes(), "ä.txt".as_bytes());
}

#[test]
fn a_headstrong_server_changes_modes_and_times() {
    let case = case(1, Profile::posix().headstrong());
    let new = NewMeta { mode: 0o666, ..meta() };
    let made =
        case.world.run_until(case.remote.create_file(&path("a"), BytesSource::new("x"), &new)).unwrap();
    assert_eq!(made.mode, 0o644);
    case.world.run_until(case.world.sleep(Duration::from_secs(5)));
    let later = case.stat("a").unwrap();
    assert!(later.mtime != made.mtime && later.version != made.version);
    assert_eq!(case.world.run_until_idle(Duration::from_secs(60)), crate::Idle::Quiet, "only once");
}

#[test]
fn hints_tell_the_folder() {
    let case = case(1, Profile::posix());
    case.server.user().mkdir("sub/deep");
    let hints = case.world.run_until(case.remote.watch(&path("sub"))).unwrap();
    case.server.user().write("other", "1").write("sub/deep/x", "1");
    assert_eq!(hints.try_recv(), Ok(Hint::Folder(path("sub/deep"))));
    assert!(hints.try_recv().is_err());
    case.server.line(Line::Down(OfflineReason::NoNetwork));
    assert!(hints.is_closed(), "a watch ends with its connection");
}

#[test]
fn what_cannot_be_had_is_told_and_not_absent() {
    let case = case(1, Profile::posix());
    let action = UserAction::Special { path: b"pipe".to_vec(), mode: 0o010_644 };
    case.server.user().apply(&action).unwrap();
    case.server.user().write("x".repeat(300), "1").write("ok", "1");
    let listing = case.world.run_until(case.remote.list(&LocPath::root())).unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.refused.len(), 2);
}

#[test]
fn links_attributes_and_folders() {
    let case = case(1, Profile::posix());
    let made = case.create("a", "1").unwrap();
    let linked =
        case.world.run_until(case.remote.create_link(&path("a"), &made.version, &path("b"))).unwrap();
    assert_eq!(linked.file_id, made.file_id);
    let set = SetMeta { mode: Some(0o600), ..SetMeta::default() };
    let changed = case.world.run_until(case.remote.set_meta(&path("b"), Some(&made.version), &set)).unwrap();
    assert_eq!((changed.mode, case.stat("a").unwrap().mode), (0o600, 0o600));
    assert_ne!(changed.version, made.version);
    assert!(matches!(
        case.world.run_until(case.remote.set_meta(&path("b"), None, &set)),
        Err(RemoteError::Changed { .. })
    ));
    case.world.run_until(case.remote.create_folder(&path("d"), &meta())).unwrap();
    case.world.run_until(case.remote.rename(&path("b"), Some(&changed.version), &path("d/b"))).unwrap();
    let busy = case.world.run_until(case.remote.remove_folder(&path("d")));
    assert_eq!(busy, Err(RemoteError::NotEmpty));
    let into = case.world.run_until(case.remote.rename(&path("d"), None, &path("d/e")));
    assert!(matches!(into, Err(RemoteError::Forbidden(_))), "{into:?}");
    let link = case.world.run_until(case.remote.create_symlink(&path("l"), b"../out")).unwrap();
    assert_eq!(link.link_target.as_deref(), Some(&b"../out"[..]));
}

#[test]
fn a_dropped_call_is_done_or_not() {
    let mut done = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let case = case(seed, Profile::posix());
        let (at, meta) = (path("d"), meta());
        let call = case.world.run_for(Duration::from_nanos(1), case.remote.create_folder(&at, &meta));
        assert!(call.is_none());
        case.world.run_until_idle(Duration::from_secs(1));
        done.insert(case.server.user().exists("d"));
    }
    assert_eq!(done.len(), 2, "both happen");
}

fn busy(seed: u64) -> (u64, Snapshot) {
    let case = case(seed, Profile::sshfs_like());
    case.server.faults(|f| (f.races, f.lost_answers) = (100, 20));
    let pause = Duration::ZERO..Duration::from_millis(20);
    RandomUser::new(case.world.rng("second user")).work(&case.world, &case.server, 200, pause);
    let answers = Mutex::new(0);
    case.world.run_until(async {
        for i in 0..100 {
            let at = path(if i % 3 == 0 { "a" } else { "b" });
            let answer = match case.remote.stat(&at).await {
                Ok(meta_now) => {
                    let source = BytesSource::new(format!("mine {i}"));
                    case.remote.replace_file(&at, &meta_now.version, source, &meta()).await.map(drop)
                }
                Err(RemoteError::NotFound) => {
                    case.remote.create_file(&at, BytesSource::new("new"), &meta()).await.map(drop)
                }
                Err(error) => Err(error),
            };
            if is_gone(&answer) {
                case.remote.connect().await.unwrap();
            }
            *answers.lock() += usize::from(answer.is_ok());
        }
    });
    assert!(*answers.lock() > 10);
    (case.world.trace_hash(), case.server.tree())
}

#[test]
fn one_seed_is_one_history() {
    assert_eq!(busy(11), busy(11));
    assert_ne!(busy(11).0, busy(12).0);
}

#[test]
fn disconnect_waits_for_what_is_under_way() {
    let case = case(1, Profile::posix());
    case.world.run_until(async {
        let (at, meta) = (path("a"), meta());
        let upload = case.remote.create_file(&at, BytesSource::new(vec![0; 1 << 20]), &meta);
        let (made, ()) = futures::join!(upload, case.remote.disconnect());
        made.unwrap();
    });
    assert!(is_gone(&case.stat("a")));
}
