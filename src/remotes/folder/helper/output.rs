//! The helper's way of answering. A pipe that cannot be written means that the engine is gone.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::pool::not_counted;
use crate::folder::frame;
use crate::folder::protocol::Answer;

pub struct Output {
    pipe: Mutex<std::fs::File>,
}

impl Output {
    pub fn new(pipe: std::fs::File) -> Output {
        Output { pipe: Mutex::new(pipe) }
    }

    pub fn send(&self, id: u64, answer: &Answer) {
        self.send_with(id, answer, Vec::new());
    }

    pub fn send_with(&self, id: u64, answer: &Answer, payload: Vec<u8>) {
        let sent = frame::encode(id, answer, payload).and_then(|frame| not_counted(|| self.write(&frame)));
        if sent.is_err() {
            std::process::exit(0);
        }
    }

    fn write(&self, frame: &frame::Frame) -> io::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *pipe, frame)
    }
}
