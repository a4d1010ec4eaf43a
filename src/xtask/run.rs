//! Runs other programs and tells in plain words when that fails.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Why a command of xtask ends: one sentence, or nothing where all has been said already.
#[derive(Debug)]
pub struct Failure(Option<String>);

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(Some(message.into()))
    }

    /// What went wrong stands on the screen already.
    pub fn told() -> Failure {
        Failure(None)
    }

    pub fn is_told(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("failed"))
    }
}

/// Names what was being done when an I/O error came.
pub trait While<T> {
    fn when(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> While<T> for std::result::Result<T, E> {
    fn when(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Failure::new(format!("{doing}: {e}")))
    }
}

/// The folder of the workspace, from wherever xtask was called.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// The program and its arguments, as one would type them.
pub fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with our own outputs; anything but status 0 is a failure.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().when(format_args!("cannot start `{}`", spelled(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{}` failed ({status})", spelled(command))))
    }
}

/// Runs to the end and keeps what it says; any status will do.
pub fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().when(format_args!("cannot start `{}`", spelled(command)))
}

/// Runs to the end in silence; a status not among `fine` is a failure that quotes what was said.
pub fn quiet(command: &mut Command, fine: &[i32]) -> Result<()> {
    let output = capture(command)?;
    if output.status.code().is_some_and(|code| fine.contains(&code)) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    let tail: Vec<&str> = said.trim().lines().rev().take(10).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Failure::new(format!("`{}` failed ({}):\n{}", spelled(command), output.status, tail.join("\n"))))
}

/// Where a program is; also looks where daemons lie, which an ordinary user's PATH leaves out.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Which program of a package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// The one named like it.
    Debug,
    Release,
    /// Both for measuring: as in a release.
    Example(&'static str),
    Bench(&'static str),
}

/// Builds one program of the workspace and says where it lies.
pub fn build(package: &str, what: Build) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--package", package, "--message-format=json-render-diagnostics"]);
    let name = match what {
        Build::Debug | Build::Release => package,
        Build::Example(name) | Build::Bench(name) => name,
    };
    command.arg(match what {
        Build::Debug | Build::Release => "--bin",
        Build::Example(_) => "--example",
        Build::Bench(_) => "--bench",
    });
    command.arg(name);
    if what != Build::Debug {
        command.arg("--release");
    }
    command.stderr(Stdio::inherit());
    let output = capture(&mut command)?;
    if !output.status.success() {
        return Err(Failure::new(format!("{name} of {package} does not build")));
    }
    executable(&String::from_utf8_lossy(&output.stdout), name)
        .ok_or_else(|| Failure::new(format!("cargo built {name} but does not say where it is")))
}

/// The program's path in what cargo says with `--message-format=json`.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact" && m["target"]["name"] == name)
        .find_map(|m| m["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_program_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"libc"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"holdfastctl"},"executable":"/t/holdfastctl"}"#,
        );
        assert_eq!(executable(messages, "holdfastctl"), Some(PathBuf::from("/t/holdfastctl")));
        assert_eq!(executable(messages, "other"), None);
    }

    #[test]
    fn quiet_failures_quote_the_program() {
        let failure = quiet(Command::new("sh").args(["-c", "echo no room >&2; exit 7"]), &[0]).unwrap_err();
        assert!(failure.to_string().contains("no room"), "{failure}");
        assert!(quiet(Command::new("sh").args(["-c", "exit 7"]), &[0, 7]).is_ok());
    }

    #[test]
    fn finds_programs_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
