//! `cargo xtask demo`: one round of the main job, told step by step.
//!
//! A made folder plays the file server. It is pinned, left, changed on both sides, met again, and
//! the conflicts are decided; at the end both sides agree. Each step checks what it claims.

mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{self, Failure, Result, While};
use crate::served::Served;
use crate::setup;
use story::Story;

const PLAN: &str = "Plan\n1. write\n2. read\n3. send\n";
const OUR_LINE: &str = "4. rest (we wrote this)";
const THEIR_LINE: &str = "4. celebrate (they wrote this)";

/// The exit status of `holdfastctl` where something waits for a person.
const WAITS: i32 = 4;

pub fn run() -> Result<()> {
    setup::prepare(setup::For::Demo)?;
    println!("Building holdfastctl (the first time takes some minutes) ...");
    let ctl = run::build("holdfastctl", run::Build::Debug)?;
    let served = Served::start(&ctl)?;
    let story = Story::new(&served)?;
    tell(&story)?;
    story.say("We stop the engine with SIGTERM; it commits, unmounts and ends.");
    served.stop()?;
    println!("\nThe demo is done: nothing was lost on either side, and both sides agree.");
    Ok(())
}

fn tell(story: &Story<'_>) -> Result<()> {
    keep_the_folder(story)?;
    work_without_the_server(story)?;
    meet_again(story)?;
    decide(story)?;
    agree(story)
}

fn keep_the_folder(story: &Story<'_>) -> Result<()> {
    story.say("This is the folder on the file server, as everybody there sees it:");
    for (path, text) in [
        ("papers/plan.txt", PLAN),
        ("papers/budget.csv", "item,cost\npaper,10\nink,20\n"),
        ("papers/notes.txt", "first line\nsecond line\nthird line\nfourth line\nfifth line\n"),
        ("papers/letter.txt", "Dear all,\nwe shall meet on Monday.\n"),
        ("old/draft.txt", "to be thrown away\n"),
    ] {
        story.write_on_server(path, text)?;
    }
    story.show(Command::new("find").arg(".").args(["-type", "f"]).current_dir(&story.server))?;

    story.say("We add it as the location `demo` and pin it: all of it is to be here, now and in future.");
    let url = format!("file://{}", story.server.display());
    story.ctl(&["location", "add", "demo", &url], 0)?;
    story.ctl(&["pin", "demo:", "--wait"], 0)?;
    story.ctl(&["status"], 0)?;
    story.shell("ls -l papers && cat papers/plan.txt")
}

fn work_without_the_server(story: &Story<'_>) -> Result<()> {
    story.say("The network goes away (here by hand).");
    story.ctl(&["offline", "demo"], 0)?;

    story.say("We go on working in the mount, with ordinary programs:");
    story.shell(&format!("echo '{OUR_LINE}' >> papers/plan.txt"))?;
    story.shell("sed -i 's/^ink,20/ink,25/' papers/budget.csv")?;
    story.shell("sed -i 's/^first line/first line, ours/' papers/notes.txt")?;
    story.shell("mkdir letters && mv papers/letter.txt letters/monday.txt")?;
    story.shell("echo 'A new idea' > papers/ideas.txt")?;
    story.shell("rm -r old")?;
    story.say("What waits to be sent:");
    story.ctl(&["changes"], 0)?;

    story.say("Meanwhile somebody else works on the server:");
    for (path, text) in [
        ("papers/plan.txt", "Plan\n1. write\n2. read\n3. send\n4. celebrate (they wrote this)\n"),
        ("papers/budget.csv", "item,cost\npaper,10\nink,30\n"),
        ("papers/notes.txt", "first line\nsecond line\nthird line\nfourth line\nfifth line, theirs\n"),
        ("papers/minutes.txt", "Minutes of the meeting\n"),
    ] {
        println!("    (on the server) {path} is written");
        story.write_on_server(path, text)?;
    }
    Ok(())
}

