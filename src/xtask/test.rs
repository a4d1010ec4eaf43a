//! `cargo xtask test`: everything that must hold before a change goes in.
//!
//! Runs on to the end whatever fails on the way, so that one run tells all. The last line is the
//! count; a check that fails (format, lints, the build) counts as one failed test.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use crate::run::{self, Failure, Result, While};
use crate::setup;
use crate::tally::{Reader, Tally};

#[derive(Default, PartialEq, Eq, Debug)]
pub struct Options {
    long: bool,
    no_setup: bool,
    filter: Option<String>,
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options::default();
        for arg in args {
            match arg.as_str() {
                "--long" => options.long = true,
                "--no-setup" => options.no_setup = true,
                filter if !filter.starts_with('-') && options.filter.is_none() => {
                    options.filter = Some(filter.to_owned());
                }
                other => {
                    return Err(Failure::new(format!(
                        "test does not know `{other}`; see `cargo xtask help`"
                    )));
                }
            }
        }
        Ok(options)
    }
}

pub fn run(options: &Options) -> Result<()> {
    if !options.no_setup {
        setup::prepare(setup::For::Test)
            .map_err(|e| Failure::new(format!("{e}\n`cargo xtask test --no-setup` tests without them.")))?;
        setup::rust_components()?;
    } else if let Some(why) = setup::no_fuse() {
        setup::note_no_fuse(&why);
    }

    let mut tally = Tally::default();
    if options.filter.is_none() {
        step(&mut tally, "format", run::cargo().args(["fmt", "--all", "--check"]));
        step(
            &mut tally,
            "lints",
            run::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        );
    }
    // Tests of the whole run the programs: those must be built, and cargo builds only a package's own.
    if step(&mut tally, "programs", run::cargo().args(["build", "--workspace", "--bins"])) {
        tests(&mut tally, options)?;
    }
    summary(&tally, options.filter.as_deref());
    if tally.failed() == 0 { Ok(()) } else { Err(Failure::told()) }
}

/// Whether it went well.
fn step(tally: &mut Tally, what: &str, command: &mut Command) -> bool {
    println!("== {what}: {}", run::spelled(command));
    match run::run(command) {
        Ok(()) => true,
        Err(failure) => {
            eprintln!("{failure}");
            tally.fail();
            false
        }
    }
}

fn tests(tally: &mut Tally, options: &Options) -> Result<()> {
    let mut command = run::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.args(&options.filter);
    command.args(["--", "--show-output"]);
    println!("== tests: {}", run::spelled(&command));
    if options.long {
        command.env("HOLDFAST_LONG", "1");
    }
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().when("cannot start cargo test")?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::new("cargo test gives no output"));
    };
    let cargo_says = thread::spawn(move || {
        let mut tally = Tally::default();
        for_each_line(stderr, |line| {
            tally.read_cargo(line);
            let _ = writeln!(std::io::stderr(), "{line}");
        });
        tally
    });
    let mut reader = Reader::default();
    for_each_line(stdout, |line| {
        if reader.read(line) {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    });
    let cargo_said = cargo_says.join().map_err(|_| Failure::new("reading cargo's output failed"))?;
    let status = child.wait().when("cargo test")?;

    let mut counted = reader.tally;
    counted.add(&cargo_said);
    if !status.success() && counted.failed() == 0 {
        eprintln!(
            "cargo test failed ({status}) although no test did: the tests do not build, or a program crashed"
        );
        counted.fail();
    }
    tally.add(&counted);
    Ok(())
}

/// Lines may hold anything a test prints; what is not text is shown as well as it can be.
fn for_each_line(stream: impl Read, mut each: impl FnMut(&str)) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
        each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
}

fn summary(tally: &Tally, filter: Option<&str>) {
    println!("\n== summary");
    if let Some(filter) = filter.filter(|_| tally.is_empty()) {
        println!("no test has `{filter}` in its name");
    }
    for (why, count) in counted(&tally.skipped) {
        println!("skipped {count}: {why}");
    }
    if tally.ignored() > 0 {
        println!("skipped {}: marked `ignore`", tally.ignored());
    }
    if tally.crashed() > 0 {
        println!("failed {}: test programs that ended without a result", tally.crashed());
    }
    println!("{tally}");
}

/// Each reason once, in the order of the alphabet, with how often it was given.
fn counted(reasons: &[String]) -> Vec<(&str, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason.as_str()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_in_any_order() {
        let options = parse(&["sync", "--long"]).unwrap();
        assert_eq!(options, Options { long: true, no_setup: false, filter: Some("sync".into()) });
        assert!(parse(&["--lnog"]).is_err());
        assert!(parse(&["one", "two"]).is_err());
    }

    #[test]
    fn lines_that_are_no_text_do_not_stop_the_reading() {
        let mut lines = Vec::new();
        for_each_line(&b"a\n\xff\xfe\r\nlast"[..], |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["a", "\u{fffd}\u{fffd}", "last"]);
    }
}
