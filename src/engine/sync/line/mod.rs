//! The line to one server, shared by all who use it: who goes first, how much may go, how fast it is.
//!
//! What a program waits for goes first, then what is fetched, then replay. While something more urgent
//! is under way the others send a piece now and then: never nothing, or they would wait for ever. A limit
//! is one account for each direction, out of which every piece is paid before it is on its way.

mod limits;
mod measure;
mod metered;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::world::World;

pub use limits::Limits;
use measure::Measure;
pub use metered::Metered;

/// For whom a call is made; the urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    Program,
    Look,
    Fetch,
    Replay,
}

impl Who {
    /// Who has waited for so much longer goes before a more urgent one.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Who::Program => 0,
            Who::Look => 2,
            Who::Fetch => 5,
            Who::Replay => 15,
        })
    }

    fn is_background(self) -> bool {
        matches!(self, Who::Fetch | Who::Replay)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Up,
    Down,
}

/// A program that reads on comes back within this.
const LINGER: Duration = Duration::from_millis(200);
/// While something more urgent is under way, a piece goes so often.
const TRICKLE: Duration = Duration::from_secs(1);
/// Where it takes long, it is on its way for no more than one part in so many of the time.
const SHARE: f64 = 4.0;
/// What was not used of a limit is kept for so long.
const BURST: Duration = Duration::from_millis(100);
/// Least and most bytes of a piece where there is a limit; it is a quarter of a second's.
const PIECE: (u64, u64) = (16 << 10, 1 << 20);
/// Bytes that fetches may have under way: at first, at least, and at most.
const WINDOW: (u64, u64, u64) = (512 << 10, 256 << 10, 12 << 20);
/// A read that took less lets more be under way, one that took more lets less.
const SOON: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(5);

pub struct Line {
    world: Arc<dyn World>,
    state: Mutex<State>,
    changed: Event,
}

struct State {
    limits: Limits,
    up: Account,
    down: Account,
    calls: Queue,
    calls_under_way: usize,
    /// Of these, those that are neither a program's nor a look's.
    background: usize,
    programs: usize,
    lingers: Duration,
    /// Pieces on their way here that are not for a program.
    fetches: usize,
    /// When a piece may go although something more urgent is under way.
    trickle: [Duration; 2],
    window: u64,
    measure: Measure,
    heard: Duration,
}

/// Who waits, in the order of their turns.
#[derive(Default)]
struct Queue {
    waiting: BTreeSet<Place>,
    last: u64,
}

/// When its patience ends, and in which order they came.
type Place = (Duration, u64, Who);

/// What of a limit is used.
#[derive(Default)]
struct Account {
    queue: Queue,
    /// The next piece may go then.
    next: Duration,
}

#[derive(Clone, Copy)]
enum Which {
    Up,
    Down,
    Calls,
}

impl State {
    fn queue(&mut self, which: Which) -> &mut Queue {
        match which {
            Which::Up => &mut self.up.queue,
            Which::Down => &mut self.down.queue,
            Which::Calls => &mut self.calls,
        }
    }

    /// Whether something more urgent is under way.
    fn is_held_back(&self, who: Who, now: Duration) -> bool {
        let program = self.programs > 0 || now < self.lingers;
        match who {
            Who::Program | Who::Look => false,
            Who::Fetch => program,
            Who::Replay => program || (self.measure.is_slow() && self.fetches > 0),
        }
    }

    /// Whether it is this one's turn: those that are held back are passed over by the others, and go one
    /// after the other.
    fn is_next(&self, way: Way, place: Place, now: Duration) -> bool {
        let held = self.is_held_back(place.2, now);
        let before = self.account(way).queue.waiting.range(..place);
        let mut rivals = before.filter(|(_, _, who)| match held {
            true => *who == place.2,
            false => !self.is_held_back(*who, now),
        });
        rivals.next().is_none()
    }

    fn account(&self, way: Way) -> &Account {
        if way == Way::Up { &self.up } else { &self.down }
    }

    fn rate(&self, way: Way) -> Option<u64> {
        if way == Way::Up { self.limits.up } else { self.limits.down }
    }

    /// Pays for a piece; else when to ask again.
    fn pay(&mut self, way: Way, who: Who, bytes: u64, now: Duration) -> Result<(), Duration> {
        let rate = self.rate(way);
        let next = self.account(way).next;
        if rate.is_some() && now < next {
            self.measure.held(now);
            return Err(next);
        }
        if self.is_held_back(who, now) {
            // On a slow line a piece takes as long as it takes.
            let takes = self.measure.rate().map_or(0.0, |rate| bytes as f64 / rate.max(1) as f64);
            let trickle = &mut self.trickle[usize::from(who == Who::Replay)];
            if now < *trickle {
                return Err(*trickle);
            }
            *trickle = now + TRICKLE.max(Duration::from_secs_f64(takes * SHARE));
        }
        if let Some(rate) = rate {
            let account = if way == Way::Up { &mut self.up } else { &mut self.down };
            // Nothing is saved up but a moment's worth.
            let costs = Duration::from_secs_f64(bytes as f64 / rate as f64);
            account.next = account.next.max(now.saturating_sub(BURST)) + costs;
        }
        Ok(())
    }

    /// The last of the calls that are let in is kept for a program, or for a look.
    fn has_room(&self, who: Who) -> bool {
        let Some(most) = self.limits.requests else { return true };
        let most_background = most.saturating_sub(1).max(1);
        self.calls_under_way < most && (!who.is_background() || self.background < most_background)
    }
}

/// A place in a queue; left when it goes.
struct Turn<'a> {
    line: &'a Line,
    which: Which,
    key: Place,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.line.state.lock().queue(self.which).waiting.remove(&self.key);
        self.line.changed.notify(usize::MAX);
    }
}

