//! The commands and their arguments. What is malformed is found here: exit status 2.

mod choice;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use holdfast_engine::model::{ConflictKind, Side};

pub use choice::{ChoiceArgs, Chosen};

use crate::exit::{Ended, Exit, Failure};

#[derive(Parser, Debug)]
#[command(
    name = "holdfastctl",
    version,
    about = "Keeps the folders of a file server on this computer, usable without a network",
    after_help = "A PATH is NAME:path/in/location, or a path inside the mount.\n\
        Exit status: 0 done; 1 failed; 2 wrong use; 3 no engine is running; 4 done as far as possible, \
        and something waits for a person.",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Print one JSON value
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the engine and the mount, without a window, until SIGTERM or SIGINT
    Serve {
        /// Where the mount is to be [default: ~/Holdfast]
        #[arg(long, value_name = "DIR")]
        mount: Option<PathBuf>,
        /// Mount options, as `mount -o` takes them
        #[arg(short = 'o', value_name = "OPTION,…", value_delimiter = ',')]
        options: Vec<String>,
        /// Take over from the engine that serves now, after an upgrade: programs wait a moment and go on
        #[arg(long)]
        replace: bool,
    },
    /// Add, list, remove and set up locations
    Location {
        #[command(subcommand)]
        command: LocationCommand,
    },
    /// Keep a folder or file wholly here, now and in future
    Pin {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
        /// Return when all of it is here
        #[arg(long)]
        wait: bool,
    },
    /// No longer keep it here
    Unpin {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
    },
    /// What is pinned, and how much of it is here
    Pins,
    /// Drop content that is neither pinned nor changed
    Evict {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
    },
    /// Work offline by hand; returns when nothing is in flight
    Offline {
        #[arg(value_parser = values::location_name)]
        name: Option<String>,
    },
    /// End working offline by hand
    Online {
        #[arg(value_parser = values::location_name)]
        name: Option<String>,
    },
    /// Connect, observe and replay now
    Sync {
        #[arg(value_parser = values::location_name)]
        name: Option<String>,
        /// Return when nothing waits but conflicts or problems
        #[arg(long)]
        wait: bool,
        /// Wait no longer than this
        #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
        timeout: Option<Duration>,
    },
    /// What could not be done, and why
    Problems {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: Option<OsString>,
    },
    /// Try a problem again
    Retry {
        #[arg(value_parser = values::id)]
        id: u64,
    },
    /// Consent to what was stopped
    Confirm {
        #[arg(value_parser = values::id)]
        id: u64,
    },
    /// The engine and its locations
    Status,
    /// What waits to be replayed
    Changes {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: Option<OsString>,
    },
    /// Write the waiting changes into a tar archive (`-`: to standard output)
    Export {
        #[arg(value_name = "FILE.tar")]
        file: PathBuf,
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: Option<OsString>,
    },
    /// Open conflicts
    Conflicts {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: Option<OsString>,
    },
    /// Metadata of original, local and server
    States {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
    },
    /// Content of one state
    Cat {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
        #[arg(long, value_name = "STATE", value_parser = values::side())]
        state: Side,
    },
    /// Decide conflicts: one each by path, or in bulk
    Resolve(ResolveArgs),
    /// What happened to an item
    Why {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: OsString,
    },
    /// Versions that lost
    Stash {
        #[command(subcommand)]
        command: StashCommand,
    },
    /// Resolutions and reconnections, newest first
    ///
    /// A reconnection tells what was sent and taken since a location was away. Ten of each location can be taken
    /// back, for a week, as long as there is room for what was before.
    History,
    /// Take one back: the newest, or the one of this number
    ///
    /// Both sides get again what they had agreed on before, as a new change that is sent like any other. What
    /// stands there now goes to the stash. What is not here, is open in a program or waits in a conflict stays as
    /// it is, and is counted.
    Undo {
        #[arg(value_parser = values::id)]
        id: Option<u64>,
    },
    /// Verify store, log and trees against each other, and content against its checksums
    Check {
        #[arg(long)]
        repair: bool,
    },
    /// One JSON value a line, until interrupted
    Events,
    /// Print the completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man {
        /// Write one page for each command into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Subcommand, Debug)]
