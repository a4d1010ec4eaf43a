//! Three-way merge: what both sides made of one original, cut into regions.
//!
//! Stands alone: nothing here knows the rest of the engine, does I/O, reads a clock or depends on
//! randomness in its results. Same texts, same regions, on every machine.
//!
//! ```text
//!  three texts -> lines: offsets, equal lines get equal numbers
//!              -> diff (original/local, original/server): search -> slide -> edits
//!              -> regions: tile all three texts; edits that touch are one region
//!              -> render: clean text, a choice per region, or conflict markers
//! ```
//!
//! Read in this order: `text` (the face), `regions` (what counts as a conflict), `diff`, `search`,
//! `slide`, `lines`, `render`.

mod diff;
mod lines;
mod regions;
mod render;
mod search;
mod slide;
pub mod text;

#[cfg(test)]
mod tests;