impl Line {
    pub fn new(world: Arc<dyn World>, limits: Limits) -> Line {
        let state = State {
            limits,
            up: Account::default(),
            down: Account::default(),
            calls: Queue::default(),
            calls_under_way: 0,
            background: 0,
            programs: 0,
            lingers: Duration::ZERO,
            fetches: 0,
            trickle: [Duration::ZERO; 2],
            window: WINDOW.0,
            measure: Measure::default(),
            heard: Duration::ZERO,
        };
        Line { world, state: Mutex::new(state), changed: Event::new() }
    }

    /// From now on, also for who waits already.
    pub fn set_limits(&self, limits: Limits) {
        let now = self.world.elapsed();
        let mut state = self.state.lock();
        state.limits = limits;
        // What was owed under the old ones is not.
        state.up.next = state.up.next.min(now);
        state.down.next = state.down.next.min(now);
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// Another connection may be another line.
    pub fn begin_anew(&self) {
        let mut state = self.state.lock();
        state.measure = Measure::default();
        state.window = WINDOW.0;
    }

    pub fn is_slow(&self) -> bool {
        self.state.lock().measure.is_slow()
    }

    /// In a sentence; empty where it is not slow.
    pub fn sentence(&self) -> String {
        self.state.lock().measure.sentence()
    }

    /// When something was heard from the server.
    pub fn heard(&self) -> Duration {
        self.state.lock().heard
    }

    /// A program waits for what is fetched until what is returned goes.
    pub fn for_program(self: &Arc<Self>) -> ForProgram {
        let now = self.world.elapsed();
        let mut state = self.state.lock();
        if state.programs == 0 && now >= state.lingers {
            state.trickle = state.trickle.map(|at| at.max(now + TRICKLE));
        }
        state.programs += 1;
        ForProgram(self.clone())
    }

    /// Most bytes of one piece.
    fn piece(&self, way: Way) -> u64 {
        let rate = self.state.lock().rate(way);
        rate.map_or(u64::MAX, |rate| (rate / 4).clamp(PIECE.0, PIECE.1))
    }

    /// So many bytes may be under way here for what no program waits for.
    pub fn window(&self) -> u64 {
        self.state.lock().window
    }

    /// So long a piece took that was fetched.
    fn window_feedback(state: &mut State, bytes: u64, took: Duration) {
        if took < SOON {
            state.window = (state.window + bytes).min(WINDOW.2);
        } else if took > LATE {
            state.window = (state.window / 2).max(WINDOW.1);
        }
    }

    fn queue_up(&self, which: Which, who: Who) -> Turn<'_> {
        let at = self.world.elapsed() + who.patience();
        let mut state = self.state.lock();
        let queue = state.queue(which);
        queue.last += 1;
        let key = (at, queue.last, who);
        queue.waiting.insert(key);
        Turn { line: self, which, key }
    }

    /// Returns when a piece of so many bytes may be on its way. To be asked right before that.
    pub async fn pass(&self, way: Way, who: Who, bytes: u64) {
        let which = if way == Way::Up { Which::Up } else { Which::Down };
        let is_free = |state: &mut State, now| {
            let is_alone = state.queue(which).waiting.is_empty();
            is_alone && state.rate(way).is_none() && !state.is_held_back(who, now)
        };
        if bytes == 0 || self.with(is_free) {
            return;
        }
        let turn = self.queue_up(which, who);
        loop {
            let changed = self.changed.listen();
            let now = self.world.elapsed();
            let again = {
                let mut state = self.state.lock();
                match state.is_next(way, turn.key, now) {
                    true => match state.pay(way, who, bytes, now) {
                        Ok(()) => return,
                        Err(at) => Some(at),
                    },
                    // What holds the others back may just end.
                    false => Some(state.lingers).filter(|at| *at > now),
                }
            };
            match again {
                None => changed.await,
                Some(at) => futures::select_biased! {
                    () = changed.fuse() => {}
                    () = self.world.sleep(at.saturating_sub(now)).fuse() => {}
                },
            }
        }
    }

    /// Returns when one more call may be made; it is under way until what is returned goes.
    async fn call(&self, who: Who) -> UnderWay<'_> {
        let begin = |state: &mut State| {
            state.calls_under_way += 1;
            state.background += usize::from(who.is_background());
            UnderWay { line: self, who }
        };
        let at_once = self.with(|state, _| state.limits.requests.is_none().then(|| begin(state)));
        if let Some(at_once) = at_once {
            return at_once;
        }
        let turn = self.queue_up(Which::Calls, who);
        loop {
            let changed = self.changed.listen();
            {
                let mut state = self.state.lock();
                // One in the background that may not go yet does not stand in the way of the others.
                let mut before = state.calls.waiting.range(..turn.key);
                let is_next = !before.any(|(_, _, other)| who.is_background() || !other.is_background());
                if is_next && state.has_room(who) {
                    return begin(&mut state);
                }
            }
            changed.await;
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.world.elapsed();
        change(&mut self.state.lock(), now)
    }
}

/// As long as it is there, a program waits.
pub struct ForProgram(Arc<Line>);

impl Drop for ForProgram {
    fn drop(&mut self) {
        self.0.with(|state, now| {
            state.programs -= 1;
            state.lingers = now + LINGER;
        });
        self.0.changed.notify(usize::MAX);
    }
}

/// A call under way.
struct UnderWay<'a> {
    line: &'a Line,
    who: Who,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let limited = {
            let mut state = self.line.state.lock();
            state.calls_under_way -= 1;
            state.background -= usize::from(self.who.is_background());
            state.limits.requests.is_some()
        };
        if limited {
            self.line.changed.notify(usize::MAX);
        }
    }
}
