//! Counts tests by what `cargo test` prints.
//!
//! A test that cannot run on a machine passes after it has printed one line `SKIPPED: why`. The test
//! programs run with `--show-output`, so the lines of passing tests are seen here; what else passing
//! tests print is not shown on. One test counts as skipped once, however many such lines it prints.

use std::fmt;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Why each skipped test was skipped.
    pub skipped: Vec<String>,
    /// Test programs that were started, and that came to an end with a result.
    started: usize,
    ended: usize,
}

impl Tally {
    pub fn fail(&mut self) {
        self.failed += 1;
    }

    /// A test program that crashed tells no result; it counts as one failed test.
    pub fn failed(&self) -> usize {
        self.failed + self.started.saturating_sub(self.ended)
    }

    /// Not one test has run, or was to run.
    pub fn is_empty(&self) -> bool {
        self.passed + self.failed() + self.ignored == 0
    }

    pub fn crashed(&self) -> usize {
        self.started.saturating_sub(self.ended)
    }

    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// Reads one line of cargo's own output (standard error).
    pub fn read_cargo(&mut self, line: &str) {
        let plain = without_colours(line);
        let plain = plain.trim_start();
        if plain.starts_with("Running ") || plain.starts_with("Doc-tests ") {
            self.started += 1;
        }
        // A test that writes past the harness's capture.
        self.read_skip(plain);
    }

    pub fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped.iter().cloned());
        self.started += other.started;
        self.ended += other.ended;
    }

    fn read_skip(&mut self, line: &str) -> bool {
        let Some(why) = line.strip_prefix("SKIPPED:") else {
            return false;
        };
        self.skipped.push(why.trim().to_owned());
        true
    }

    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`
    fn read_result(&mut self, line: &str) -> bool {
        let Some(result) = line.strip_prefix("test result: ") else {
            return false;
        };
        let count = |what: &str| {
            result
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<usize>().ok())
                .unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
        self.ignored += count("ignored");
        self.ended += 1;
        true
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.saturating_sub(self.skipped.len());
        write!(f, "{passed} passed, {} failed, {} skipped", self.failed(), self.skipped.len() + self.ignored)
    }
}

/// Reads the output of the test programs line by line.
#[derive(Default)]
pub struct Reader {
    pub tally: Tally,
    among_successes: bool,
    section_skipped: bool,
}

impl Reader {
    /// Whether the line is worth showing.
    pub fn read(&mut self, line: &str) -> bool {
        let line = &*without_colours(line);
        if line.starts_with("test result: ") {
            self.among_successes = false;
            return self.tally.read_result(line);
        }
        if line == "successes:" || line == "failures:" {
            self.among_successes = line == "successes:";
            return !self.among_successes;
        }
        if line.starts_with("---- ") {
            self.section_skipped = false;
        }
        // Only what stands in a section is a test's own; without sections each line counts.
        if line.starts_with("SKIPPED:") && !(self.among_successes && self.section_skipped) {
            self.section_skipped = true;
            return self.tally.read_skip(line);
        }
        !self.among_successes
    }
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
        rest = &after[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test a ... ok
test b ... ok
test c ... FAILED
test d ... ignored, needs a display

successes:

---- a stdout ----
chatter
SKIPPED: there is no /dev/fuse here
SKIPPED: said twice


successes:
    a
    b

failures:

---- c stdout ----
it went wrong

failures:
    c

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    fn read(output: &str) -> (Reader, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = output.lines().filter(|line| reader.read(line)).collect();
        (reader, shown)
    }

    #[test]
    fn a_skipped_test_counts_once_and_not_as_passed() {
        let (reader, _) = read(OUTPUT);
        assert_eq!(reader.tally.to_string(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(reader.tally.skipped, ["there is no /dev/fuse here"]);
    }

    #[test]
    fn what_passing_tests_print_is_not_shown_and_failures_are() {
        let (_, shown) = read(OUTPUT);
        assert!(!shown.contains(&"chatter"));
        assert!(!shown.contains(&"    b"));
        assert!(shown.contains(&"SKIPPED: there is no /dev/fuse here"));
        assert!(shown.contains(&"it went wrong"));
        assert!(shown.contains(&"test c ... FAILED"));
    }

    #[test]
    fn programs_add_up() {
        let (mut reader, _) = read(OUTPUT);
        for line in OUTPUT.lines() {
            reader.read(line);
        }
        assert_eq!(reader.tally.to_string(), "2 passed, 2 failed, 4 skipped");
    }

    #[test]
    fn a_program_that_tells_no_result_has_failed() {
        let mut tally = Tally::default();
        tally.read_cargo("\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m unittests lib.rs (target/debug/deps/x-1)");
        tally.read_cargo("   Doc-tests holdfast_engine");
        let (reader, _) = read("test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.add(&reader.tally);
        assert_eq!(tally.crashed(), 1);
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 0 skipped");
    }
}
