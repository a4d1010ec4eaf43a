//! Plain folders: as they are, and as if their file system could less.

use holdfast_remotes::folder::Pretend;

use crate::support::Plain;

mod plain {
    use super::*;

    async fn fixture() -> Option<Plain> {
        Some(Plain::new(Pretend::default()).await)
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// Ranges are written into a copy of the old content.
mod ranged {
    use super::*;

    async fn fixture() -> Option<Plain> {
        Some(Plain::new(Pretend { copy_for_ranges: true, ..Pretend::default() }).await)
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// As most network mounts: no flags for `renameat2`.
mod no_exchange {
    use super::*;

    async fn fixture() -> Option<Plain> {
        Some(Plain::new(Pretend { no_rename_flags: true, ..Pretend::default() }).await)
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// As the poorest: no hard links either.
mod no_hard_links {
    use super::*;

    async fn fixture() -> Option<Plain> {
        let pretend = Pretend { no_rename_flags: true, no_hard_links: true, ..Pretend::default() };
        Some(Plain::new(pretend).await)
    }
    holdfast_remotes::conformance_tests!(fixture);
}

/// A type of file system that nobody knows: size and time are all there is.
mod unknown_type {
    use super::*;

    async fn fixture() -> Option<Plain> {
        let pretend =
            Pretend { no_rename_flags: true, fs_type: Some("fuse.unheard-of".into()), ..Pretend::default() };
        Some(Plain::new(pretend).await)
    }
    holdfast_remotes::conformance_tests!(fixture);
}
