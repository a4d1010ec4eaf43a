//! A real `sftp-server`, and somebody who acts on its files just before or after a certain request.
//!
//! `relay SPECS SERVER`: requests go to the server one by one. A spec is `POINT ACTION FOLDER`, several
//! are parted by `;`, each acts once. A point is a request that names `FOLDER/a`, or `after-` and one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{read_message, send};

struct Spec {
    point: String,
    action: String,
    folder: PathBuf,
    done: bool,
}

pub fn run(specs: &str, server: &str) -> std::io::Result<()> {
    let mut specs: Vec<Spec> = specs.split(';').filter_map(spec).collect();
    let mut words = server.split(' ');
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(mut to), Some(mut from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("the server has no pipes"));
    };
    loop {
        let message = read_message()?;
        let request = name(&message);
        act(&mut specs, &message, &request);
        to.write_all(&(message.len() as u32).to_be_bytes())?;
        to.write_all(&message)?;
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut answer)?;
        act(&mut specs, &message, &format!("after-{request}"));
        send(&[&length[..], &answer].concat())?;
    }
}

fn spec(text: &str) -> Option<Spec> {
    let mut words = text.split(' ');
    let (point, action, folder) = (words.next()?, words.next()?, words.next()?);
    Some(Spec { point: point.into(), action: action.into(), folder: folder.into(), done: false })
}

fn act(specs: &mut [Spec], message: &[u8], point: &str) {
    let names = |path: &Path| {
        let path = path.as_os_str().as_encoded_bytes();
        let string = [&(path.len() as u32).to_be_bytes()[..], path].concat();
        message.windows(string.len()).any(|window| window == string)
    };
    let next = specs.iter_mut().find(|s| !s.done && s.point == point && names(&s.folder.join("a")));
    let Some(spec) = next else { return };
    spec.done = true;
    let at = spec.folder.join("a");
    let done = match spec.action.as_str() {
        "write" => std::fs::write(&at, "theirs"),
        "remove" => std::fs::remove_file(&at),
        // Of another size each time.
        file => {
            let beside = spec.folder.join("theirs");
            std::fs::write(&beside, format!("theirs, {file}")).and_then(|()| std::fs::rename(&beside, &at))
        }
    };
    if let Err(e) = done {
        eprintln!("the other cannot act: {e}");
    }
}

/// What is asked for, in a word.
fn name(message: &[u8]) -> String {
    match message.first() {
        Some(7) => "lstat".into(),
        Some(13) => "remove".into(),
        Some(18) => "rename".into(),
        Some(200) => {
            let length = usize::from(*message.get(8).unwrap_or(&0));
            let name = message.get(9..9 + length).unwrap_or_default();
            String::from_utf8_lossy(name).split('@').next().unwrap_or_default().into()
        }
        other => format!("{other:?}"),
    }
}
