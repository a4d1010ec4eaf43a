//! The engine's events as signals.
//!
//! Nothing is sent on a connection before its client asked. A client that does not read holds up
//! only its own connection: the engine then drops its events and says `Lost`.

use std::sync::Mutex;

use async_channel::Receiver;
use futures::FutureExt;
use holdfast_engine::handle::{Event, Revised};
use zbus::interface;
use zbus::object_server::SignalEmitter;

use super::faces::{Engine, Result};
use crate::wire::{ChangeDict, ConflictDict, LocationDict, PinDict, ProblemDict, Wire};

pub struct Events {
    engine: Engine,
    /// Ends with the connection, whose object this is.
    pump: Mutex<Option<zbus::Task<()>>>,
}

impl Events {
    pub fn new(engine: Engine) -> Events {
        Events { engine, pump: Mutex::new(None) }
    }
}

/// Each signal carries a revision of the engine's state and the whole new value.
#[interface(name = "app.holdfast.Engine1.Events")]
impl Events {
    /// Begins the signals on this connection. Calling it again does nothing.
    async fn subscribe(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<()> {
        let events = self.engine.subscribe().await?;
        let emitter = emitter.to_owned();
        let mut pump = match self.pump.lock() {
            Ok(pump) => pump,
            Err(poisoned) => poisoned.into_inner(),
        };
        if pump.is_none() {
            let task = connection.executor().spawn(pass_on(events, emitter), "events of the engine");
            *pump = Some(task);
        }
        Ok(())
    }

    /// A location and its counts, as in Status.Get.
    #[zbus(signal)]
    async fn location(emitter: &SignalEmitter<'_>, revision: u64, location: LocationDict)
    -> zbus::Result<()>;

    #[zbus(signal)]
    async fn location_removed(emitter: &SignalEmitter<'_>, revision: u64, name: &str) -> zbus::Result<()>;

    /// A pin, as in Pins.List.
    #[zbus(signal)]
    async fn pin(emitter: &SignalEmitter<'_>, revision: u64, pin: PinDict) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn unpinned(emitter: &SignalEmitter<'_>, revision: u64, path: Vec<u8>) -> zbus::Result<()>;

    /// A change, as in Changes.List.
    #[zbus(signal)]
    async fn change(emitter: &SignalEmitter<'_>, revision: u64, change: ChangeDict) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn change_done(emitter: &SignalEmitter<'_>, revision: u64, id: u64) -> zbus::Result<()>;

    /// A conflict, as in Conflicts.List.
    #[zbus(signal)]
    async fn conflict(emitter: &SignalEmitter<'_>, revision: u64, conflict: ConflictDict)
    -> zbus::Result<()>;

    #[zbus(signal)]
    async fn conflict_closed(emitter: &SignalEmitter<'_>, revision: u64, id: u64) -> zbus::Result<()>;

    /// A problem, as in Problems.List.
    #[zbus(signal)]
    async fn problem(emitter: &SignalEmitter<'_>, revision: u64, problem: ProblemDict) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn problem_closed(emitter: &SignalEmitter<'_>, revision: u64, id: u64) -> zbus::Result<()>;

    /// Events were lost: read everything again.
    #[zbus(signal)]
    async fn lost(emitter: &SignalEmitter<'_>, revision: u64) -> zbus::Result<()>;
}

/// Ends with the connection, which the emitter would else keep for ever.
async fn pass_on(events: Receiver<Revised>, emitter: SignalEmitter<'static>) {
    let closed = emitter.connection().closed().fuse();
    let mut closed = std::pin::pin!(closed);
    loop {
        let revised = futures::select_biased! {
            () = closed => return,
            revised = events.recv().fuse() => revised,
        };
        let Ok(revised) = revised else { return };
        if emit(&emitter, &revised).await.is_err() {
            return;
        }
    }
}

async fn emit(emitter: &SignalEmitter<'_>, revised: &Revised) -> zbus::Result<()> {
    let revision = revised.revision;
    match &revised.event {
        Event::Location(location) => Events::location(emitter, revision, location.to_wire()).await,
        Event::LocationRemoved(name) => Events::location_removed(emitter, revision, name).await,
        Event::Pin(pin) => Events::pin(emitter, revision, pin.to_wire()).await,
        Event::Unpinned(path) => Events::unpinned(emitter, revision, path.to_bytes()).await,
        Event::Change(change) => Events::change(emitter, revision, change.to_wire()).await,
        Event::ChangeDone(id) => Events::change_done(emitter, revision, *id).await,
        Event::Conflict(conflict) => Events::conflict(emitter, revision, conflict.to_wire()).await,
        Event::ConflictClosed(id) => Events::conflict_closed(emitter, revision, id.0).await,
        Event::Problem(problem) => Events::problem(emitter, revision, problem.to_wire()).await,
        Event::ProblemClosed(id) => Events::problem_closed(emitter, revision, id.0).await,
        Event::Lost => Events::lost(emitter, revision).await,
    }
}
