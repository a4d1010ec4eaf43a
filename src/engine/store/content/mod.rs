//! (draft) Contents: versions of files' bytes.
