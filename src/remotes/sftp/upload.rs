//! New content on its way: written under a temporary name, sealed, then put in place.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use holdfast_engine::model::{LocPath, Meta, Time, Version};
use holdfast_engine::remote::{NewMeta, RemoteError, Source};

use super::clock;
use super::codec::{Attrs, Open, Request};
use super::full::why;
use super::moves::{self, Refused, Replacement};
use super::place::{Place, as_ours};
use super::seen::Seen;
use super::session::Opened;
use super::status::refused;
use crate::kinds::MODE_MASK;
use crate::supply::{Budget, clip, pieces};
use crate::temp::Holds;

/// Up to here an upload is read at once, and one look at what it replaces is enough.
const SMALL_BYTES: u64 = 256 << 10;
/// From here on only changed ranges travel, where the server copies the rest.
const COPY_BYTES: u64 = 256 << 10;
/// One request to copy; a server does nothing else meanwhile.
const COPY_PIECE_BYTES: u64 = 32 << 20;
/// So that the last `fsync` has little left: one that takes minutes looks like a hung server.
const FLUSH_BYTES: u64 = 32 << 20;
/// Pieces of one upload under way at once.
const PIECES: usize = 64;

pub struct Upload<'a> {
    pub place: &'a Place,
    pub budget: &'a Budget,
    pub path: &'a LocPath,
    pub replaces: Option<&'a Version>,
    pub source: Arc<dyn Source>,
    pub meta: &'a NewMeta,
}

/// New content that is complete.
struct Sealed {
    ours: Seen,
    /// What was at the path right after that, where it was looked at.
    there: Option<Seen>,
}

/// The file under its temporary name; it goes unless it was put in place.
struct Temp<'a> {
    place: &'a Place,
    path: Vec<u8>,
    settled: bool,
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.place.session.tell(Request::Remove { path: &self.path });
        }
    }
}

