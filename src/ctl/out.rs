//! Standard output: text for people, or one JSON value.

use std::io::{self, Write};

use serde_json::Value;

use crate::exit::Ended;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Out {
    Text,
    Json,
}

impl Out {
    /// Prints one of the two; only that one is made.
    pub fn print(self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Ended<()> {
        let mut printed = match self {
            Out::Json => json().to_string(),
            Out::Text => text(),
        };
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(printed.as_bytes())?;
        Ok(out.flush()?)
    }

    /// For commands that only act.
    pub fn acted(self, text: impl FnOnce() -> String) -> Ended<()> {
        self.print(|| serde_json::json!({ "ok": true }), text)
    }
}
