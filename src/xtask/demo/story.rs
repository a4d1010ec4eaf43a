//! How the demo speaks: what it says, the commands it shows, the claims it checks.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::run::{self, Failure, Result, While};
use crate::served::Served;

pub struct Story<'a> {
    served: &'a Served,
    pub mount: PathBuf,
    /// The folder that plays the file server.
    pub server: PathBuf,
}

impl<'a> Story<'a> {
    pub fn new(served: &'a Served) -> Result<Story<'a>> {
        Ok(Story { served, mount: served.mount(), server: served.make_folder("server")? })
    }

    pub fn say(&self, sentence: &str) {
        println!("\n{sentence}");
    }

    pub fn write_on_server(&self, path: &str, text: &str) -> Result<()> {
        let path = self.server.join(path);
        let folder = path.parent().unwrap_or(&self.server);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .when(format_args!("cannot write {}", path.display()))
    }

    /// Runs `holdfastctl`, shows it with what it prints, and gives that back.
    pub fn ctl(&self, args: &[&str], status: i32) -> Result<String> {
        println!("  $ holdfastctl {}", args.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(" "));
        self.output(&mut self.served.ctl(args), status, true)
    }

    /// What `holdfastctl --json` answers, unseen.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.served.ctl(["--json"]);
        command.args(args);
        let text = self.output(&mut command, 0, false)?;
        serde_json::from_str(&text)
            .when(format_args!("`{}` did not answer in JSON ({text:?})", run::spelled(&command)))
    }

    /// Runs a line of shell in the location's folder of the mount.
    pub fn shell(&self, line: &str) -> Result<()> {
        println!("  $ {line}");
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(self.mount.join("demo"));
        self.output(&mut command, 0, true).map(drop)
    }

    pub fn show(&self, command: &mut Command) -> Result<()> {
        println!("  $ {}", run::spelled(command));
        self.output(command, 0, true).map(drop)
    }

    /// A claim of the demo that turns out false ends it.
    pub fn must_hold(&self, what: &str, holds: bool) -> Result<()> {
        if holds {
            println!("    found as it should be: {what}");
            Ok(())
        } else {
            Err(Failure::new(format!("the demo expected {what}, and it is not so")))
        }
    }

    fn output(&self, command: &mut Command, status: i32, shown: bool) -> Result<String> {
        let output = run::capture(command)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if shown {
            text.lines().for_each(|line| println!("    {line}"));
        }
        if output.status.code() == Some(status) {
            return Ok(text);
        }
        Err(Failure::new(format!(
            "`{}` was to end with exit status {status}, and ended with {}: {}",
            run::spelled(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

/// As one would type it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}
