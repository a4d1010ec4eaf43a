//! Runs tasks one at a time; which of those that can run is next is drawn from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use holdfast_engine::model::Time;
use holdfast_engine::world::Task;
use parking_lot::Mutex;

use super::timer::{Timer, Timers};
use super::trace::Trace;
use crate::rng::Rng;

/// Where the wall clock of every world begins: 2026-01-01T00:00:00Z.
const WALL_START: Time = Time(1_767_225_600_000_000_000);

/// So many steps without time going on are a loop that waits by spinning.
const SPIN_LIMIT: u32 = 5_000_000;

/// The task number of the future handed to `run`.
const MAIN: u64 = 0;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LifeId(u64);

impl LifeId {
    /// What belongs to no engine: the server, the test itself.
    pub(super) const WORLD: LifeId = LifeId(0);
}

pub(super) enum Ended<T> {
    Done(T),
    Quiet,
    TimeUp,
}

/// Tasks that can run, each once, in the order of their waking.
#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

impl Ready {
    fn add(&self, task: u64) {
        let mut ready = self.0.lock();
        if !ready.contains(&task) {
            ready.push(task);
        }
    }
}

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.add(self.task);
    }
}

struct Slot {
    life: LifeId,
    /// Taken out while it is polled.
    task: Option<Task>,
    waker: Waker,
}

struct State {
    wall_offset: i64,
    order: Rng,
    handed_out: Rng,
    timers: Timers,
    tasks: BTreeMap<u64, Slot>,
    next_task: u64,
    next_life: u64,
    ended: BTreeSet<LifeId>,
    trace: Trace,
}

/// What all clones of a world share. Futures are polled and dropped with no lock held.
pub(super) struct Shared {
    pub(super) seed: u64,
    ready: Arc<Ready>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Shared {
        Shared {
            seed,
            ready: Arc::default(),
            state: Mutex::new(State {
                wall_offset: 0,
                order: Rng::of(seed, "order of tasks"),
                handed_out: Rng::of(seed, "handed out"),
                timers: Timers::default(),
                tasks: BTreeMap::new(),
                next_task: MAIN + 1,
                next_life: 1,
                ended: BTreeSet::new(),
                trace: Trace::default(),
            }),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.state.lock().timers.now
    }

    pub(super) fn wall(&self) -> Time {
        let state = self.state.lock();
        let time = WALL_START + state.timers.now;
        Time(time.0.saturating_add(state.wall_offset))
    }

    pub(super) fn jump(&self, nanos: i64) {
        let mut state = self.state.lock();
        state.wall_offset = state.wall_offset.saturating_add(nanos);
    }

    pub(super) fn random(&self) -> u64 {
        self.state.lock().handed_out.next_u64()
    }

    pub(super) fn timer(self: &Arc<Self>, duration: Duration) -> Timer {
        Timer::new(self.clone(), duration)
    }

    pub(super) fn with_timers<T>(&self, f: impl FnOnce(&mut Timers) -> T) -> T {
        f(&mut self.state.lock().timers)
    }

    pub(super) fn begin_life(&self) -> LifeId {
        let mut state = self.state.lock();
        let id = LifeId(state.next_life);
        state.next_life += 1;
        id
    }

    pub(super) fn end_life(&self, life: LifeId) {
        let dropped: Vec<Slot> = {
            let mut state = self.state.lock();
            state.ended.insert(life);
            let ids: Vec<u64> = state
                .tasks
                .iter()
                .filter(|(_, slot)| slot.life == life && slot.task.is_some())
                .map(|(&id, _)| id)
                .collect();
            ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
        };
        self.trace(|| format!("life {} ends with {} tasks", life.0, dropped.len()));
        drop(dropped);
    }

    pub(super) fn spawn(&self, life: LifeId, task: Task) {
        let refused = {
            let mut state = self.state.lock();
            if state.ended.contains(&life) {
                Some(task)
            } else {
                let id = state.next_task;
                state.next_task += 1;
                let waker = self.waker(id);
                let task = Some(task);
                state.tasks.insert(id, Slot { life, task, waker });
                self.ready.add(id);
                None
            }
        };
        drop(refused);
    }

    pub(super) fn tasks(&self) -> usize {
        self.state.lock().tasks.len()
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        let line = line();
        let mut state = self.state.lock();
        let now = state.timers.now;
        state.trace.note(now, line);
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.state.lock().trace.hash()
    }

    pub(super) fn trace_tail(&self, lines: usize) -> String {
        self.state.lock().trace.tail(lines)
    }

    fn waker(&self, task: u64) -> Waker {
        let ready = self.ready.clone();
        Waker::from(Arc::new(TaskWaker { task, ready }))
    }

    /// Runs until the main future is done, nothing can ever run again, or the time is up.
    pub(super) fn run<T>(&self, main: Option<impl Future<Output = T>>, limit: Duration) -> Ended<T> {
        let end = self.now().saturating_add(limit);
        let waker = self.waker(MAIN);
        let mut main = pin!(main);
        self.ready.0.lock().retain(|&task| task != MAIN);
        if main.is_some() {
            self.ready.add(MAIN);
        }
        let mut steps = 0;
        loop {
            match self.pick() {
                Some(MAIN) => {
                    let polled = main
                        .as_mut()
                        .as_pin_mut()
                        .map(|future| future.poll(&mut Context::from_waker(&waker)));
                    if let Some(Poll::Ready(value)) = polled {
                        return Ended::Done(value);
                    }
                }
                Some(task) => self.poll(task),
                None => {
                    steps = 0;
                    let fired = self.with_timers(|timers| match timers.next() {
                        None => Err(Ended::Quiet),
                        Some(at) if at > end => {
                            timers.now = end;
                            Err(Ended::TimeUp)
                        }
                        Some(_) => Ok(timers.advance()),
                    });
                    match fired {
                        Ok(wakers) => wakers.into_iter().for_each(Waker::wake),
                        Err(ended) => return ended,
                    }
                }
            }
            steps += 1;
            assert!(
                steps < SPIN_LIMIT,
                "seed {}: something spins without letting time go on; the last steps were:\n{}",
                self.seed,
                self.trace_tail(40)
            );
        }
    }

    /// Draws which of the tasks that can run is next.
    fn pick(&self) -> Option<u64> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut ready = self.ready.0.lock();
        ready.retain(|task| *task == MAIN || state.tasks.contains_key(task));
        if ready.is_empty() {
            return None;
        }
        let at = state.order.index(ready.len());
        let task = ready.remove(at);
        state.trace.step(task);
        Some(task)
    }

    fn poll(&self, id: u64) {
        let Some((mut task, waker)) = ({
            let mut state = self.state.lock();
            let slot = state.tasks.get_mut(&id);
            slot.and_then(|slot| Some((slot.task.take()?, slot.waker.clone())))
        }) else {
            return;
        };
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let dropped = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let ended = state.tasks.get(&id).is_none_or(|s| state.ended.contains(&s.life));
            if done || ended {
                state.tasks.remove(&id);
                Some(task)
            } else {
                if let Some(slot) = state.tasks.get_mut(&id) {
                    slot.task = Some(task);
                }
                None
            }
        };
        drop(dropped);
    }
}
