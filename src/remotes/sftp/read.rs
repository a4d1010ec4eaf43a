//! Bytes of one version of a file, and of no other.
//!
//! The version is compared before and after. A file that changed a moment ago is read only when the
//! server's clock has gone on: until then a second change might have the same time.

use std::collections::VecDeque;

use holdfast_engine::model::{Kind, LocPath, Version};
use holdfast_engine::remote::RemoteError;

use super::answer::Answer;
use super::codec::{Attrs, Open, Request};
use super::place::{Place, changed_to};
use super::seen::Seen;
use super::session::Opened;
use super::status::refused;

pub struct Range<'a> {
    pub path: &'a LocPath,
    pub version: &'a Version,
    pub offset: u64,
    pub len: usize,
}

pub async fn read(place: &Place, range: &Range<'_>) -> Result<Vec<u8>, RemoteError> {
    let at = place.at(range.path);
    let folder = Place::parent(range.path)?;
    let open = async {
        let open = Request::Open { path: &at, how: Open::Read, attrs: Attrs::default() };
        Opened::new(&place.session, open).await.map_err(refused)
    };
    let look = async {
        let seen = place.guard(range.path, range.version).await?;
        if seen.kind == Kind::File { Ok(seen) } else { Err(changed_to(&seen)) }
    };
    let way = place.way_to(&folder);
    // To open a pipe would make the server wait for ever: so a file is looked at before it is opened,
    // unless its folder was listed a moment ago. What is a pipe since then ends this session, and the
    // next one looks.
    let (seen, file) = match place.was_listed(&folder) {
        true => {
            let ((), seen, file) = futures::try_join!(way, look, open)?;
            (seen, file)
        }
        false => {
            let ((), seen) = futures::try_join!(way, look)?;
            (seen, open.await?)
        }
    };
    if place.wait_past(seen.mtime).await {
        place.guard(range.path, range.version).await?;
    }
    let check = async |answer: Answer| {
        let now = Seen::new(&answer.attrs().await.map_err(refused)?, None)?;
        if now.token().version() == *range.version { Ok(()) } else { Err(changed_to(&now)) }
    };
    let stat = Request::Fstat { handle: file.handle() };
    let before = place.session.begin(stat).await?;
    // No more than this version has.
    let len = seen.size().saturating_sub(range.offset).min(range.len as u64) as usize;
    let (bytes, after) = pieces(place, &file, range.offset, len).await?;
    check(before).await?;
    match after {
        Some(after) => check(after).await?,
        None => check(place.session.begin(stat).await?).await?,
    }
    Ok(bytes)
}

/// All of the range that there is, in pieces that are on their way together. Where the server keeps
/// their order, the last look is on its way with them.
async fn pieces(
    place: &Place,
    file: &Opened,
    offset: u64,
    len: usize,
) -> Result<(Vec<u8>, Option<Answer>), RemoteError> {
    let handle = file.handle();
    let most = place.can.read_bytes as usize;
    let mut bytes: Vec<u8> = Vec::new();
    let mut asked: VecDeque<(usize, Answer)> = VecDeque::new();
    let (mut begun, mut after) = (0, None);
    while bytes.len() < len {
        while begun < len {
            let piece = (len - begun).min(most);
            let offset = offset.saturating_add(begun as u64);
            let read = Request::Read { handle, offset, len: piece as u32 };
            asked.push_back((piece, place.session.begin(read).await?));
            begun += piece;
            if begun == len && place.is_in_order() {
                after = Some(place.session.begin(Request::Fstat { handle }).await?);
            }
        }
        let Some((piece, answer)) = asked.pop_front() else { break };
        let Some(data) = answer.data().await.map_err(refused)? else { break };
        let came = data.bytes().len();
        if came == 0 {
            return Err(RemoteError::Io("it reads nothing and does not say that this is the end".into()));
        }
        match bytes.is_empty() {
            true => bytes = data.into_bytes(),
            false => bytes.extend_from_slice(data.bytes()),
        }
        if came < piece {
            // Less than was asked for: what follows is asked for anew, from there.
            asked.clear();
            begun = bytes.len();
            after = None;
        }
    }
    Ok((bytes, after))
}
