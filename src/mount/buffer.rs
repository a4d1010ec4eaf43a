//! Memory to read into, kept by each thread: a fresh megabyte for every request would cost as
//! much as the reading.

use std::cell::RefCell;

thread_local! {
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Goes back to the thread that drops it.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// `len` bytes of unspecified content.
    pub fn take(len: usize) -> Buffer {
        let mut memory = SPARE.take();
        if memory.len() < len {
            memory.resize(len, 0);
        }
        Buffer { memory, len }
    }

    pub fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// Only the first `len` bytes from now on.
    pub fn shorten(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.memory));
    }
}
