//! How a command ends: its exit status and, where it failed, the one line that says why.

use std::io;
use std::process::ExitCode;

use holdfast_bus::ConnectError;
use holdfast_engine::handle::Error;

/// The exit statuses of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    WrongUse = 2,
    NoEngine = 3,
    /// Done as far as possible; something waits for a person.
    Waiting = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Empty where there is nothing to say.
    pub text: String,
}

pub type Ended<T = Exit> = Result<T, Failure>;

impl Failure {
    pub fn failed(text: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, text: text.into() }
    }

    pub fn wrong_use(text: impl Into<String>) -> Failure {
        Failure { exit: Exit::WrongUse, text: text.into() }
    }

    /// Prints exactly one line.
    pub fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            // Nobody is left to tell where standard error is gone too.
            let _ = io::Write::write_all(&mut io::stderr(), self.line().as_bytes());
        }
        self.exit.into()
    }

    fn line(&self) -> String {
        let lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join(" ");
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        format!("holdfastctl: {}\n", without_numbers(&text))
    }
}

/// Without the ` (os error 2)` that the standard library puts behind a sentence of the system's.
fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let after = &rest[at + MARK.len()..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        out.push_str(&rest[..at]);
        rest = match after[digits..].strip_prefix(')') {
            Some(rest) if digits > 0 => rest,
            _ => {
                out.push_str(MARK);
                after
            }
        };
    }
    out + rest
}

/// What the engine says went wrong while doing is a failure, not wrong use: it knows only things
/// that are not there. Wrong use is what this program finds wrong in its arguments.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::failed(error.text)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        match error {
            ConnectError::NoEngine => Failure {
                exit: Exit::NoEngine,
                text: "no engine is running; start `holdfastctl serve` or the application".into(),
            },
            other => Failure::failed(other.to_string()),
        }
    }
}

/// A reader that has seen enough is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { exit: Exit::Done, text: String::new() },
            _ => Failure::failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::failed("it\nfailed:\n  \x1b[1mnas\x1b[0m");
        assert_eq!(failure.line(), "holdfastctl: it failed: [1mnas[0m\n");
    }

    #[test]
    fn numbers_of_errors_are_left_out() {
        let error = io::Error::from_raw_os_error(2).to_string();
        let failure = Failure::failed(format!("/a: {error}; /b: {error}"));
        assert_eq!(
            failure.line(),
            "holdfastctl: /a: No such file or directory; /b: No such file or directory\n"
        );
        assert_eq!(without_numbers("a (os error x) b"), "a (os error x) b");
    }

    #[test]
    fn a_closed_pipe_is_silent() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.text.as_str()), (Exit::Done, ""));
    }
}
