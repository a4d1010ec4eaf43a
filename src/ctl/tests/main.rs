//! The program itself, in front of an engine that only remembers: what it prints and how it ends.

#![allow(clippy::unwrap_used)]

#[path = "../../bus/tests/fake.rs"]
mod fake;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use holdfast_bus::{Server, ServerOptions};
use serde_json::Value;

use fake::Fake;

struct Ctl {
    dir: tempfile::TempDir,
    fake: Arc<Fake>,
    _server: Server,
}

impl Ctl {
    fn new() -> Ctl {
        let dir = tempfile::tempdir().unwrap();
        let fake = Arc::new(Fake::new());
        let options = ServerOptions { socket: dir.path().join("holdfast/bus"), session_bus: false };
        let server = Server::start(fake.clone(), &options).unwrap();
        Ctl { dir, fake, _server: server }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastctl"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .current_dir(self.dir.path());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command().args(line.split(' ')).output().unwrap()
    }

    /// Exit status, standard output, standard error.
    fn told(&self, line: &str) -> (i32, String, String) {
        let output = self.run(line);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn json_is_one_value_and_nothing_else() {
    let ctl = Ctl::new();
    for line in [
        "status",
        "location list",
        "location remove nas",
        "pin nas:a",
        "unpin nas:a",
        "pins",
        "evict nas:a",
        "offline",
        "sync",
        "sync --wait",
        "problems",
        "retry 1",
        "confirm 1",
        "changes",
        "changes nas:",
        "export out.tar",
        "conflicts",
        "states nas:a",
        "resolve nas:a --keep both",
        "resolve --under nas: --match *.o --stash both --dry-run",
        "why nas:a",
        "stash list",
        "stash restore 1",
        "stash restore 1 --to nas:b",
        "stash drop 1",
        "history",
        "undo",
        "undo 2",
        "check",
        "check --repair",
    ] {
        let (_, stdout, _) = ctl.told(&format!("--json {line}"));
        let value: Value = serde_json::from_str(&stdout).expect(line);
        assert!(value.is_object() || value.is_array(), "{line}");
    }
}

#[test]
fn failures_are_one_line_and_print_nothing_else() {
    let ctl = Ctl::new();
    for (line, exit) in [
        ("location add nas file:///x", 1),
        ("location add new nonsense", 2),
        ("location set nas k v", 2),
        ("location set other k v", 1),
        ("online", 1),
        ("pin /etc", 2),
        ("pin nas:../x", 2),
        ("cat nas:a", 2),
        ("resolve nas:a", 2),
        ("nonsense", 2),
        ("export no/such/folder/x.tar", 1),
        ("resolve nas:a --with no-such-file", 1),
        ("export - --json", 2),
    ] {
        let (status, stdout, stderr) = ctl.told(line);
        assert_eq!((status, stdout.as_str()), (exit, ""), "{line}");
        assert!(
            stderr.starts_with("holdfastctl: ") && stderr.ends_with('\n') && stderr.lines().count() == 1,
            "{line}: {stderr}"
        );
    }
}

#[test]
fn what_was_asked_for_is_named_and_nothing_of_ours() {
    let ctl = Ctl::new();
    for (line, said) in [
        ("export no/such/folder/x.tar", "no/such/folder/x.tar: No such file or directory"),
        ("retry x", "invalid value 'x' for '<ID>': the number from the list is wanted"),
    ] {
        assert_eq!(ctl.told(line).2, format!("holdfastctl: {said}\n"));
    }
}

#[test]
fn what_waits_for_a_person_is_four() {
    let ctl = Ctl::new();
    assert_eq!(ctl.told("sync --wait").0, 4);
    assert_eq!(ctl.told("resolve nas:a --later").0, 4);
    assert_eq!(ctl.told("resolve nas:a --keep local").0, 0);
    assert_eq!(ctl.told("resolve nas:a --keep local --dry-run").0, 0);
}

#[test]
fn no_engine_is_three() {
    let ctl = Ctl::new();
    let output = ctl
        .command()
        .env("XDG_RUNTIME_DIR", ctl.dir.path().join("elsewhere"))
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        output.stderr,
        b"holdfastctl: no engine is running; start `holdfastctl serve` or the application\n"
    );
}

#[test]
fn a_check_that_finds_something_fails_and_tells() {
    let (status, stdout, stderr) = Ctl::new().told("check --json");
    assert_eq!((status, stdout.as_str()), (1, "{\"ok\":false,\"findings\":[\"one\"]}\n"));
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn contents_are_bytes() {
    let ctl = Ctl::new();
    assert_eq!(ctl.told("cat nas:a --state server").1, "server");
    assert_eq!(ctl.told("stash cat 1").1, "stashed");
    std::fs::write(ctl.dir.path().join("own"), b"12345").unwrap();
    ctl.told("resolve nas:a --with own");
    let asked = ctl.fake.asked();
    assert!(asked[0].contains("With(ContentId(5)) false"), "{asked:?}");
}

#[test]
fn paths_need_not_be_text() {
    let ctl = Ctl::new();
    let name = OsStr::from_bytes(b"nas:-\xff");
    let output = ctl.command().arg("unpin").arg(name).output().unwrap();
    assert!(output.status.success());
    // The fake's mount is `/m\xff`, which is not there: nothing but text is looked at.
    let inside = OsStr::from_bytes(b"/m\xff/nas/./x/../-y");
    let output = ctl.command().args(["pin", "--"]).arg(inside).output().unwrap();
    assert!(output.status.success());
    assert_eq!(ctl.fake.asked(), ["unpin nas:-\u{fffd}", "pin nas:-y false"]);
}

#[test]
fn an_archive_lists_what_is_no_content() {
    let ctl = Ctl::new();
    assert_eq!(ctl.told("export out.tar").0, 0);
    let file = std::fs::File::open(ctl.dir.path().join("out.tar")).unwrap();
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().unwrap();
    let list = entries.next().unwrap().unwrap();
    assert_eq!(&*list.path_bytes(), b"holdfast-changes.json");
    let list: Value = serde_json::from_reader(list).unwrap();
    assert_eq!(list["changes"][0]["from"], "nas:a");
    assert!(entries.next().is_none());
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let ctl = Ctl::new();
    let mut child = ctl
        .command()
        .args(["--json", "conflicts"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn events_are_a_line_each() {
    use std::io::{BufRead, BufReader};

    use holdfast_engine::handle::{Event, Revised};

    let ctl = Ctl::new();
    let mut child = ctl.command().arg("events").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["event"], "listening");
    let revised = Revised { revision: 8, event: Event::Pin(fake::pin()) };
    async_io::block_on(ctl.fake.events.0.send(revised)).unwrap();
    let event = next();
    assert_eq!((&event["event"], &event["revision"]), (&"pin".into(), &8.into()));
    assert_eq!(event["pin"]["state"], "over-limit");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn help_and_version_are_texts() {
    let ctl = Ctl::new();
    for line in ["--help", "--version", "resolve --help", "completions bash", "man"] {
        let (status, stdout, stderr) = ctl.told(line);
        assert_eq!((status, stderr.as_str()), (0, ""), "{line}");
        assert!(stdout.contains("holdfastctl"), "{line}");
    }
}
