//! Signals as a stream of events.
//!
//! A reader that falls behind never holds up the answers on the same connection: its events are
//! dropped, and it is told `Lost`, as by the engine itself.

use async_channel::{Receiver, Sender, TrySendError};
use futures::StreamExt;
use futures::future::{Either, select};
use holdfast_engine::handle::{Event, Revised};
use zbus::{MatchRule, MessageStream, message};

use super::{Client, error};
use crate::commands::Answer;
use crate::wire::{Carried, Signal};

/// As many events may wait for the reader.
const WAITING: usize = 4096;

impl Client {
    pub(super) async fn subscribe_to_signals(&self) -> Answer<Receiver<Revised>> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface("app.holdfast.Engine1.Events")
            .map_err(error)?
            .build();
        let signals =
            MessageStream::for_match_rule(rule, &self.connection, Some(WAITING)).await.map_err(error)?;
        let (sender, receiver) = async_channel::bounded(WAITING);
        self.connection.executor().spawn(pass_on(signals, sender), "events from the engine").detach();
        self.call::<_, ()>("Events", "Subscribe", &()).await?;
        Ok(receiver)
    }
}

/// Ends with the connection, or when the reader is gone.
async fn pass_on(mut signals: MessageStream, sender: Sender<Revised>) {
    let mut lost = false;
    loop {
        let gone = std::pin::pin!(sender.closed());
        let next = select(signals.next(), gone).await;
        let Either::Left((Some(Ok(message)), _)) = next else {
            return;
        };
        let header = message.header();
        let Some(signal) = header.member().and_then(|name| Signal::from_member(name.as_str())) else {
            continue;
        };
        let revised = match Carried::read(signal, &message.body()) {
            Ok(Carried { revision, event }) => Revised { revision, event },
            Err(strange) => {
                tracing::warn!(%strange, "an event was not understood");
                continue;
            }
        };
        let revised = match lost {
            true => Revised { event: Event::Lost, ..revised },
            false => revised,
        };
        match sender.try_send(revised) {
            Ok(()) => lost = false,
            Err(TrySendError::Full(_)) => lost = true,
            Err(TrySendError::Closed(_)) => return,
        }
    }
}
