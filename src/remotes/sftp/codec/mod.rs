//! SFTP version 3 in bytes: what is sent and what is answered, without any I/O.
//!
//! Follows `draft-ietf-secsh-filexfer-02` and OpenSSH's `PROTOCOL` for its extensions. Names, paths,
//! handles and messages are bytes and never text. What a server sends is taken apart with a bound on
//! everything: nothing is allocated by a number that it names, only by the bytes that have come.

mod attrs;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod wire;

pub use attrs::Attrs;
pub use request::{Open, Request, encode, init};
pub use response::{
    Code, Data, Entry, Extensions, Handle, Limits, Response, Space, Status, decode, decode_version,
};

/// The longest message that is taken. Servers keep to a quarter of it.
pub const MAX_MESSAGE_BYTES: u32 = 1 << 20;
/// What is to be answered to requests even by servers that do not say what they take.
pub const SAFE_DATA_BYTES: u32 = 32 << 10;

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    #[error("it ends too early")]
    Short,
    #[error("something stands behind its end")]
    Long,
    #[error("its kind {0} is unknown")]
    Kind(u8),
}