pub enum LocationCommand {
    /// Keep a folder of a file server: file:///dir, sftp://[user@]host[:port]/dir, …
    Add {
        #[arg(value_parser = values::location_name)]
        name: String,
        #[arg(value_parser = values::url)]
        url: String,
    },
    /// All locations
    List,
    /// No longer keep it; refused while changes wait
    Remove {
        #[arg(value_parser = values::location_name)]
        name: String,
        /// Put waiting changes into the stash
        #[arg(long)]
        discard: bool,
    },
    /// Change a setting, such as `miss fail|wait|ask`, `ignore PATTERN`, `limit SIZE`, `limit-up RATE`
    ///
    /// `limit SIZE`: how much of the location may be here. `limit-up RATE`, `limit-down RATE`: bytes of files
    /// a second that may go to the server, and come from it (`500K`, `2M`; at least `16K`). `requests NUMBER`:
    /// so many calls at once, and no more, for a server that takes only a few. Each takes `none` as well, and
    /// counts at once, also for what is under way. What a program waits for goes first within them.
    Set {
        #[arg(value_parser = values::location_name)]
        name: String,
        key: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

#[derive(Subcommand, Debug)]
pub enum StashCommand {
    /// All of them, or those of a path
    List {
        #[arg(value_name = "PATH", value_parser = values::path())]
        path: Option<OsString>,
    },
    /// The content of one
    Cat {
        #[arg(value_parser = values::id)]
        id: u64,
    },
    /// Put one back as a local change
    Restore {
        #[arg(value_parser = values::id)]
        id: u64,
        /// In place of where it was
        #[arg(long, value_name = "PATH", value_parser = values::path())]
        to: Option<OsString>,
    },
    /// Give one up for ever
    Drop {
        #[arg(value_parser = values::id)]
        id: u64,
    },
}

#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// Conflicts by their paths
    #[arg(
        value_name = "PATH",
        value_parser = values::path(),
        required_unless_present = "under",
        conflicts_with = "under"
    )]
    pub paths: Vec<OsString>,
    /// All conflicts in this folder
    #[arg(long, value_name = "PATH", value_parser = values::path())]
    pub under: Option<OsString>,
    /// Only those whose path below the folder matches
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "paths")]
    pub pattern: Option<OsString>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND", conflicts_with = "paths", value_parser = values::conflict_kind())]
    pub kind: Option<ConflictKind>,
    /// Only show what would be decided
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub choice: ChoiceArgs,
}

/// Help and version are printed here and end the program as done.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Ended<Cli> {
    Cli::try_parse_from(args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printed = error.print();
            Failure { exit: if printed.is_ok() { Exit::Done } else { Exit::Failed }, text: String::new() }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::wrong_use("a command is missing; see `holdfastctl --help`")
        }
        _ => Failure::wrong_use(sentence(&error.to_string())),
    })
}

/// The first paragraph of clap's message, without its `error: `.
fn sentence(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or_default();
    paragraph.strip_prefix("error: ").unwrap_or(paragraph).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Ended<Cli> {
        parse(std::iter::once("holdfastctl").chain(line.split(' ')).map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_use_is_one_sentence() {
        for line in [
            "frobnicate",
            "pin",
            "pin nas: --what",
            "retry x",
            "cat nas:a",
            "cat nas:a --state mine",
            "location add -x file:///a",
            "location add .x file:///a",
            "location add nas nonsense",
            "location add nas file://relative",
            "sync --timeout soon",
            "resolve nas:a",
            "resolve --keep local",
            "resolve nas:a --keep mine",
            "resolve nas:a --keep local --later",
            "resolve nas:a --under nas: --keep local",
            "resolve nas:a --match *.o --keep local",
            "resolve --under nas: --kind odd --keep local",
            "resolve nas:a --resolver git",
            "misses",
            "pin nas:a/../b",
            "why ",
        ] {
            let failure = parsed(line).expect_err(line);
            assert_eq!(failure.exit, Exit::WrongUse, "{line}");
            assert!(!failure.text.contains('\n') && failure.text.len() > 10, "{line}: {}", failure.text);
        }
    }

    #[test]
    fn json_may_stand_anywhere() {
        assert!(parsed("--json status").unwrap().json);
        assert!(parsed("location list --json").unwrap().json);
    }

    #[test]
    fn paths_are_bytes_and_may_begin_with_a_dash() {
        let args = [&b"holdfastctl"[..], b"unpin", b"--", b"-\xff"];
        let cli = parse(args.map(|arg| OsString::from_vec(arg.to_vec()))).unwrap();
        let Command::Unpin { path } = cli.command else {
            panic!("another command");
        };
        assert_eq!(path.into_vec(), b"-\xff");
    }

    #[test]
    fn values_are_read() {
        let Command::Sync { name, wait, timeout } = parsed("sync nas --wait --timeout 2.5").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!((name.as_deref(), wait, timeout), (Some("nas"), true, Some(Duration::from_millis(2500))));
        let Command::Serve { options, .. } = parsed("serve -o allow_other,suid -o dev").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(options, ["allow_other", "suid", "dev"]);
        assert!(parsed("location set nas ignore -*").is_ok());
        assert!(parsed("resolve --under nas: --match *.o --kind edit/edit --keep newest --dry-run").is_ok());
    }
}