impl Upload<'_> {
    pub async fn run(self) -> Result<Meta, RemoteError> {
        let folder = Place::parent(self.path)?;
        let size = self.source.size();
        let ((), old) = futures::try_join!(self.place.way_to(&folder), self.first_look(size))?;
        let _one_of_few = match size > SMALL_BYTES {
            true => Some(self.budget.large().await?),
            false => None,
        };
        let (_, path) = self.place.temp_beside(self.path, Holds::OnlyOurs)?;
        // From here on, so that one that is given up while it is opened goes too.
        let mut temp = Temp { place: self.place, path, settled: false };
        let attrs = Attrs { permissions: Some(0o600), ..Attrs::default() };
        let open = Request::Open { path: &temp.path, how: Open::New, attrs };
        let file = match Opened::new(&self.place.session, open).await {
            Ok(file) => file,
            Err(failure) => return Err(why(self.place, self.path, failure, size).await),
        };
        let result = self.put(&mut temp, file, old.as_ref(), size).await;
        if result.is_err() && !temp.settled {
            temp.settled = true;
            // Before anybody is told: or what is listed next could still show it.
            let _ = self.place.done(Request::Remove { path: &temp.path }).await;
        }
        result
    }

    async fn put(
        &self,
        temp: &mut Temp<'_>,
        file: Opened,
        old: Option<&Seen>,
        size: u64,
    ) -> Result<Meta, RemoteError> {
        let mut sealed = self.fill(file, old, size).await?;
        if self.place.wait_past(sealed.ours.mtime).await {
            sealed.there = None;
        }
        self.settle(temp, old, sealed).await
    }

    /// What is there before anything is sent. Of a small new file it is enough to find out at its end.
    async fn first_look(&self, size: u64) -> Result<Option<Seen>, RemoteError> {
        match self.replaces {
            Some(version) => self.place.guard(self.path, version).await.map(Some),
            None if size <= SMALL_BYTES => Ok(None),
            None => match self.place.look(self.path).await {
                Ok(now) => Err(super::place::changed_to(&now)),
                Err(failure) if failure.is_missing() => Ok(None),
                Err(failure) => Err(super::status::naming(failure)),
            },
        }
    }

    /// Writes and seals it.
    async fn fill(&self, file: Opened, old: Option<&Seen>, size: u64) -> Result<Sealed, RemoteError> {
        let changed = match self.place.can.offers.copy_data && old.is_some() && size > COPY_BYTES {
            true => self.source.changed_ranges(),
            false => None,
        };
        let ranges = clip(changed.clone().unwrap_or_else(|| self.source.data_ranges()), size);
        if let (Some(_), Some(old)) = (&changed, old) {
            self.copy_old(&file, old, rest_of(&ranges, size.min(old.size()))).await?;
        }
        let in_one = self.place.is_in_order() && size <= self.place.can.write_bytes as u64;
        let data = match (&ranges[..], in_one) {
            ([range], true) => Some((range.start, self.budget.read(&self.source, range.clone()).await?)),
            _ => {
                self.write(&file, ranges, size).await?;
                None
            }
        };
        self.seal(file, data, old, size).await
    }

    /// The content of the version that is replaced, where it does not change: copied on the server.
    async fn copy_old(&self, file: &Opened, old: &Seen, ranges: Vec<Range<u64>>) -> Result<(), RemoteError> {
        let (place, at) = (self.place, self.place.at(self.path));
        let open = Request::Open { path: &at, how: Open::Read, attrs: Attrs::default() };
        let from = Opened::new(&place.session, open).await.map_err(refused)?;
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                let len = (range.end - at).min(COPY_PIECE_BYTES);
                let copy = Request::CopyData {
                    from: from.handle(),
                    offset: at,
                    len,
                    to: file.handle(),
                    to_offset: at,
                };
                if let Err(failure) = place.done(copy).await {
                    return Err(why(self.place, self.path, failure, len).await);
                }
                at += len;
            }
        }
        let stat = Request::Fstat { handle: from.handle() };
        let now = Seen::new(&place.session.begin(stat).await?.attrs().await.map_err(refused)?, None)?;
        if now.token() == old.token() { Ok(()) } else { Err(super::place::changed_to(&now)) }
    }

    async fn write(&self, file: &Opened, ranges: Vec<Range<u64>>, size: u64) -> Result<(), RemoteError> {
        let session = &self.place.session;
        let parts = ranges.into_iter().flat_map(|range| pieces(range, FLUSH_BYTES as usize));
        let mut unflushed = 0;
        for part in parts {
            unflushed += part.end - part.start;
            let bytes = session.write_bytes(self.place.can.write_bytes);
            futures::stream::iter(pieces(part, bytes))
                .map(|piece| async move {
                    let _memory = self.budget.memory((piece.end - piece.start) as usize).await?;
                    let offset = piece.start;
                    let data = self.budget.read(&self.source, piece).await?;
                    let write = Request::Write { handle: file.handle(), offset, data: &data };
                    match session.begin(write).await?.done().await {
                        Ok(()) => Ok(()),
                        Err(failure) => Err(why(self.place, self.path, failure, size).await),
                    }
                })
                .buffer_unordered(PIECES)
                .try_collect::<()>()
                .await?;
            if unflushed >= FLUSH_BYTES {
                unflushed = 0;
                self.flush(file).await?;
            }
        }
        Ok(())
    }

    async fn flush(&self, file: &Opened) -> Result<(), RemoteError> {
        if !self.place.can.offers.fsync {
            return Ok(());
        }
        match self.place.done(Request::Fsync { handle: file.handle() }).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(why(self.place, self.path, failure, 0).await),
        }
    }

    /// Size and second are all that tells two versions apart for whoever looks: what replaces one that has
    /// both the same, as only another engine's can, gets the next second. Else those who have seen that
    /// one would keep it for good.
    fn mtime(&self, old: Option<&Seen>, size: u64) -> Time {
        let mtime = self.meta.mtime;
        let is_alike = |old: &Seen| old.size() == size && i64::from(old.mtime) == mtime.secs();
        if old.is_some_and(is_alike) { Time::new(mtime.secs() + 1, 0) } else { mtime }
    }

    /// What is left to write, length and attributes; then it is brought to disk, looked at and closed.
    async fn seal(
        &self,
        file: Opened,
        data: Option<(u64, Vec<u8>)>,
        old: Option<&Seen>,
        size: u64,
    ) -> Result<Sealed, RemoteError> {
        let can = &self.place.can;
        let attrs = Attrs {
            size: Some(size),
            owner: None,
            permissions: can.modes.then_some(self.meta.mode & MODE_MASK),
            times: times(can.set_times.then_some(self.mtime(old, size))),
        };
        let handle = file.shared_handle();
        let (handle, at) = (&handle[..], self.place.at(self.path));
        let mut steps = Vec::with_capacity(7);
        // Owner and group of what is replaced, as far as we may give them; nothing fails for that.
        let owner = old.and_then(|old| old.owner).filter(|owner| Some(*owner) != can.owner);
        if owner.is_some() {
            let attrs = Attrs { owner, ..Attrs::default() };
            self.place.in_turn(&[Request::Fsetstat { handle, attrs }]).await?;
        }
        if let Some((offset, data)) = &data {
            steps.push(Request::Write { handle, offset: *offset, data });
        }
        steps.push(Request::Fsetstat { handle, attrs });
        if can.offers.fsync {
            steps.push(Request::Fsync { handle });
        }
        steps.extend([Request::Fstat { handle }, Request::Close { handle }]);
        let own = steps.len();
        if old.is_some() {
            steps.push(Request::Lstat { path: &at });
        }
        let mut results = self.place.in_turn_closing(&steps, Some(file)).await?;
        let there = results.split_off(own.min(results.len())).pop();
        let mut ours = Attrs::default();
        for result in results {
            match result {
                Ok(attrs) if attrs != Attrs::default() => ours = attrs,
                Ok(_) => {}
                Err(failure) => return Err(why(self.place, self.path, failure, size).await),
            }
        }
        let there = there.and_then(Result::ok).and_then(|attrs| Seen::new(&attrs, None).ok());
        Ok(Sealed { ours: Seen::new(&ours, None)?, there })
    }

    /// Puts it in place.
    async fn settle(
        &self,
        temp: &mut Temp<'_>,
        old: Option<&Seen>,
        sealed: Sealed,
    ) -> Result<Meta, RemoteError> {
        let token = sealed.ours.token();
        let now = match old {
            None => self.place_new(temp).await?,
            Some(old) => self.place_over(temp, old, &sealed).await?,
        };
        temp.settled = true;
        let now = match now {
            Some(attrs) => Seen::new(&attrs, None).map_err(super::Failure::from),
            None => self.place.look(self.path).await,
        };
        match now {
            Ok(now) => as_ours(&now, &token),
            // Somebody has removed it already.
            Err(failure) if failure.is_missing() => sealed.ours.meta(),
            Err(failure) => Err(refused(failure)),
        }
    }

    async fn place_new(&self, temp: &Temp<'_>) -> Result<Option<Attrs>, RemoteError> {
        if !self.place.can.no_replace {
            return moves::no_replace(self.place, &temp.path, self.path, false).await.map(|()| None);
        }
        let at = self.place.at(self.path);
        let steps = [Request::Rename { from: &temp.path, to: &at }, Request::Lstat { path: &at }];
        let mut results = self.place.in_turn(&steps).await?;
        match results.first() {
            Some(Ok(_)) => Ok(results.pop().and_then(Result::ok).filter(|_| results.len() == 1)),
            Some(Err(failure)) => {
                Err(self.place.taken_or(self.path, super::status::naming(failure.clone())).await)
            }
            None => Err(RemoteError::Io("it answers too little".into())),
        }
    }

    async fn place_over(
        &self,
        temp: &mut Temp<'_>,
        old: &Seen,
        sealed: &Sealed,
    ) -> Result<Option<Attrs>, RemoteError> {
        // As late as can be, and before anything is put anywhere.
        let now = match &sealed.there {
            Some(there) => there.clone(),
            None => self.place.look(self.path).await.map_err(refused)?,
        };
        if now.token() != old.token() {
            return Err(self.place.changed(self.path).await);
        }
        let replacement = Replacement {
            place: self.place,
            path: self.path,
            temp: &temp.path,
            ours: &sealed.ours.token(),
            old: &old.token(),
        };
        replacement.run().await.map_err(|refused| match refused {
            Refused::Clean(error) => error,
            Refused::Settled(error) => {
                temp.settled = true;
                error
            }
        })
    }
}

