//! The one place where refusals of a server become errors.
//!
//! Version 3 has few codes, and `Failure` stands for most of what can go wrong: what it means is found
//! out by who asked, by looking.

use holdfast_engine::remote::RemoteError;

use super::answer::Failure;
use super::codec::{Code, Status};

/// For the one thing that was asked for.
pub fn refused(failure: Failure) -> RemoteError {
    let status = match failure {
        Failure::Lost(error) => return error,
        Failure::Says(status) => status,
    };
    match status.code {
        Code::NoSuchFile => RemoteError::NotFound,
        Code::PermissionDenied => RemoteError::Forbidden("permission denied".into()),
        Code::ReadOnly => RemoteError::Forbidden("it is read-only".into()),
        Code::Exists => RemoteError::Changed { now: None },
        Code::NotEmpty => RemoteError::NotEmpty,
        Code::NoSpace => RemoteError::NoSpace(words(&status, "it has no room left")),
        Code::BadName => RemoteError::BadName(words(&status, "it does not take this name")),
        Code::Unsupported => RemoteError::Unsupported("its SFTP server does not know this request"),
        _ => RemoteError::Io(words(&status, "it does not say why")),
    }
}

/// For a request that gives something a new name.
pub fn naming(failure: Failure) -> RemoteError {
    match failure.code() {
        // What OpenSSH makes of a name that is too long, or that the file system cannot hold.
        Some(Code::BadMessage) => RemoteError::BadName("it does not take this name".into()),
        _ => refused(failure),
    }
}

fn words(status: &Status, otherwise: &str) -> String {
    let said = status.message.trim();
    match said {
        "" | "Failure" | "Bad message" => otherwise.to_owned(),
        _ => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(code: Code, message: &str) -> Failure {
        Failure::Says(Status { code, message: message.into() })
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(refused(says(Code::NoSuchFile, "")), RemoteError::NotFound);
        assert!(matches!(refused(says(Code::PermissionDenied, "x")), RemoteError::Forbidden(_)));
        assert!(matches!(naming(says(Code::BadMessage, "Bad message")), RemoteError::BadName(_)));
        assert!(matches!(refused(says(Code::NoSpace, "")), RemoteError::NoSpace(_)));
        assert_eq!(refused(says(Code::Failure, "Failure")), RemoteError::Io("it does not say why".into()));
        assert_eq!(refused(says(Code::Other(99), "odd")), RemoteError::Io("odd".into()));
        let gone = RemoteError::gone("away");
        assert_eq!(refused(Failure::Lost(gone.clone())), gone);
    }
}
