//! An SFTP server that lies, run in place of `ssh`: the first argument says how.
//!
//! It writes its own messages, so that what it sends owes nothing to the code under test. It has one
//! folder `/srv` with one file in it, is read-only, and keeps to the protocol but for its one lie.

mod relay;
mod wire;

use std::io::Write;
use std::time::Duration;

use wire::{Message, attrs, data, handle, names, parse, status};

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const DENIED: u32 = 3;
const FAILURE: u32 = 4;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const CONTENT: &[u8] = b"hello";

struct Server {
    lie: String,
    /// Answers that wait to be sent in another order.
    held: Vec<Vec<u8>>,
    listings: u32,
    stats: u64,
    answers: u64,
}

fn main() {
    let lie = std::env::args().nth(1).unwrap_or_default();
    if lie == "relay" {
        let (specs, server) = (std::env::args().nth(2), std::env::args().nth(3));
        let _ = relay::run(&specs.unwrap_or_default(), &server.unwrap_or_default());
        return;
    }
    let mut server = Server { lie, held: Vec::new(), listings: 0, stats: 0, answers: 0 };
    // An end of the other side is an end of this one.
    let _ = server.serve();
}

impl Server {
    fn is(&self, lie: &str) -> bool {
        self.lie == lie
    }

    fn serve(&mut self) -> std::io::Result<()> {
        if self.is("text") {
            send(b"Welcome to nas!\nYou have mail.\n")?;
        }
        if self.is("silent") {
            std::thread::sleep(Duration::from_secs(3600));
        }
        read_message()?;
        let version: u32 = if self.is("version-2") { 2 } else { 3 };
        let extensions = if self.is("mad-extensions") { &[0xff; 40][..] } else { &[] };
        send(&Message::new(2).u32(version).raw(extensions).framed())?;
        if self.is("flood") {
            loop {
                send(&status(77, OK))?;
            }
        }
        loop {
            let message = read_message()?;
            let Some(answer) = self.answer(&message) else { continue };
            self.answers += 1;
            self.send(answer)?;
        }
    }

    fn send(&mut self, answer: Vec<u8>) -> std::io::Result<()> {
        // Once it is connected.
        let later = self.answers > 6;
        match self.lie.as_str() {
            "twice" if later => {
                send(&answer)?;
                send(&answer)
            }
            "wrong-id" if later => send(&status(0xdead_beef, OK)),
            "mad-length" if later => send(&[0xff, 0xff, 0xff, 0xf0, 101, 0, 0, 0, 1]),
            "no-length" if later => send(&[0, 0, 0, 0]),
            "cut" if later => {
                send(&answer[..answer.len() - 1])?;
                std::process::exit(0)
            }
            "short" if later => {
                let mut short = answer;
                let length = short.len();
                // The last string or number says more than there is.
                short[0..4].copy_from_slice(&((length - 6) as u32).to_be_bytes());
                send(&short[..length - 2])
            }
            "garbage" if later => send(&Message::new(99).u32(1).raw(&[7; 50]).framed()),
            "drip" if later => {
                send(&[0, 0, 1, 0])?;
                loop {
                    send(&[101])?;
                    std::thread::sleep(Duration::from_millis(30));
                }
            }
            "reorder" => {
                self.held.push(answer);
                // What is asked for at once is answered backwards.
                if !more_waits() {
                    for answer in std::mem::take(&mut self.held).into_iter().rev() {
                        send(&answer)?;
                    }
                }
                Ok(())
            }
            _ => send(&answer),
        }
    }

    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (kind, id, path) = parse(message)?;
        // What is no path is a handle.
        let is_file = path == b"/srv/file" || (!path.starts_with(b"/") && path != b"folder");
        let size = match self.lie.as_str() {
            "huge" => u64::MAX,
            "grows" => {
                self.stats += 1;
                CONTENT.len() as u64 + self.stats
            }
            _ => CONTENT.len() as u64,
        };
        Some(match kind {
            // realpath
            16 => names(id, &[(path, 0, 0)]),
            // lstat, fstat, stat
            7 | 8 | 17 if is_file && self.is("wrong-kind") => handle(id, b"a handle?"),
            7 | 8 | 17 if is_file && self.is("fifo") => attrs(id, 0o010_644, 0),
            7 | 8 | 17 if is_file => attrs(id, FILE, size),
            7 | 17 if path == b"/srv" => attrs(id, FOLDER, 0),
            // open for reading
            3 if path == b"/srv/file" && message.ends_with(&[0, 0, 0, 1, 0, 0, 0, 0]) => {
                match self.lie.as_str() {
                    "long-handles" => handle(id, &[b'h'; 200_000]),
                    "empty-handles" => handle(id, b""),
                    "changing-handles" => handle(id, format!("once-{}", self.answers).as_bytes()),
                    _ => handle(id, b"handle"),
                }
            }
            5 => self.read(id)?,
            4 => status(id, OK),
            11 => handle(id, b"folder"),
            12 => self.list(id)?,
            3 | 14 | 18 | 20 => status(id, DENIED),
            _ => status(id, NO_SUCH_FILE),
        })
    }

    fn read(&self, id: u32) -> Option<Vec<u8>> {
        Some(match self.lie.as_str() {
            "never" => return None,
            "more-data" => data(id, &[b'x'; 60_000]),
            "no-data" => data(id, b""),
            "changing-handles" => status(id, FAILURE),
            "grows" => data(id, b"hello!"),
            _ => data(id, CONTENT),
        })
    }

    fn list(&mut self, id: u32) -> Option<Vec<u8>> {
        self.listings += 1;
        let round = self.listings;
        let numbered = |round: u32| -> Vec<Vec<u8>> {
            (0..1000).map(|i| format!("{round:0>60}-{i:0>60}").into_bytes()).collect()
        };
        let many = |all: Vec<Vec<u8>>| {
            let entries: Vec<_> = all.iter().map(|name| (&name[..], FILE, 5)).collect();
            names(id, &entries)
        };
        Some(match self.lie.as_str() {
            "endless" => many(numbered(round)),
            "repeats" => many(numbered(1)),
            "empty-names" => names(id, &[]),
            "never-lists" => return None,
            _ if round.is_multiple_of(2) => status(id, EOF),
            "names" => {
                let long = [b'n'; 300];
                let odd: [&[u8]; 10] = [
                    b".",
                    b"..",
                    b"",
                    b"a/b",
                    b"../../etc/passwd",
                    b"a\0b",
                    &long,
                    b"/",
                    b"\xff\xfe",
                    b"good",
                ];
                names(id, &odd.map(|name| (name, FILE, 5)))
            }
            "mad-count" => Message::new(104).u32(id).u32(u32::MAX).framed(),
            _ => names(id, &[(b"file", FILE, if self.is("huge") { u64::MAX } else { 5 })]),
        })
    }
}

fn send(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn read_message() -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    fill(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    fill(&mut message)?;
    Ok(message)
}

/// Past the buffer of the library, so that what has come can be waited for.
fn fill(mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::read(std::io::stdin(), &mut *bytes)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => bytes = &mut bytes[n..],
        }
    }
    Ok(())
}

/// Whether another request has come already, or comes in a moment.
fn more_waits() -> bool {
    let stdin = std::io::stdin();
    let mut polled = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
    let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    rustix::event::poll(&mut polled, Some(&moment)).is_ok_and(|n| n > 0)
}
