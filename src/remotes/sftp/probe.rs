//! What a server can do: by what it offers, and tried on temporary files in the location's root.
//!
//! Where nothing can be written there (a read-only or full server) what needs trying is taken for what
//! servers usually can; moves and replacements then go the most careful way.

use std::time::Duration;

use holdfast_engine::model::{Confidence, LocPath};
use holdfast_engine::remote::{Capabilities, RemoteError};

use super::clock::{self, Clock};
use super::codec::{Attrs, Code, Extensions, Open, Request, SAFE_DATA_BYTES};
use super::place::Place;
use super::seen::STEP;
use super::session::Opened;
use super::status::refused;
use crate::temp::Holds;

const ODD_MODE: u32 = 0o604;
const ODD_TIME: u32 = 1_234_567_891;
/// Moves that only succeed one after the other.
const CHAIN: usize = 12;

const SECONDS: &str = "Times are whole seconds there: a change by others within the second of another \
                       change that keeps size and mode of a file can go unseen.";
const WINDOW: &str = "Between the last look and a replacement lies a moment in which a new file that \
                      others put there can be lost.";
const ABSENT: &str = "While a file is replaced there it is absent for a moment.";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Can {
    pub offers: Extensions,
    /// `rename` refuses to overwrite.
    pub no_replace: bool,
    /// `rename` overwrites in one step.
    pub rename_replaces: bool,
    pub posix_rename: bool,
    pub hard_links: bool,
    pub symlinks: bool,
    /// Name and target stand in the draft's order, not in OpenSSH's.
    pub symlink_swapped: bool,
    pub modes: bool,
    pub set_times: bool,
    pub time_step: Duration,
    /// Of new files.
    pub owner: Option<(u32, u32)>,
    pub case_sensitive: bool,
    pub read_bytes: u32,
    pub write_bytes: usize,
}

impl Default for Can {
    fn default() -> Can {
        Can {
            offers: Extensions::default(),
            no_replace: false,
            rename_replaces: false,
            posix_rename: false,
            hard_links: false,
            symlinks: true,
            symlink_swapped: false,
            modes: true,
            set_times: true,
            time_step: STEP,
            owner: None,
            case_sensitive: true,
            read_bytes: SAFE_DATA_BYTES,
            write_bytes: SAFE_DATA_BYTES as usize,
        }
    }
}

impl Can {
    pub fn capabilities(&self, in_order: bool) -> Capabilities {
        let mut caveat = SECONDS.to_owned();
        if !self.posix_rename && !self.rename_replaces {
            caveat = format!("{caveat} {ABSENT}");
        } else if !self.hard_links || !in_order {
            caveat = format!("{caveat} {WINDOW}");
        }
        Capabilities {
            exchange: false,
            atomic_replace: self.posix_rename || self.rename_replaces,
            file_ids: false,
            symlinks: self.symlinks,
            hard_links: self.hard_links,
            modes: self.modes,
            xattrs: false,
            set_times: self.set_times,
            time_step: self.time_step,
            ranged_write: self.offers.copy_data,
            case_sensitive: self.case_sensitive,
            watches: false,
            confidence: Confidence::Guessed,
            caveat,
        }
    }
}

/// Temporary files of the probe; gone when it is over.
struct Scratch<'a> {
    place: &'a Place,
    names: Vec<Vec<u8>>,
}

impl Scratch<'_> {
    /// A new path for a temporary file.
    fn path(&mut self) -> Result<Vec<u8>, RemoteError> {
        let name = crate::temp::name(&self.place.owner, Holds::OnlyOurs);
        let name = name.map_err(|e| RemoteError::Io(e.to_string()))?;
        let path = self.place.at(&LocPath::root().join(&name));
        self.names.push(path.clone());
        Ok(path)
    }

    async fn file(&mut self) -> Result<Option<(Vec<u8>, Opened)>, RemoteError> {
        let path = self.path()?;
        let attrs = Attrs { permissions: Some(0o600), ..Attrs::default() };
        let open = Request::Open { path: &path, how: Open::New, attrs };
        match Opened::new(&self.place.session, open).await {
            Ok(file) => Ok(Some((path, file))),
            Err(super::Failure::Lost(error)) => Err(error),
            // It is so now, and can be otherwise later.
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for path in &self.names {
            self.place.session.tell(Request::Remove { path });
        }
    }
}

/// Tries everything and notes it in the place.
pub async fn run(place: &mut Place) -> Result<(), RemoteError> {
    let offers = place.session.extensions;
    let mut can = Can {
        offers,
        posix_rename: offers.posix_rename,
        hard_links: offers.hardlink,
        ..limits(place, Can::default()).await?
    };
    let (clock, in_order) = {
        let mut scratch = Scratch { place, names: Vec::new() };
        let before = clock::now();
        match scratch.file().await? {
            None => (Clock::same(), false),
            Some((path, file)) => {
                let clock = attributes(place, &file, before, clock::now(), &mut can).await?;
                let in_order = chain(&mut scratch, &path).await?;
                names(&mut scratch, &mut can).await?;
                (clock, in_order)
            }
        }
    };
    place.set_in_order(in_order);
    place.clock = clock;
    place.can = can;
    tracing::debug!(can = ?place.can, in_order, "the server was tried");
    Ok(())
}

