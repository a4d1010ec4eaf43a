//! `cargo xtask CMD`: set-up, tests, demo and benches of the project.
//!
//! Builds on a machine that has rustup's Rust, git and a linker; what else a command needs, it
//! installs itself and says so. It never changes anything but packages and temporary folders.

mod bench;
mod demo;
mod run;
mod served;
mod setup;
mod tally;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup                    install what the demo and the tests need (apt-get)
  test [--long] [--no-setup] [FILTER]
                           format check, lints, all tests; --long runs the long ones too,
                           --no-setup does without missing packages. With FILTER only the
                           tests whose names hold it, without format check and lints.
                           The last line is `N passed, N failed, N skipped`.
  demo                     one round of work on a folder-backed location, told step by step
  bench [--quick | --scale N] [--runs N] [--against LIST] [--before PROGRAM] [--list]
        [NAME...]          measure against other programs and print one table; NAME is a row
                           or the beginning of some, --list names them; --scale 0.1 (or
                           --quick) takes a tenth of the files; --against rsync,rclone leaves
                           out the other peers of the rows that bring two folders together,
                           --before measures another build of holdfastctl beside this one
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("setup") if rest.is_empty() => setup::all(),
        Some("test") => test::Options::parse(rest).and_then(|options| test::run(&options)),
        Some("demo") if rest.is_empty() => demo::run(),
        Some("bench") => bench::Options::parse(rest).and_then(|options| bench::run(&options)),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The last line of `test` is the count, also where something failed.
        Err(failure) if failure.is_told() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
