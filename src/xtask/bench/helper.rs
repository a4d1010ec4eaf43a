//! A program that stands by while others are measured, until it is dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::run::{Failure, Result, While};

/// The end of its input ends it.
pub struct Helper {
    child: Child,
    what: &'static str,
}

impl Helper {
    /// Starts it and waits until it says `ready`; what it says after that word is returned.
    pub fn start(what: &'static str, command: &mut Command) -> Result<(Helper, String)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .when(format_args!("cannot start {what}"))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).when(format_args!("{what} says nothing"))?;
        }
        let helper = Helper { child, what };
        match line.trim().strip_prefix("ready") {
            Some(rest) => Ok((helper, rest.trim().to_owned())),
            None => Err(Failure::new(format!("{what} does not start"))),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if self.child.wait().is_err() {
            eprintln!("xtask: {} does not end", self.what);
            let _ = self.child.kill();
        }
    }
}
