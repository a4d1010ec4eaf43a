//! From a merge to a text.
//!
//! Where a piece that lacks its last line ending is followed by another, an ending is put between them, of
//! the kind the texts have. A clean text never needs that.

use super::text::{Merge, Region, RegionKind, Take, Which};

/// What stands between conflict markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MarkerStyle {
    /// Local and server.
    #[default]
    TwoSides,
    /// Local, original (behind `|||||||`) and server.
    Diff3,
}

/// What the conflict markers call the texts. Characters that end lines or steer terminals become spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels<'l> {
    pub original: &'l str,
    pub local: &'l str,
    pub server: &'l str,
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Labels { original: "original", local: "local", server: "server" }
    }
}

const MARKER_LENGTH: usize = 7;

impl<T: AsRef<[u8]>> Merge<T> {
    /// The merged text, where no region is a conflict.
    pub fn clean_text(&self) -> Option<Vec<u8>> {
        self.is_clean().then(|| self.render(|_, region| region.default_take().unwrap_or(Take::Original)))
    }

    /// A text of what is chosen for each region. `choose` gets the region's place in [`Merge::regions`], and
    /// is not asked where all three are the same.
    ///
    /// [`Region::default_take`] says what a merge would take. The same one of the texts for all gives that
    /// text.
    pub fn render(&self, mut choose: impl FnMut(usize, &Region) -> Take) -> Vec<u8> {
        let mut out = Output::new(self);
        for (index, region) in self.regions().iter().enumerate() {
            let take = match region.kind {
                RegionKind::Same => Take::Original,
                _ => choose(index, region),
            };
            out.take(region, take);
        }
        out.bytes
    }

    /// The merged text with each conflict between markers seven characters long, as `git merge-file` writes
    /// them.
    pub fn render_marked(&self, style: MarkerStyle, labels: Labels<'_>) -> Vec<u8> {
        let mut out = Output::new(self);
        for region in self.regions() {
            match region.default_take() {
                Some(take) => out.take(region, take),
                None => {
                    out.marker('<', labels.local);
                    out.take(region, Take::Local);
                    if style == MarkerStyle::Diff3 {
                        out.marker('|', labels.original);
                        out.take(region, Take::Original);
                    }
                    out.marker('=', "");
                    out.take(region, Take::Server);
                    out.marker('>', labels.server);
                }
            }
        }
        out.bytes
    }

    /// The ending of the first line that has one, of the original, else of a side.
    fn line_ending(&self) -> &'static [u8] {
        for which in [Which::Original, Which::Local, Which::Server] {
            let text = self.text(which);
            if let Some(at) = text.iter().position(|byte| *byte == b'\n') {
                return if text[..at].ends_with(b"\r") { b"\r\n" } else { b"\n" };
            }
        }
        b"\n"
    }
}

struct Output<'m, T> {
    merge: &'m Merge<T>,
    bytes: Vec<u8>,
    line_ending: &'static [u8],
}

impl<'m, T: AsRef<[u8]>> Output<'m, T> {
    fn new(merge: &'m Merge<T>) -> Self {
        let size = merge.text(Which::Local).len().max(merge.text(Which::Server).len());
        Output { merge, bytes: Vec::with_capacity(size), line_ending: merge.line_ending() }
    }

    fn take(&mut self, region: &Region, take: Take) {
        let parts: &[Which] = match take {
            Take::Original => &[Which::Original],
            Take::Local => &[Which::Local],
            Take::Server => &[Which::Server],
            Take::LocalThenServer => &[Which::Local, Which::Server],
            Take::ServerThenLocal => &[Which::Server, Which::Local],
        };
        for which in parts {
            let part = self.merge.part(*which, region);
            if !part.is_empty() {
                self.end_line();
                self.bytes.extend_from_slice(part);
            }
        }
    }

    fn marker(&mut self, mark: char, label: &str) {
        self.end_line();
        self.bytes.extend(std::iter::repeat_n(mark as u8, MARKER_LENGTH));
        if !label.is_empty() {
            let label: String = label.chars().map(|c| if ends_line(c) { ' ' } else { c }).collect();
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(label.as_bytes());
        }
        self.bytes.extend_from_slice(self.line_ending);
    }

    fn end_line(&mut self) {
        if self.bytes.last().is_some_and(|byte| *byte != b'\n') {
            self.bytes.extend_from_slice(self.line_ending);
        }
    }
}

fn ends_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
