//! Conflicts of each kind, made by file operations on both sides; what is seen of them, and what each
//! choice leaves.

mod bulk;
mod choices;
mod kinds;
mod seen;
mod taken_back;