/// How much it takes at once.
async fn limits(place: &Place, mut can: Can) -> Result<Can, RemoteError> {
    use super::codec::Limits;
    const MOST_BYTES: u64 = 255 << 10;
    if !place.session.extensions.limits {
        return Ok(can);
    }
    let reply = place.session.begin(Request::Limits).await?.extended().await;
    let Some(limits) = reply.ok().and_then(|reply| Limits::parse(&reply).ok()) else {
        return Ok(can);
    };
    let bytes = |limit: u64| match limit {
        0 => SAFE_DATA_BYTES,
        limit => limit.clamp(1024, MOST_BYTES) as u32,
    };
    can.read_bytes = bytes(limits.read_bytes);
    can.write_bytes = bytes(limits.write_bytes) as usize;
    if limits.handles > 0 {
        // A few for others: the session's own, and one that is closed late.
        place.session.set_handles(limits.handles.clamp(8, 1024) as usize / 4 * 3);
    }
    Ok(can)
}

/// What a new file tells of the clock, and whether it keeps what it is given.
async fn attributes(
    place: &Place,
    file: &Opened,
    before: Duration,
    after: Duration,
    can: &mut Can,
) -> Result<Clock, RemoteError> {
    let handle = file.handle();
    let session = &place.session;
    let new = session.begin(Request::Fstat { handle }).await?.attrs().await.map_err(refused)?;
    can.owner = new.owner;
    let (mode, times) = (Some(ODD_MODE), Some((ODD_TIME, ODD_TIME)));
    for attrs in [Attrs { permissions: mode, ..Attrs::default() }, Attrs { times, ..Attrs::default() }] {
        // Whether it was refused is seen by what is there then.
        if let Err(super::Failure::Lost(error)) = place.done(Request::Fsetstat { handle, attrs }).await {
            return Err(error);
        }
    }
    let set = session.begin(Request::Fstat { handle }).await?.attrs().await.map_err(refused)?;
    can.modes = set.permissions.is_some_and(|mode| mode & 0o777 == ODD_MODE);
    let kept = set.times.map_or(0, |(_, modified)| modified);
    can.set_times = kept / 2 == ODD_TIME / 2;
    if kept != ODD_TIME {
        can.time_step = STEP * 2;
    }
    Ok(new.times.map_or_else(Clock::same, |(_, modified)| Clock::seen(modified, before, after)))
}

/// Whether requests that build on one another may be sent together.
async fn chain(scratch: &mut Scratch<'_>, first: &[u8]) -> Result<bool, RemoteError> {
    let place = scratch.place;
    let mut from = first.to_vec();
    let mut moves = Vec::with_capacity(CHAIN);
    for _ in 0..CHAIN {
        let to = scratch.path()?;
        moves.push((from, to.clone()));
        from = to;
    }
    let mut answers = Vec::with_capacity(CHAIN);
    for (from, to) in &moves {
        answers.push(place.session.begin(Request::Rename { from, to }).await?);
    }
    let mut all = true;
    for answer in answers {
        match answer.done().await {
            Err(super::Failure::Lost(error)) => return Err(error),
            result => all &= result.is_ok(),
        }
    }
    Ok(all)
}

async fn names(scratch: &mut Scratch<'_>, can: &mut Can) -> Result<(), RemoteError> {
    let place = scratch.place;
    let (Some((a, _file)), Some((b, _other))) = (scratch.file().await?, scratch.file().await?) else {
        return Ok(());
    };
    let done = async |request: Request<'_>| match place.done(request).await {
        Err(super::Failure::Lost(error)) => Err(error),
        result => Ok(result.is_ok()),
    };
    let is_there = async |path: &[u8]| match place.look_at(path).await {
        Err(super::Failure::Lost(error @ RemoteError::Gone { .. })) => Err(error),
        Err(failure) => Ok(failure.code() != Some(Code::NoSuchFile)),
        Ok(_) => Ok(true),
    };
    let upper: Vec<u8> = {
        let at = b.iter().rposition(|&c| c == b'/').unwrap_or(0);
        [&b[..at], &b[at..].to_ascii_uppercase()[..]].concat()
    };
    can.case_sensitive = !is_there(&upper).await?;
    if can.hard_links {
        let other = scratch.path()?;
        can.hard_links = done(Request::Hardlink { from: &b, to: &other }).await?
            && !done(Request::Hardlink { from: &a, to: &other }).await?;
    }
    let overwrites = done(Request::Rename { from: &a, to: &b }).await?;
    can.rename_replaces = overwrites && !is_there(&a).await?;
    can.no_replace = !overwrites && is_there(&a).await?;
    if can.posix_rename && can.no_replace {
        can.posix_rename = done(Request::PosixRename { from: &a, to: &b }).await? && !is_there(&a).await?;
    }
    let (target, path) = (scratch.path()?, scratch.path()?);
    can.symlinks = done(Request::Symlink { target: &target, path: &path }).await?;
    if can.symlinks && !is_there(&path).await? {
        can.symlink_swapped = is_there(&target).await?;
        can.symlinks = can.symlink_swapped;
    }
    if can.symlinks {
        // Some make every target absolute.
        let (target, path) = (b"../nowhere", scratch.path()?);
        let kept = done(symlink(can.symlink_swapped, target, &path)).await?
            && place.look_at(&path).await.is_ok_and(|link| link.target.as_deref() == Some(target));
        can.symlinks = kept;
    }
    Ok(())
}

/// In the order that the server takes.
pub fn symlink<'a>(swapped: bool, target: &'a [u8], path: &'a [u8]) -> Request<'a> {
    match swapped {
        false => Request::Symlink { target, path },
        true => Request::Symlink { target: path, path: target },
    }
}
