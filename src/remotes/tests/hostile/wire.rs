//! How messages are written and requests are read, by the draft.

pub struct Message(Vec<u8>);

impl Message {
    pub fn new(kind: u8) -> Message {
        Message(vec![kind])
    }

    pub fn u32(mut self, value: u32) -> Message {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u64(self, value: u64) -> Message {
        self.u32((value >> 32) as u32).u32(value as u32)
    }

    pub fn string(self, bytes: &[u8]) -> Message {
        self.u32(bytes.len() as u32).raw(bytes)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes);
        self
    }

    fn attrs(self, mode: u32, size: u64) -> Message {
        // Size, owner, permissions, times.
        self.u32(15).u64(size).u32(1000).u32(1000).u32(mode).u32(1_500_000_000).u32(1_500_000_000)
    }

    pub fn framed(self) -> Vec<u8> {
        [&(self.0.len() as u32).to_be_bytes()[..], &self.0].concat()
    }
}

pub fn status(id: u32, code: u32) -> Vec<u8> {
    Message::new(101).u32(id).u32(code).string(b"\x1b[31msaid\n").string(b"").framed()
}

pub fn handle(id: u32, handle: &[u8]) -> Vec<u8> {
    Message::new(102).u32(id).string(handle).framed()
}

pub fn data(id: u32, bytes: &[u8]) -> Vec<u8> {
    Message::new(103).u32(id).string(bytes).framed()
}

/// Name, mode and size of each.
pub fn names(id: u32, entries: &[(&[u8], u32, u64)]) -> Vec<u8> {
    let message = Message::new(104).u32(id).u32(entries.len() as u32);
    let put = |message: Message, (name, mode, size): &(&[u8], u32, u64)| {
        message.string(name).string(b"as ls says").attrs(*mode, *size)
    };
    entries.iter().fold(message, put).framed()
}

pub fn attrs(id: u32, mode: u32, size: u64) -> Vec<u8> {
    Message::new(105).u32(id).attrs(mode, size).framed()
}

/// Kind, number, and the first string of a request: its path or handle.
pub fn parse(message: &[u8]) -> Option<(u8, u32, &[u8])> {
    let number = |at: usize| Some(u32::from_be_bytes(message.get(at..at + 4)?.try_into().ok()?));
    let length = number(5)? as usize;
    Some((*message.first()?, number(1)?, message.get(9..9 + length)?))
}
