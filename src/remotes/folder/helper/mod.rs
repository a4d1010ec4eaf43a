//! The helper: a process of its own that makes every call on the mounted folder.
//!
//! It reads requests from its standard input and answers on its standard output, many at once. It
//! ends with its engine: when the pipe is closed, and by a signal of the kernel. It decides nothing
//! but what a guard says, and never touches anything outside the location's root.

mod attrs;
mod connect;
mod errno;
mod fstype;
mod guard;
mod list;
mod lock;
mod meta;
mod mountinfo;
mod moves;
mod names;
mod output;
mod place;
mod pool;
mod probe;
mod read;
mod temp;
mod token;
mod upload;
mod watch;
mod xattr;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use holdfast_engine::model::Meta;
use rustix::process::{Resource, Signal};

use self::output::Output;
use self::place::Place;
use self::pool::Pool;
use self::upload::Upload;
use self::watch::Watch;
use super::frame;
use super::protocol::{Answer, Ask, Failure, Hello};

/// A job that stands still for so many ticks is stuck.
const TICKS: u32 = 8;
/// How soon a folder that is not used is let go, so that it can be unmounted.
const IDLE_LOOK: Duration = Duration::from_secs(1);

struct Helper {
    pool: Arc<Pool>,
    output: Arc<Output>,
    place: RwLock<Option<Arc<Place>>>,
    /// `None` from the moment an upload is asked for until it has begun.
    uploads: Mutex<HashMap<u64, Option<Arc<Upload>>>>,
    watches: Mutex<HashMap<u64, Arc<AtomicBool>>>,
    /// Held as long as the process lives.
    lock: Mutex<Option<File>>,
    watching_over: AtomicBool,
}

