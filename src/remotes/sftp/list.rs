//! What is in a folder.
//!
//! A listing tells the attributes of each entry along with its name, so most need no look of their own.
//! It is read again where the folder changed meanwhile: a name that somebody gives an entry during the
//! reading could be missed, and must not look deleted.

use std::collections::{HashMap, VecDeque};

use futures::StreamExt;
use holdfast_engine::model::{LocPath, Name};
use holdfast_engine::remote::{Listed, Listing, RemoteError, TEMP_PREFIX};

use super::answer::{Answer, Failure};
use super::codec::{Attrs, Request};
use super::place::Place;
use super::seen::Seen;
use super::session::Opened;
use super::status::refused;

/// A folder with more is refused: memory is bounded for any listing.
const MOST_NAMES: usize = 2_000_000;
const MOST_NAME_BYTES: usize = 64 << 20;
/// Requests for more of one listing in flight.
const AHEAD: usize = 16;
/// Answers in a row that hold no name at all.
const MOST_EMPTY: usize = 4;
const TRIES: usize = 3;
/// Looks at single entries in flight.
const LOOKS: usize = 64;

/// A name that a server tells, with what it tells of it.
type Found = (Vec<u8>, Attrs);

pub async fn list(place: &Place, folder: &LocPath) -> Result<Listing, RemoteError> {
    let found = names(place, folder, |name| !name.starts_with(TEMP_PREFIX)).await?;
    let mut listing = Listing::default();
    listing.entries.reserve(found.len());
    let mut open = Vec::new();
    for (bytes, attrs) in found {
        match (Name::new(&bytes), told(&attrs)) {
            (Err(e), _) => listing.refused.push((bytes, e.to_string())),
            (Ok(name), Some(seen)) => put(place, folder, &mut listing, name, seen.meta())?,
            (Ok(name), None) => open.push((name, attrs)),
        }
    }
    let looks = open.into_iter().map(|(name, attrs)| async move {
        let at = place.at(&folder.join(&name));
        let seen = match attrs.permissions {
            Some(_) => place.with_target(&at, &attrs).await,
            None => place.look_at(&at).await,
        };
        (name, seen)
    });
    let mut looks = futures::stream::iter(looks).buffer_unordered(LOOKS);
    while let Some((name, seen)) = looks.next().await {
        match seen {
            // It vanished in between.
            Err(failure) if failure.is_missing() => {}
            seen => put(place, folder, &mut listing, name, seen.map_err(refused).and_then(|s| s.meta()))?,
        }
    }
    place.is_listed(folder.clone());
    Ok(listing)
}

/// What needs no second question.
fn told(attrs: &Attrs) -> Option<Seen> {
    let seen = Seen::new(attrs, None).ok()?;
    (seen.kind != holdfast_engine::model::Kind::Symlink).then_some(seen)
}

fn put(
    place: &Place,
    folder: &LocPath,
    listing: &mut Listing,
    name: Name,
    meta: Result<holdfast_engine::model::Meta, RemoteError>,
) -> Result<(), RemoteError> {
    match meta {
        Ok(meta) => {
            if meta.kind == holdfast_engine::model::Kind::Folder {
                place.is_folder(folder.join(&name));
            }
            listing.entries.push(Listed { name, meta });
        }
        // What concerns the whole server fails the listing.
        Err(error @ RemoteError::Gone { .. }) => return Err(error),
        Err(
            RemoteError::Forbidden(text)
            | RemoteError::BadName(text)
            | RemoteError::Io(text)
            | RemoteError::NoSpace(text),
        ) => listing.refused.push((name.as_bytes().to_vec(), text)),
        Err(_) => listing.refused.push((name.as_bytes().to_vec(), "it cannot be read".into())),
    }
    Ok(())
}

/// Our own temporary names in a folder.
pub async fn leftovers(place: &Place, folder: &LocPath) -> Result<Vec<Listed>, RemoteError> {
    let ours = names(place, folder, |name| crate::temp::is_ours(&place.owner, name)).await?;
    let mut found = Vec::new();
    for (bytes, _) in ours {
        let Ok(name) = Name::new(&bytes) else { continue };
        match place.look(&folder.join(&name)).await {
            Err(failure) if failure.is_missing() => {}
            seen => found.push(Listed { name, meta: seen.map_err(refused)?.meta()? }),
        }
    }
    Ok(found)
}

/// All names that are wanted, each once.
pub async fn names(
    place: &Place,
    folder: &LocPath,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Found>, RemoteError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (before, found) = read(place, folder, &wanted).await?;
        let after = place.look(folder).await.map_err(refused)?;
        let is_settled =
            before == after && place.clock.until_past(after.mtime, super::clock::now()).is_zero();
        if is_settled || tries == TRIES {
            return Ok(found);
        }
    }
}

async fn read(
    place: &Place,
    folder: &LocPath,
    wanted: &impl Fn(&[u8]) -> bool,
) -> Result<(Seen, Vec<Found>), RemoteError> {
    let path = place.at(folder);
    let way = async {
        match folder.is_root() {
            true => Ok(()),
            false => place.way_to(&Place::parent(folder)?).await.map_err(Failure::from),
        }
    };
    // What was opened through a link is closed again unread.
    let open = Opened::new(&place.session, Request::Opendir { path: &path });
    let (before, open) = {
        let ((), before, open) = match futures::try_join!(way, place.look(folder), async { Ok(open.await) }) {
            Ok(all) => all,
            Err(failure) => return Err(refused(failure)),
        };
        (before, open)
    };
    if !before.is_folder() {
        return Err(RemoteError::NotFound);
    }
    if !folder.is_root() {
        place.is_folder(folder.clone());
    }
    let open = open.map_err(refused)?;
    let handle = open.handle();
    let mut all = Gathered::default();
    let mut answers: VecDeque<Answer> = VecDeque::new();
    let mut ahead = 1;
    loop {
        while answers.len() < ahead {
            answers.push_back(place.session.begin(Request::Readdir { handle }).await?);
        }
        let Some(answer) = answers.pop_front() else { break };
        let Some(entries) = answer.names().await.map_err(refused)? else { break };
        all.empty = if entries.is_empty() { all.empty + 1 } else { 0 };
        if all.empty > MOST_EMPTY {
            return Err(RemoteError::Io("its listing of this folder has no end".into()));
        }
        for entry in entries {
            all.take(entry.name, entry.attrs, wanted)?;
        }
        // A small folder is not asked for more than it has.
        ahead = (ahead * 2).min(AHEAD);
    }
    // Those that were asked for ahead may hold names, where the server answers in another order.
    for answer in answers {
        for entry in answer.names().await.map_err(refused)?.unwrap_or_default() {
            all.take(entry.name, entry.attrs, wanted)?;
        }
    }
    Ok((before, all.found.into_iter().collect()))
}

#[derive(Default)]
struct Gathered {
    found: HashMap<Vec<u8>, Attrs>,
    bytes: usize,
    told: usize,
    empty: usize,
}

impl Gathered {
    fn take(
        &mut self,
        name: Vec<u8>,
        attrs: Attrs,
        wanted: &impl Fn(&[u8]) -> bool,
    ) -> Result<(), RemoteError> {
        self.told += 1;
        self.bytes += name.len();
        if self.told > MOST_NAMES || self.bytes > MOST_NAME_BYTES {
            let told = self.told;
            return Err(RemoteError::Io(format!("its listing of this folder goes on after {told} names")));
        }
        if !matches!(&name[..], b"." | b"..") && wanted(&name) {
            self.found.insert(name, attrs);
        }
        Ok(())
    }
}
