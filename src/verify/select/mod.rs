//! Selectors: which spans of a trace are meant.
//!
//! Lives here: the grammar, printing a selector back, matching it. Elsewhere: the command line
//! (`cli::trace`). Start at [`Selector`].
//!
//! ```text
//! selector  = term { combinator term }
//! combinator= ">" (child) | blank (descendant) | "<" (parent) | "~" (sibling)
//! term      = ( "*" | "span" | name ) { "[" test { "," test } "]" } { ":" pseudo }
//! test      = key op value | key | "!" key
//! op        = "=" | "!=" | "~" (regex) | "*=" (contains) | "<" | "<=" | ">" | ">="
//! ```

mod matching;
mod nearest;
mod parse;
mod quantity;
mod syntax;

pub(super) use matching::{own_ns, says, values_of_call};
pub(super) use quantity::quantity;

pub use parse::SelectorError;
pub use syntax::Selector;