/// What a host calls, first thing in `main`, when it was started as the helper. Ends the process.
pub fn helper_main() -> ! {
    // A signal for the case that the pipe outlives the engine; an error means an odd kernel only.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // A working directory would keep its file system from being unmounted.
    let _ = rustix::process::chdir("/");
    let mut files = rustix::process::getrlimit(Resource::Nofile);
    files.current = files.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, files);
    let (Ok(input), Ok(output), Ok(pool)) = (
        std::io::stdin().as_fd().try_clone_to_owned(),
        std::io::stdout().as_fd().try_clone_to_owned(),
        Pool::start(),
    ) else {
        std::process::exit(1)
    };
    let helper = Arc::new(Helper {
        pool,
        output: Arc::new(Output::new(File::from(output))),
        place: RwLock::new(None),
        uploads: Mutex::default(),
        watches: Mutex::default(),
        lock: Mutex::new(None),
        watching_over: AtomicBool::new(false),
    });
    let mut input = std::io::BufReader::with_capacity(64 << 10, File::from(input));
    while let Ok((id, ask, payload)) = frame::read::<Ask>(&mut input) {
        helper.clone().take(id, ask, payload);
    }
    // The engine is gone or wants no more. Nothing waits for threads that hang.
    std::process::exit(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Helper {
    fn take(self: Arc<Helper>, id: u64, ask: Ask, payload: Vec<u8>) {
        if let Ask::Connect(hello) = &ask
            && !self.watching_over.swap(true, Ordering::Relaxed)
        {
            let (helper, tick) = (self.clone(), hello.tick);
            std::thread::spawn(move || helper.watch_over(tick));
        }
        match &ask {
            Ask::Begin(_) => drop(lock(&self.uploads).insert(id, None)),
            Ask::Abandon { upload } => {
                if let Some(given_up) = lock(&self.uploads).remove(upload).flatten() {
                    // Removes its temporary name, once nothing writes to it any more.
                    self.pool.push(move || drop(given_up));
                }
                return;
            }
            _ => {}
        }
        let helper = self.clone();
        self.pool.push(move || match helper.clone().answer(id, ask, payload) {
            Ok(Some(answer)) => helper.output.send(id, &answer),
            Ok(None) => {}
            Err(failure) => {
                let failure = match helper.place() {
                    Ok(place) => place.judge(failure),
                    Err(_) => failure,
                };
                helper.output.send(id, &Answer::Failed(failure));
            }
        });
    }

    /// Makes no call that could hang.
    fn watch_over(&self, tick: Duration) {
        let step = tick.min(IDLE_LOOK);
        let mut passed = Duration::ZERO;
        loop {
            std::thread::sleep(step);
            passed += step;
            if passed >= tick {
                passed = Duration::ZERO;
                let slowest = self.pool.tick();
                if self.pool.is_busy() {
                    self.output.send(0, &Answer::Beat { stuck: slowest >= TICKS });
                }
            }
            if let Some(place) = self.place.try_read().ok().and_then(|p| p.clone()) {
                place.forget_root(true);
            }
        }
    }

    fn place(&self) -> Result<Arc<Place>, Failure> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        place.clone().ok_or_else(|| Failure::Gone("the folder is not connected".into()))
    }

    fn connect(&self, hello: &Hello) -> Result<Answer, Failure> {
        let mut held = lock(&self.lock);
        if held.is_none() {
            let dir = Path::new(std::ffi::OsStr::from_bytes(&hello.lock_dir));
            *held = Some(lock::acquire(dir, &hello.root, &hello.owner, hello.tick * TICKS)?);
        }
        drop(held);
        let (place, connected) = connect::connect(hello)?;
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = Some(place);
        Ok(Answer::Connected(Box::new(connected)))
    }

    /// `None` where the answer has been sent, or will be.
    fn answer(self: Arc<Helper>, id: u64, ask: Ask, payload: Vec<u8>) -> Result<Option<Answer>, Failure> {
        if let Ask::Connect(hello) = &ask {
            return self.connect(hello).map(Some);
        }
        let place = self.place()?;
        let meta = |meta: Meta| Answer::Meta(Box::new(meta));
        let answer = match ask {
            // Seen to before.
            Ask::Connect(_) | Ask::Abandon { .. } => return Ok(None),
            Ask::List { folder } => {
                list::list(place, &self.pool, self.output.clone(), id, &folder)?;
                return Ok(None);
            }
            Ask::Stat { path } => meta(stat(&place, &path)?),
            Ask::Read { path, version, offset, len } => {
                let range = read::Range { path: &path, version: &version, offset, len };
                read::read(&place, &self.output, id, &range)?;
                Answer::Done
            }
            Ask::Put(request) => {
                let upload = Upload::begin(&place, *request)?;
                upload.write(0, &payload)?;
                meta(upload.finish()?)
            }
            Ask::Begin(request) => {
                let begun = Upload::begin(&place, *request);
                let mut uploads = lock(&self.uploads);
                match (begun, uploads.get_mut(&id)) {
                    (Ok(upload), Some(slot)) => *slot = Some(Arc::new(upload)),
                    // Given up meanwhile.
                    (Ok(_), None) => {}
                    (Err(failure), _) => {
                        uploads.remove(&id);
                        return Err(failure);
                    }
                }
                Answer::Done
            }
            Ask::Write { upload, offset } => {
                self.upload(upload)?.write(offset, &payload)?;
                Answer::Done
            }
            Ask::Finish { upload } => {
                let found = self.upload(upload)?;
                lock(&self.uploads).remove(&upload);
                meta(found.finish()?)
            }
            Ask::CreateFolder { path, meta: wanted } => meta(names::create_folder(&place, &path, &wanted)?),
            Ask::CreateSymlink { path, target } => meta(names::create_symlink(&place, &path, &target)?),
            Ask::CreateLink { existing, version, path } => {
                meta(names::create_link(&place, &existing, &version, &path)?)
            }
            Ask::RemoveFile { path, version } => {
                names::remove_file(&place, &path, &version)?;
                Answer::Done
            }
            Ask::RemoveFolder { path } => {
                names::remove_folder(&place, &path)?;
                Answer::Done
            }
            Ask::Rename { from, version, to } => meta(names::rename(&place, &from, version.as_ref(), &to)?),
            Ask::SetMeta { path, version, set } => meta(attrs::set(&place, &path, version.as_ref(), &set)?),
            Ask::Leftovers { folder } => {
                Answer::Entries { entries: list::leftovers(&place, &folder)?, refused: Vec::new() }
            }
            Ask::Watch { folder } => self.watch(&place, id, &folder),
            Ask::Unwatch { watch } => {
                if let Some(stop) = lock(&self.watches).remove(&watch) {
                    stop.store(true, Ordering::Relaxed);
                }
                Answer::Done
            }
        };
        Ok(Some(answer))
    }

    fn upload(&self, id: u64) -> Result<Arc<Upload>, Failure> {
        let found = lock(&self.uploads).get(&id).cloned().flatten();
        found.ok_or_else(|| Failure::Io("this upload was given up".into()))
    }

    fn watch(&self, place: &Arc<Place>, id: u64, folder: &holdfast_engine::model::LocPath) -> Answer {
        let Some(watch) = Watch::start(place, folder) else {
            return Answer::Watching(false);
        };
        let stop = Arc::new(AtomicBool::new(false));
        lock(&self.watches).insert(id, stop.clone());
        let output = self.output.clone();
        let started =
            std::thread::Builder::new().name("watch".into()).spawn(move || watch.run(&output, id, &stop));
        Answer::Watching(started.is_ok())
    }
}

fn stat(place: &Place, path: &holdfast_engine::model::LocPath) -> Result<Meta, Failure> {
    if path.is_root() {
        return meta::of(place, &*place.root()?, c".", true);
    }
    let (folder, name) = place.parent(path)?;
    meta::of(place, &folder, &name, true)
}
