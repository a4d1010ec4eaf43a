//! What the engine reports, as JSON and as text.

pub mod json;
pub mod table;
pub mod text;
pub mod time;
