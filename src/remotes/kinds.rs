//! What of modes and kinds of files is taken from a server.

/// No set-uid, no set-gid: from a server these mean nothing here.
pub const MODE_MASK: u32 = 0o1777;

/// Why a special file is refused, by the bits of its kind.
pub fn special(bits: u32) -> &'static str {
    match bits {
        0o010_000 => "a named pipe cannot be kept",
        0o140_000 => "a socket cannot be kept",
        0o020_000 | 0o060_000 => "a device cannot be kept",
        _ => "this kind of file cannot be kept",
    }
}
