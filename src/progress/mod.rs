//! What a build tells, and how it is shown.
//!
//! Lives here: the event stream's types, the state that events add up to, and the renderers (`tty`,
//! `plain`, `json`, `quiet`). Elsewhere: where events come from (`solve`), what the terminal can do
//! (`cli`). Start at [`event::BuildEvent`] and [`renderer`].

mod epilogue;
pub mod event;
mod format;
mod json;
mod plain;
mod quiet;
mod renderer;
mod steps;
mod summary;
mod text;
mod tty;
mod warnings;

pub use format::{bytes, rfc3339};
pub use renderer::{Format, Options, Renderer, renderer};
pub use text::{clean, cut, width};
