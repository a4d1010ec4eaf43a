//! How messages are cut on the two pipes between the engine's process and the helper.
//!
//! `[u32 body][u32 payload][u64 id]`, little endian, then a postcard body, then raw bytes of a file,
//! which so are never copied through the encoder.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

const HEADER_BYTES: usize = 16;
/// Far above what is ever sent: more is a sign that the ends disagree.
const MAX_BYTES: usize = 64 << 20;

/// One message, ready to be written: head and body in one, the payload beside it.
pub struct Frame {
    pub head: Vec<u8>,
    pub payload: Vec<u8>,
}

pub fn encode(id: u64, body: &impl Serialize, payload: Vec<u8>) -> io::Result<Frame> {
    let mut head = postcard::to_extend(body, vec![0; HEADER_BYTES]).map_err(io::Error::other)?;
    let body_bytes = head.len() - HEADER_BYTES;
    if body_bytes > MAX_BYTES || payload.len() > MAX_BYTES {
        return Err(io::Error::other("a message is too large"));
    }
    head[..4].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    head[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8..HEADER_BYTES].copy_from_slice(&id.to_le_bytes());
    Ok(Frame { head, payload })
}

struct Header {
    body: usize,
    payload: usize,
    id: u64,
}

fn header(bytes: [u8; HEADER_BYTES]) -> io::Result<Header> {
    let [b0, b1, b2, b3, p0, p1, p2, p3, id @ ..] = bytes;
    let header = Header {
        body: u32::from_le_bytes([b0, b1, b2, b3]) as usize,
        payload: u32::from_le_bytes([p0, p1, p2, p3]) as usize,
        id: u64::from_le_bytes(id),
    };
    if header.body > MAX_BYTES || header.payload > MAX_BYTES {
        return Err(io::Error::other("a message is too large"));
    }
    Ok(header)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

pub fn write(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    to.write_all(&frame.head)?;
    if frame.payload.is_empty() { Ok(()) } else { to.write_all(&frame.payload) }
}

/// The next message; `UnexpectedEof` once the other end is gone.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(u64, T, Vec<u8>)> {
    let mut head = [0; HEADER_BYTES];
    from.read_exact(&mut head)?;
    let header = header(head)?;
    let mut body = vec![0; header.body];
    from.read_exact(&mut body)?;
    let mut payload = vec![0; header.payload];
    from.read_exact(&mut payload)?;
    Ok((header.id, decode(&body)?, payload))
}

/// As [`read`], for the engine's side.
pub async fn read_async<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<(u64, T, Vec<u8>)> {
    let mut head = [0; HEADER_BYTES];
    from.read_exact(&mut head).await?;
    let header = header(head)?;
    let mut body = vec![0; header.body];
    from.read_exact(&mut body).await?;
    let mut payload = vec![0; header.payload];
    from.read_exact(&mut payload).await?;
    Ok((header.id, decode(&body)?, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frame = encode(7, &(1u8, "x".to_owned()), vec![1, 2, 3]).unwrap();
        let mut bytes = Vec::new();
        write(&mut bytes, &frame).unwrap();
        let (id, body, payload) = read::<(u8, String)>(&mut bytes.as_slice()).unwrap();
        assert_eq!((id, body, payload), (7, (1, "x".to_owned()), vec![1, 2, 3]));
    }

    #[test]
    fn a_cut_message_is_an_end() {
        let frame = encode(7, &"hello".to_owned(), vec![]).unwrap();
        let error = read::<String>(&mut &frame.head[..frame.head.len() - 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_mad_length_is_refused() {
        let error = read::<String>(&mut [0xff; 16].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
    }
}
