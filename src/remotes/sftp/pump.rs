//! The three tasks of a session: one writes, one reads, one looks whether it gets on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_engine::model::OfflineReason;
use holdfast_engine::remote::RemoteError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};

use super::codec::{Extensions, MAX_MESSAGE_BYTES, decode, decode_version, init};
use super::refusal::{self, Stderr};
use super::session::{Shared, Slot, lock};
use super::ssh::{Child, Ends};

/// So many ticks without progress are the deadline.
const TICKS: u32 = 8;
/// What the server may need long for, and saying hello, where keys are asked for and hosts are jumped.
const SLOW: u32 = 4;
/// A request that later ones overtake is given up after so many deadlines, any at all after so many.
const OVERTAKEN: u32 = 8;
const HOPELESS: u32 = 40;
const BUFFER_BYTES: usize = 256 << 10;

/// Says hello and takes the server's; the sentence of a refusal is ssh's own, made plain.
pub async fn hello(
    child: &mut Child,
    ends: &mut Ends,
    deadline: Duration,
) -> Result<(Extensions, Stderr), RemoteError> {
    let stderr = Stderr::watch(ends.errors.take());
    let (input, output) = (&mut ends.input, &mut ends.output);
    let exchange = async {
        // An ssh that ended at once says why on its own.
        let _ = input.write_all(&init()).await;
        let mut length = [0; 4];
        output.read_exact(&mut length).await?;
        let bytes = u32::from_be_bytes(length);
        if !(5..=MAX_MESSAGE_BYTES).contains(&bytes) {
            return Ok(Err(refusal::no_sftp(&length, output).await));
        }
        let mut message = vec![0; bytes as usize];
        output.read_exact(&mut message).await?;
        std::io::Result::Ok(Ok(message))
    };
    let host = child.host().to_owned();
    match timeout(deadline * SLOW, exchange).await {
        Ok(Ok(Ok(message))) => match decode_version(&message) {
            Ok((3.., extensions)) => Ok((extensions, stderr)),
            Ok((version, _)) => Err(error(format!(
                "the server {host} speaks version {version} of SFTP; at least version 3 is needed"
            ))),
            Err(_) => Err(error(format!("what answers on the server {host} is no SFTP server"))),
        },
        Ok(Ok(Err(text))) => Err(error(format!(
            "the server {host} sends text where SFTP should begin ({text:?}): what its login prints must go \
             away for programs"
        ))),
        Ok(Err(_)) => Err(refusal::ended(child, stderr, false).await),
        Err(_) => {
            child.kill();
            Err(RemoteError::gone(format!("the server {host} does not answer")))
        }
    }
}

fn error(message: String) -> RemoteError {
    RemoteError::Gone { reason: OfflineReason::Error, message }
}

pub async fn write(to: pipe::Sender, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    let mut to = BufWriter::with_capacity(BUFFER_BYTES, to);
    while let Some(message) = queue.recv().await {
        let sent = async {
            // No progress yet: pipes and ssh take a lot before anything has left.
            to.write_all(&message).await?;
            if queue.is_empty() { to.flush().await } else { Ok(()) }
        };
        // The reader sees the same end and says so.
        if let Err(e) = sent.await {
            tracing::debug!(error = %e, "ssh takes no more");
            return;
        }
    }
}

pub async fn read(
    from: pipe::Receiver,
    shared: Arc<Shared>,
    child: Arc<Child>,
    stderr: Stderr,
    writer: tokio::task::AbortHandle,
) {
    let mut from = BufReader::with_capacity(BUFFER_BYTES, from);
    loop {
        let wrong = match message(&mut from, &shared).await {
            Ok(Ok(message)) => match decode(message) {
                Ok((id, response)) => match shared.take(id, response) {
                    Ok(()) => continue,
                    Err(why) => why.to_owned(),
                },
                Err(malformed) => format!("it sends what is no SFTP: {malformed}"),
            },
            Ok(Err(bytes)) => format!("it announces a message of {bytes} bytes"),
            Err(e) => {
                tracing::debug!(error = %e, "ssh is gone");
                break;
            }
        };
        shared.fail(&child, &format!("the server {} cannot be trusted: {wrong}", child.host()));
        break;
    }
    writer.abort();
    if lock(&shared.pending).is_some() {
        shared.die(refusal::ended(&child, stderr, true).await);
    }
}

/// One message without its length; `Err` inside where its length is mad.
async fn message(
    from: &mut BufReader<pipe::Receiver>,
    shared: &Shared,
) -> std::io::Result<Result<Vec<u8>, u32>> {
    let length = from.read_u32().await?;
    if length > MAX_MESSAGE_BYTES {
        return Ok(Err(length));
    }
    let mut message = vec![0; length as usize];
    let mut filled = 0;
    while filled < message.len() {
        match from.read(&mut message[filled..]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
        shared.silent_ticks.store(0, Ordering::Relaxed);
        shared.heard.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Ok(message))
}

/// Counts ticks, so that a machine that slept, or a runtime that stood still, is not taken for a server
/// that does not answer.
pub async fn watch_over(shared: Arc<Shared>, child: Arc<Child>, deadline: Duration) {
    let mut ticks = tokio::time::interval(deadline / TICKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answered = shared.answered.load(Ordering::Relaxed);
        let (waiting, slow, late) = match lock(&shared.pending).as_mut() {
            None => return,
            Some(all) => {
                all.values_mut().for_each(|slot| slot.age += 1);
                let is_late = |slot: &Slot| {
                    slot.age > TICKS * HOPELESS || (slot.age > TICKS * OVERTAKEN && answered > slot.in_turn)
                };
                (!all.is_empty(), all.values().any(|slot| slot.slow), all.values().any(is_late))
            }
        };
        if !waiting {
            shared.silent_ticks.store(0, Ordering::Relaxed);
            continue;
        }
        let patience = if slow { TICKS * SLOW } else { TICKS };
        if late {
            shared.fail(&child, &format!("the server {} leaves a request unanswered", child.host()));
            return;
        }
        if shared.silent_ticks.fetch_add(1, Ordering::Relaxed) >= patience {
            child.was_silent();
            shared.fail(&child, &format!("the server {} does not answer", child.host()));
            return;
        }
    }
}