fn meet_again(story: &Story<'_>) -> Result<()> {
    story.say(
        "The network is back. What does not conflict goes through; `sync` exits 4, as the rest waits for us.",
    );
    story.ctl(&["online", "demo"], 0)?;
    story.ctl(&["sync", "demo", "--wait", "--timeout", "60"], WAITS)?;
    story.must_hold("letters/monday.txt", story.server.join("letters/monday.txt").is_file())?;
    story.must_hold("no papers/letter.txt", !story.server.join("papers/letter.txt").exists())?;
    story.must_hold("papers/ideas.txt", story.server.join("papers/ideas.txt").is_file())?;
    story.must_hold("no old/", !story.server.join("old").exists())?;
    story.shell("cat papers/minutes.txt")?;

    story.say("Three files were changed on both sides:");
    story.ctl(&["conflicts"], 0)?;
    let conflicts = story.json(&["conflicts"])?;
    let mut found: Vec<&str> =
        conflicts.as_array().into_iter().flatten().filter_map(|c| c["path"].as_str()).collect();
    found.sort_unstable();
    let expected = ["demo:papers/budget.csv", "demo:papers/notes.txt", "demo:papers/plan.txt"];
    if found != expected {
        return Err(Failure::new(format!("conflicts were expected at {expected:?}; they are at {found:?}")));
    }
    story.say("The same for programs (`--json`), shortened:");
    for conflict in conflicts.as_array().into_iter().flatten() {
        println!(
            "    {{\"path\":{},\"kind\":{},\"mergeable\":{}, …}}",
            conflict["path"], conflict["kind"], conflict["mergeable"]
        );
    }
    story.say("Each of the three states can be read until we decide:");
    for (state, last_line) in [("original", ""), ("local", OUR_LINE), ("server", THEIR_LINE)] {
        let text = story.ctl(&["cat", "demo:papers/plan.txt", "--state", state], 0)?;
        let whole = text.strip_prefix(PLAN).is_some_and(|rest| rest.trim_end() == last_line);
        story.must_hold(&format!("papers/plan.txt, its {state} state, whole"), whole)?;
    }
    Ok(())
}

fn decide(story: &Story<'_>) -> Result<()> {
    story.say("We keep ours of the plan (the server's goes to the stash) ...");
    story.ctl(&["resolve", "demo:papers/plan.txt", "--keep", "local"], 0)?;
    story.say("... both of the budget ...");
    story.ctl(&["resolve", "demo:papers/budget.csv", "--keep", "both"], 0)?;
    story.say("... and the merged text of the notes, where the edits do not touch each other.");
    story.ctl(&["resolve", "demo:papers/notes.txt", "--merge"], 0)?;
    story.ctl(&["sync", "demo", "--wait", "--timeout", "60"], 0)?;
    story.say("What lost is not gone:");
    story.ctl(&["stash", "list"], 0)?;
    let stash = story.json(&["stash", "list"])?;
    let has_plan = stash.as_array().into_iter().flatten().any(|s| s["path"] == "demo:papers/plan.txt");
    story.must_hold("the server's papers/plan.txt, in the stash", has_plan)
}

fn agree(story: &Story<'_>) -> Result<()> {
    story.say("Both sides agree, byte for byte:");
    let here = story.mount.join("demo");
    story.show(Command::new("diff").arg("-r").arg(&here).arg(&story.server))?;
    println!("    (no difference)");
    let texts = |name: &str| fs::read_to_string(story.server.join("papers").join(name)).unwrap_or_default();
    story.must_hold("our plan on the server", texts("plan.txt").contains(OUR_LINE))?;
    let notes = texts("notes.txt");
    story.must_hold("both edits in the notes", notes.contains("ours") && notes.contains("theirs"))?;
    story.must_hold("two budgets", budgets(&story.server.join("papers"))? == 2)?;
    let check = story.json(&["check"])?;
    story.must_hold("a store without findings", check["ok"] == Value::Bool(true))?;
    story.shell("ls papers letters && cat papers/notes.txt")
}

fn budgets(papers: &Path) -> Result<usize> {
    let entries = fs::read_dir(papers).when("cannot list the server's papers")?;
    let names: Vec<PathBuf> = entries.flatten().map(|e| PathBuf::from(e.file_name())).collect();
    Ok(names.iter().filter(|n| n.to_string_lossy().starts_with("budget")).count())
}
