//! What lies between here and the server: nothing, or SSH, near or far.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::helper::Helper;
use crate::run::{self, Failure, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// The server is a folder of this machine.
    Local,
    /// A real SSH server, so many milliseconds away, there and back.
    Ssh(u32),
}

/// All that are measured, by how the names of their rows begin.
pub const LINES: [(&str, Line); 3] = [("", Line::Local), ("sftp-", Line::Ssh(0)), ("far-", Line::Ssh(20))];

impl Line {
    /// After what is done over it.
    pub fn words(self) -> String {
        match self {
            Line::Local => String::new(),
            Line::Ssh(0) => ", over SFTP".into(),
            Line::Ssh(ms) => format!(", over SFTP at {ms} ms"),
        }
    }
}

/// An SSH server that runs until it is dropped.
pub struct Ssh {
    helper: Helper,
    pub port: String,
    config: String,
    pub key: String,
}

/// As its `ssh -F` configuration names the server.
pub const HOST: &str = "fx";

impl Ssh {
    pub fn start(program: &Path, milliseconds: u32) -> Result<Ssh> {
        let mut command = Command::new(program);
        let (helper, said) = Helper::start("the SSH server", command.arg(milliseconds.to_string()))?;
        let mut words = said.split(' ').map(str::to_owned);
        match (words.next(), words.next(), words.next()) {
            (Some(port), Some(config), Some(key)) => Ok(Ssh { helper, port, config, key }),
            _ => Err(Failure::new("the SSH server does not say where it is")),
        }
    }

    pub fn build() -> Result<PathBuf> {
        run::build("holdfast-testkit", run::Build::Example("far"))
    }

    /// What every `ssh` is given.
    pub fn options(&self) -> String {
        format!("-F {}", self.config)
    }

    /// What runs on the server is no memory of the programs that are measured.
    pub fn process(&self) -> u32 {
        self.helper.id()
    }
}
