//! The one place where error numbers become failures.

use rustix::io::Errno;

use crate::folder::protocol::{Failure, Lacking};

/// What the system says, as a clause without its number.
pub fn text(errno: Errno) -> String {
    let full = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = full.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => full,
    }
}

/// What an error number means for the one thing that was asked for.
pub fn failure(errno: Errno) -> Failure {
    match errno {
        // A link where a folder should be is no folder: it is never followed.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Failure::NotFound,
        Errno::EXIST => Failure::Changed(None),
        Errno::NOTEMPTY => Failure::NotEmpty,
        Errno::XDEV => Failure::Forbidden("another file system is mounted there".into()),
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY | Errno::TXTBSY | Errno::KEYEXPIRED => {
            Failure::Forbidden(text(errno))
        }
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::MLINK => Failure::NoSpace(text(errno)),
        Errno::NAMETOOLONG | Errno::ILSEQ => Failure::BadName(text(errno)),
        Errno::OPNOTSUPP | Errno::NOSYS => Failure::Unsupported(Lacking::Call),
        Errno::NOTCONN
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::TIMEDOUT
        | Errno::NODEV
        | Errno::NXIO
        | Errno::NETDOWN
        | Errno::NETUNREACH
        | Errno::NETRESET
        | Errno::CONNABORTED
        | Errno::CONNRESET
        | Errno::CONNREFUSED
        | Errno::SHUTDOWN
        | Errno::NOLINK
        | Errno::COMM => Failure::Gone(format!("the server cannot be reached: {}", text(errno))),
        // EIO and ESTALE too: whether the whole server is gone is asked afterwards, at the root.
        _ => Failure::Io(text(errno)),
    }
}

/// As [`failure`], for a call that gives something a new name.
pub fn naming(errno: Errno) -> Failure {
    match errno {
        Errno::INVAL => Failure::BadName("it does not take this name".into()),
        _ => failure(errno),
    }
}

/// Whether a call says that the file system does not have it at all.
pub fn lacks(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_no_numbers() {
        assert_eq!(text(Errno::ACCESS), "permission denied");
    }

    #[test]
    fn transport_is_told_from_refusal() {
        assert!(matches!(failure(Errno::NOTCONN), Failure::Gone(_)));
        assert!(matches!(failure(Errno::ROFS), Failure::Forbidden(_)));
        assert!(matches!(failure(Errno::DQUOT), Failure::NoSpace(_)));
        assert!(matches!(failure(Errno::LOOP), Failure::NotFound));
        assert!(matches!(failure(Errno::IO), Failure::Io(_)));
    }
}