/// Both times, as version 3 sets them. What it cannot represent is left out.
pub fn times(mtime: Option<Time>) -> Option<(u32, u32)> {
    let modified = u32::try_from(mtime?.secs()).ok()?;
    Some((u32::try_from(clock::now().as_secs()).unwrap_or(modified), modified))
}

/// What lies between these ranges, which are in order, up to `end`.
fn rest_of(ranges: &[Range<u64>], end: u64) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut at = 0;
    for range in ranges {
        if at < range.start.min(end) {
            rest.push(at..range.start.min(end));
        }
        at = at.max(range.end);
    }
    if at < end {
        rest.push(at..end);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn ranges_and_their_rest_tile() {
        assert_eq!(rest_of(&[5..10, 20..30], 40), [0..5, 10..20, 30..40]);
        assert_eq!(rest_of(&[0..10, 20..30], 25), [10..20]);
        assert_eq!(rest_of(&[5..10], 3), [0..3]);
        assert_eq!(rest_of(&[], 3), [0..3]);
        assert!(rest_of(&[0..9], 9).is_empty());
    }

    #[test]
    fn times_that_have_no_form_are_left_out() {
        assert_eq!(times(Some(Time::new(-1, 0))), None);
        assert_eq!(times(Some(Time::new(1 << 33, 0))), None);
        assert_eq!(times(Some(Time::new(7, 999))).map(|(_, m)| m), Some(7));
        assert_eq!(times(None), None);
    }
}
