//! What a command came to.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::limit;

#[derive(Debug)]
pub struct Ran {
    pub spelled: String,
    /// Above 128 for a signal, as a shell counts.
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Runs to the end; what does not come to an end is a failure and not a hang.
    #[track_caller]
    pub fn of(command: &mut Command) -> Ran {
        let spelled = spelled(command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{spelled}: {e}"));
        let out = gather(child.stdout.take());
        let err = gather(child.stderr.take());
        let end = Instant::now() + limit();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
                other => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("{spelled} does not end ({other:?})");
                }
            }
        };
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ran {
            spelled,
            code: status.code().unwrap_or(128 + signal.unwrap_or(0)),
            out: out.join().unwrap_or_default(),
            err: String::from_utf8_lossy(&err.join().unwrap_or_default()).into_owned(),
        }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            code,
            "exit status of {}\nout: {}\nerr: {}",
            self.spelled,
            self.text(),
            self.err
        );
        self
    }

    /// A failed program that is no command of ours.
    #[track_caller]
    pub fn done(self) -> Ran {
        self.code(0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The one JSON value on standard output, and nothing else there.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|e| {
            panic!("{} printed no single JSON value ({e}): {text:?} {}", self.spelled, self.err)
        })
    }

    /// Refused with one plain sentence on standard error that holds these words, and nothing said
    /// on standard output.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> Ran {
        self.refused_with_any(&[code], words)
    }

    /// As `refused`, where it is a matter of taste whether it failed or was wrong use.
    #[track_caller]
    pub fn refused_with_any(self, codes: &[i32], words: &[&str]) -> Ran {
        let expected = if codes.contains(&self.code) { self.code } else { codes[0] };
        let ran = self.code(expected);
        let line = ran.err.strip_suffix('\n').unwrap_or(&ran.err);
        let said = &ran.err;
        assert!(
            line.starts_with("holdfastctl: ")
                && !line.contains('\n')
                && line.len() > "holdfastctl: ".len() + 10,
            "{}: not one plain line: {said:?}",
            ran.spelled
        );
        assert_eq!(ran.text(), "", "{}: nothing belongs on standard output", ran.spelled);
        for word in words {
            assert!(line.contains(word), "{}: {word:?} is not in {said:?}", ran.spelled);
        }
        for odd in ["Err(", "Some(", "Error {", "panicked", "unwrap", "os error"] {
            assert!(!line.contains(odd), "{}: no plain sentence: {said:?}", ran.spelled);
        }
        ran
    }
}

fn gather(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn spelled(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name();
    let mut words = vec![name.unwrap_or_default().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    format!("`{}`", words.join(" "))
}
