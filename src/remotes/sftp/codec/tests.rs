//! The codec against whatever may come: nothing panics, nothing is taken for what it is not, and what
//! is written is read.

use proptest::prelude::*;

use super::wire::{Reader, Writer};
use super::*;

/// As a server writes it.
fn write(id: u32, response: &Response) -> Vec<u8> {
    let mut to = Writer(Vec::new());
    match response {
        Response::Status(status) => {
            to.u8(101).u32(id).u32(number(status.code)).string(status.message.as_bytes()).string(b"en");
        }
        Response::Handle(handle) => drop(to.u8(102).u32(id).string(handle)),
        Response::Data(data) => drop(to.u8(103).u32(id).string(data.bytes())),
        Response::Names(entries) => {
            to.u8(104).u32(id).u32(entries.len() as u32);
            for entry in entries {
                to.string(&entry.name).string(b"-rw-r--r-- 1 me us 5 Jan 1 00:00 it");
                entry.attrs.write(&mut to);
            }
        }
        Response::Attrs(attrs) => attrs.write(to.u8(105).u32(id)),
        Response::Extended(reply) => to.u8(201).u32(id).0.extend_from_slice(reply),
    }
    to.0
}

fn number(code: Code) -> u32 {
    (0..200).find(|n| Code::from(*n) == code).unwrap_or(4)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn attrs() -> impl Strategy<Value = Attrs> {
    let pair = || prop::option::of(any::<(u32, u32)>());
    (prop::option::of(any::<u64>()), pair(), prop::option::of(any::<u32>()), pair())
        .prop_map(|(size, owner, permissions, times)| Attrs { size, owner, permissions, times })
}

fn response() -> impl Strategy<Value = Response> {
    let entry = (bytes(), attrs()).prop_map(|(name, attrs)| Entry { name, attrs });
    prop_oneof![
        (0u32..22, "[ -~]{0,200}")
            .prop_map(|(code, message)| Response::Status(Status { code: Code::from(code), message })),
        bytes().prop_map(|b| Response::Handle(b.into())),
        bytes().prop_map(|b| {
            let mut to = Writer(Vec::new());
            to.u8(103).u32(0).string(&b);
            decode(to.0).map(|(_, response)| response).unwrap()
        }),
        prop::collection::vec(entry, 0..20).prop_map(Response::Names),
        attrs().prop_map(Response::Attrs),
        bytes().prop_map(Response::Extended),
    ]
}

/// Mostly a good answer, with some of its bytes changed.
fn nearly_good() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (response(), changes).prop_map(|(response, changes)| {
        let mut message = write(7, &response);
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message
    })
}

/// Nothing in it can be larger than the message that it came in.
fn assert_bounded(message: &[u8]) {
    let size = match decode(message.to_vec()) {
        Err(_) => 0,
        Ok((_, Response::Handle(handle))) => handle.len(),
        Ok((_, Response::Data(data))) => {
            let len = data.bytes().len();
            assert_eq!(data.into_bytes().len(), len);
            len
        }
        Ok((_, Response::Names(entries))) => {
            assert!(entries.capacity() <= message.len());
            entries.iter().map(|e| e.name.len()).sum()
        }
        Ok((_, Response::Status(status))) => {
            assert!(!status.message.chars().any(char::is_control));
            // Each byte that is no text becomes a sign of three.
            status.message.len() / 3
        }
        Ok((_, Response::Extended(reply))) => {
            let (_, _) = (Limits::parse(&reply), Space::parse(&reply));
            reply.len()
        }
        Ok((_, Response::Attrs(_))) => 0,
    };
    assert!(size <= message.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_an_answer_or_refused(message in prop::collection::vec(any::<u8>(), 0..600)) {
        assert_bounded(&message);
        let _ = decode_version(&message);
    }

    #[test]
    fn nearly_good_bytes_are_an_answer_or_refused(message in nearly_good()) {
        assert_bounded(&message);
    }

    #[test]
    fn what_is_written_is_read(id in any::<u32>(), response in response()) {
        let (found, read) = decode(write(id, &response)).unwrap();
        prop_assert_eq!(found, id);
        match (read, response) {
            (Response::Data(a), Response::Data(b)) => prop_assert_eq!(a.bytes(), b.bytes()),
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn what_is_cut_is_refused(
        response in response().prop_filter("its end is open", |r| {
            !matches!(r, Response::Extended(_) | Response::Status(_))
        }),
        at in any::<prop::sample::Index>(),
    ) {
        let message = write(1, &response);
        let cut = at.index(message.len());
        prop_assert_eq!(decode(message[..cut].to_vec()), Err(Malformed::Short));
    }

    #[test]
    fn requests_are_as_long_as_they_say(id in any::<u32>(), a in bytes(), b in bytes(), attrs in attrs()) {
        let (a, b) = (&a[..], &b[..]);
        let with_two: [(Request<'_>, u8, &[u8]); 4] = [
            (Request::Rename { from: a, to: b }, 18, b""),
            (Request::Symlink { target: a, path: b }, 20, b""),
            (Request::PosixRename { from: a, to: b }, 200, b"posix-rename@openssh.com"),
            (Request::Hardlink { from: a, to: b }, 200, b"hardlink@openssh.com"),
        ];
        for (request, kind, extension) in with_two {
            let message = encode(id, &request);
            let mut from = Reader::new(&message);
            prop_assert_eq!(from.u32().unwrap() as usize, message.len() - 4);
            prop_assert_eq!((from.u8().unwrap(), from.u32().unwrap()), (kind, id));
            if !extension.is_empty() {
                prop_assert_eq!(from.string().unwrap(), extension);
            }
            prop_assert_eq!((from.string().unwrap(), from.string().unwrap()), (a, b));
            prop_assert!(from.is_empty());
        }
        let message = encode(id, &Request::Setstat { path: a, attrs });
        let mut from = Reader::new(&message[9..]);
        prop_assert_eq!(from.string().unwrap(), a);
        prop_assert_eq!(Attrs::read(&mut from).unwrap(), attrs);
        prop_assert!(from.is_empty());
    }
}

#[test]
fn a_number_of_names_that_did_not_come_takes_no_memory() {
    let mut to = Writer(Vec::new());
    to.u8(104).u32(1).u32(u32::MAX);
    assert_eq!(decode(to.0), Err(Malformed::Short));
}

#[test]
fn messages_are_those_of_the_draft() {
    assert_eq!(init(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
    let read = Request::Read { handle: b"\xff\0", offset: 1 << 32, len: 9 };
    assert_eq!(
        encode(5, &read),
        [0, 0, 0, 23, 5, 0, 0, 0, 5, 0, 0, 0, 2, 255, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]
    );
    let attrs = Attrs { permissions: Some(0o600), ..Attrs::default() };
    let open = Request::Open { path: b"a", how: Open::New, attrs };
    assert_eq!(
        encode(1, &open),
        [0, 0, 0, 22, 3, 0, 0, 0, 1, 0, 0, 0, 1, 97, 0, 0, 0, 42, 0, 0, 0, 4, 0, 0, 1, 128]
    );
}

#[test]
fn extensions_count_in_their_known_version_only() {
    let version = |data: &[u8]| {
        let mut to = Writer(Vec::new());
        to.u8(2).u32(3).string(b"posix-rename@openssh.com").string(data).string(b"x@y").string(b"\xff");
        decode_version(&to.0).unwrap()
    };
    assert!(version(b"1").1.posix_rename);
    assert_eq!(version(b"2").1, Extensions::default());
}
