//! Values set from outside: `${args.NAME}`, `${env.NAME}` and `${matrix.NAME}`, with `:-` defaults.
//!
//! Nothing else is replaced, so that a shell's `${HOME}` stays the shell's; `$${args.NAME}` gives
//! `${args.NAME}` itself.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::document::{Fault, Node, Position, Value, similar};

/// Gives a variable of the environment.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What may be put in.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) args: &'a BTreeMap<String, String>,
    pub(super) env: Env<'a>,
    pub(super) matrix: Option<&'a BTreeMap<String, String>>,
    /// Bytes that the plan may still grow by; see [`PLAN_BYTES`].
    pub(super) left: &'a Cell<usize>,
}

/// Most that a plan's tree takes once its values are put in, those of a matrix for each combination.
pub(super) const PLAN_BYTES: usize = 32 << 20;

impl Values<'_> {
    /// Puts the values into all texts under `node`.
    ///
    /// # Errors
    /// When there is no such value, or the plan grows too large.
    pub(super) fn put_into(self, node: &mut Node) -> Result<(), Fault> {
        self.take(size_of::<Node>(), node.at)?;
        match &mut node.value {
            Value::Text(text) => *text = self.put(text, node.at)?,
            Value::List(items) => {
                for item in items {
                    self.put_into(item)?;
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.take(key.name.len(), key.at)?;
                    self.put_into(value)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
        }
        Ok(())
    }

    fn take(self, bytes: usize, at: Position) -> Result<(), Fault> {
        let Some(left) = self.left.get().checked_sub(bytes) else {
            let limit = PLAN_BYTES >> 20;
            let message = format!("the plan is larger than {limit} MiB once its values are put in");
            return Err(Fault::new(at, message));
        };
        self.left.set(left);
        Ok(())
    }

    fn put(self, text: &str, at: Position) -> Result<String, Fault> {
        self.take(text.len(), at)?;
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let ours = ["args.", "env.", "matrix."]
                .iter()
                .any(|scope| after.starts_with(scope));
            done.push_str(before);
            if !ours {
                done.push_str("${");
                rest = after;
                continue;
            }
            if done.ends_with('$') {
                done.push('{');
                rest = after;
                continue;
            }
            let Some((inside, after)) = after.split_once('}') else {
                return Err(Fault::new(at, "`${` without its `}`"));
            };
            let value = self.value(inside, at)?;
            self.take(value.len(), at)?;
            done.push_str(&value);
            rest = after;
        }
        done.push_str(rest);
        Ok(done)
    }

    fn value(self, inside: &str, at: Position) -> Result<String, Fault> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let (scope, name) = name.split_once('.').unwrap_or((name, ""));
        let nothing = BTreeMap::new();
        let (value, known) = match scope {
            "args" => (self.args.get(name).cloned(), self.args),
            "matrix" => {
                let matrix = self.matrix.unwrap_or(&nothing);
                (matrix.get(name).cloned(), matrix)
            }
            _ => ((self.env)(name), &nothing),
        };
        if let Some(value) = value.filter(|value| default.is_none() || !value.is_empty()) {
            return Ok(value);
        }
        if let Some(default) = default {
            return Ok(default.to_owned());
        }
        if scope == "env" {
            let fault = Fault::new(at, format!("the variable `{name}` is not set"));
            return Err(fault.help(format!("set it, or write `${{env.{name}:-DEFAULT}}`")));
        }
        let fault = Fault::new(at, format!("no value `{scope}.{name}`"));
        let help = match similar(name, known.keys().map(String::as_str)) {
            Some(other) => format!("did you mean `${{{scope}.{other}}}`?"),
            None if scope == "args" => format!("add `{name}` to `args`, with its default"),
            None => format!("add `{name}` to the action's `matrix`"),
        };
        Err(fault.help(help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str) -> Result<String, String> {
        let args = BTreeMap::from([
            ("go".to_owned(), "1.22".to_owned()),
            ("no".into(), String::new()),
        ]);
        let env = |name: &str| (name == "CI").then(|| "yes".to_owned());
        let values = Values {
            args: &args,
            env: &env,
            matrix: None,
            left: &Cell::new(PLAN_BYTES),
        };
        values
            .put(text, Position::default())
            .map_err(|fault| format!("{}; {}", fault.message, fault.help))
    }

    #[test]
    fn ours_is_replaced_and_the_shells_is_not() {
        assert_eq!(
            put("go${args.go} ${env.CI} ${HOME} $x $${args.go} ${"),
            Ok("go1.22 yes ${HOME} $x ${args.go} ${".into())
        );
        assert_eq!(
            put("${args.no:-a}${env.X:-}${env.X:-b}${args.y:-c}"),
            Ok("abc".into())
        );
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(
            put("${args.og}").unwrap_err(),
            "no value `args.og`; did you mean `${args.go}`?"
        );
        assert_eq!(
            put("${env.X}").unwrap_err(),
            "the variable `X` is not set; set it, or write `${env.X:-DEFAULT}`"
        );
        assert_eq!(put("${args.go").unwrap_err(), "`${` without its `}`; ");
    }
}
