//! What a build tells, and how it is shown.
//!
//! Lives here: the event stream's types and its renderers (`tty`, `plain`, `json`, `quiet`).
//! Elsewhere: where events come from (`solve`), the terminal's settings (`cli`).
//! Start at [`event::BuildEvent`].

pub mod event;
