//! A plan's graph as text, DOT or Mermaid.

use std::fmt::Write;

use super::check::Planned;
use super::load::PlanFile;

/// How a graph is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphFormat {
    /// A line an action.
    #[default]
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
}

impl PlanFile {
    /// The graph of the actions; arrows lead to what is done later.
    pub fn graph(&self, format: GraphFormat) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match format {
            GraphFormat::Text => self.text(&mut text),
            GraphFormat::Dot => self.dot(&mut text),
            GraphFormat::Mermaid => self.mermaid(&mut text),
        };
        text
    }

    fn needed(&self, action: &Planned) -> Vec<&str> {
        let needs = action
            .needs
            .iter()
            .filter_map(|need| self.actions.get(*need));
        needs.map(|action| action.name.as_str()).collect()
    }

    fn text(&self, out: &mut String) -> std::fmt::Result {
        let names = self
            .actions
            .iter()
            .map(|action| action.name.chars().count());
        let width = names.max().unwrap_or(0);
        for action in &self.actions {
            let needs = self.needed(action);
            let kind = action.kind.name();
            let line = if needs.is_empty() {
                format!("{:width$}  {kind}", action.name)
            } else {
                format!("{:width$}  {kind:8} <- {}", action.name, needs.join(", "))
            };
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn dot(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "digraph plan {{\n  rankdir=LR;\n  node [shape=box];")?;
        let quoted =
            |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        for action in &self.actions {
            let label = format!(
                "{}\\n{}",
                action.name.replace('"', "\\\""),
                action.kind.name()
            );
            writeln!(out, "  {} [label=\"{label}\"];", quoted(&action.name))?;
        }
        for action in &self.actions {
            for need in self.needed(action) {
                writeln!(out, "  {} -> {};", quoted(need), quoted(&action.name))?;
            }
        }
        writeln!(out, "}}")
    }

    fn mermaid(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "flowchart LR")?;
        for (index, action) in self.actions.iter().enumerate() {
            let name = action.name.replace('"', "#quot;");
            writeln!(out, "  a{index}[\"{name}<br/>{}\"]", action.kind.name())?;
        }
        for (index, action) in self.actions.iter().enumerate() {
            for need in &action.needs {
                writeln!(out, "  a{need} --> a{index}")?;
            }
        }
        Ok(())
    }
}
