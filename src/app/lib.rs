//! The application: the window of Holdfast.
//!
//! The window is not built yet. Until it is, the program says so and names the one that does the
//! work; it never pretends to have started.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

const HELP: &str = "\
holdfast: the window of Holdfast (not built yet; holdfastctl does the work)

Usage: holdfast [--help | --version]
";

const NO_WINDOW: &str =
    "holdfast: the window is not built yet; use `holdfastctl serve` and `holdfastctl --help` instead";

/// What a start comes to: a text for one of the two outputs, and the exit status.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Said(String),
    Failed { message: String, status: u8 },
}

/// The whole program.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match answer(&args) {
        Answer::Said(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Answer::Failed { message, status } => {
            eprintln!("{message}");
            ExitCode::from(status)
        }
    }
}

fn answer(args: &[OsString]) -> Answer {
    match args.first().map(|a| a.as_os_str()) {
        None => Answer::Failed { message: NO_WINDOW.to_owned(), status: 1 },
        Some(a) if a == OsStr::new("--help") || a == OsStr::new("-h") => Answer::Said(HELP.to_owned()),
        Some(a) if a == OsStr::new("--version") || a == OsStr::new("-V") => {
            Answer::Said(format!("holdfast {}\n", env!("CARGO_PKG_VERSION")))
        }
        Some(a) => Answer::Failed {
            message: format!("holdfast: what is `{}`? See `holdfast --help`.", a.to_string_lossy()),
            status: 2,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Answer {
        answer(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_window_it_fails_and_names_what_works() {
        let Answer::Failed { message, status } = of(&[]) else { panic!("it claims to have started") };
        assert_eq!(status, 1);
        assert!(message.contains("holdfastctl serve"));
    }

    #[test]
    fn help_and_version_answer_and_the_rest_is_wrong_use() {
        assert!(matches!(of(&["--help"]), Answer::Said(text) if text.contains("Usage")));
        assert!(matches!(of(&["--version"]), Answer::Said(text) if text.starts_with("holdfast 0.")));
        assert!(matches!(of(&["--frob"]), Answer::Failed { status: 2, .. }));
    }
}
