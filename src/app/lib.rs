//! The application: the window of Holdfast.
