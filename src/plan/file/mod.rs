//! A plan file: from its text to actions that refer to each other.
//!
//! Lives here: the formats, the schema, values set from outside, the checks and the graph. Every fault
//! has its place in the file. Elsewhere: running the actions (`solve`). Start at [`PlanFile::load`].

mod check;
mod graph;
mod load;
mod options;
mod schema;
mod secrets;
mod values;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub use crate::document::{At, Fault, Position};
pub use check::{Kind, Planned, SecretFrom};
pub use graph::GraphFormat;
pub use load::{Given, NAMES, PlanFile};
pub use options::ulimit;
pub use schema::{
    Action, Build, CopyStep, Diff, FileStep, Git, Http, Local, Mount, NetworkMode, Output, RmStep,
    SharingMode, Step, SymlinkStep, Words, json_schema,
};
