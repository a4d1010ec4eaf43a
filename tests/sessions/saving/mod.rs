//! However a program saves, the server sees one update: with somebody else's edit there is exactly one
//! edit/edit conflict on that path, and never a deletion and a creation.

mod databases;
mod moves;
mod patterns;
