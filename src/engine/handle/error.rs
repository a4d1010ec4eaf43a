//! The engine's one public error: what the class of a failure means to a client.

/// What is to be done about an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Asked for something that makes no sense or is not there.
    Usage,
    /// The location is offline or the time ran out; later it may go.
    Offline,
    /// Refused to keep something safe; the text says what would allow it.
    Refused,
    /// It failed.
    Failed,
}

/// One plain sentence that names the thing, the cause and the way out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    pub kind: ErrorKind,
    pub text: String,
}

impl Error {
    pub fn usage(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Usage, text: text.into() }
    }

    pub fn offline(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Offline, text: text.into() }
    }

    pub fn refused(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Refused, text: text.into() }
    }

    pub fn failed(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Failed, text: text.into() }
    }
}
