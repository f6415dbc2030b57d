//! The grammar of flags with fields: `key=value,key=value`, with CSV's quotes, as buildx has it.

use std::collections::BTreeMap;

use super::diagnostic::Failure;

/// The fields of one flag's value.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    flag: &'a str,
    text: &'a str,
    fields: BTreeMap<String, String>,
}

impl<'a> Fields<'a> {
    /// Reads `text`. A field without `=` is the value of `bare`, if that is not empty.
    ///
    /// # Errors
    /// When a quote does not end, or a field has no name or comes twice.
    pub(super) fn read(flag: &'a str, text: &'a str, bare: &str) -> Result<Self, Failure> {
        let parts = split(text).ok_or_else(|| Failure::Usage {
            message: format!("{flag} `{}`: a quote does not end", shown(text)),
            help: "quote a whole field: `\"dest=a,b\"`".into(),
        })?;
        let mut found = Self {
            flag,
            text,
            fields: BTreeMap::new(),
        };
        for part in parts {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key.trim().to_ascii_lowercase(), value.to_owned()),
                None if !bare.is_empty() => (bare.to_owned(), part.clone()),
                None => return Err(found.wrong(&format!("the field `{part}` has no value"))),
            };
            if found.fields.insert(key.clone(), value).is_some() {
                return Err(found.wrong(&format!("the field `{key}` comes twice")));
            }
        }
        Ok(found)
    }

    /// Takes a field that may be missing.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.fields.remove(key)
    }

    /// Takes a field that must be there.
    pub(super) fn need(&mut self, key: &str) -> Result<String, Failure> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| self.wrong(&format!("the field `{key}` is missing")))
    }

    /// Takes a field that is true or false.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match boolean(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(&format!(
                "the field `{key}` is true or false, not `{value}`"
            ))),
        }
    }

    /// What is left, all of it known: by name, or by the beginning of its name.
    pub(super) fn rest(
        self,
        known: &[&str],
        beginnings: &[&str],
    ) -> Result<BTreeMap<String, String>, Failure> {
        for key in self.fields.keys() {
            let begins = beginnings
                .iter()
                .any(|beginning| key.starts_with(beginning));
            if !begins && !known.contains(&key.as_str()) {
                return Err(Failure::Usage {
                    message: format!(
                        "{} `{}`: unknown field `{key}`",
                        self.flag,
                        shown(self.text)
                    ),
                    help: suggest(key, known),
                });
            }
        }
        Ok(self.fields)
    }

    /// An error about this value.
    pub(super) fn wrong(&self, what: &str) -> Failure {
        Failure::Usage {
            message: format!("{} `{}`: {what}", self.flag, shown(self.text)),
            help: format!("see `dagger up --help` for the fields of {}", self.flag),
        }
    }
}

/// True or false as Go's `strconv.ParseBool` reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The value as an error may show it.
fn shown(text: &str) -> String {
    super::redact::fields(text)
}

/// "Did you mean", or what there is.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|other| (distance(word, other), other))
        .filter(|(distance, other)| *distance <= other.len().div_ceil(2))
        .min();
    match near {
        Some((_, other)) => format!("did you mean `{other}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&other) {
            let changed = diagonal + usize::from(letter != *other);
            left = changed.min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// The fields of a line of CSV; `None` if a quote does not end.
fn split(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut letters = text.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(text: &str) -> Result<BTreeMap<String, String>, (String, String)> {
        Fields::read("--x", text, "src")
            .and_then(|fields| fields.rest(&["src", "dest", "type"], &["annotation"]))
            .map_err(|failure| (failure.to_string(), failure.help().unwrap_or_default()))
    }

    #[test]
    fn quotes_keep_commas() {
        let fields = rest(r#"TYPE=a,"dest=b,""c""",d"#).unwrap();
        let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(fields, [r#"dest=b,"c""#, "src=d", "type=a"]);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_neighbour() {
        let (message, help) = rest("dst=x").unwrap_err();
        assert_eq!(message, "--x `dst=x`: unknown field `dst`");
        assert_eq!(help, "did you mean `dest`?");
        assert_eq!(
            rest("zzzzz=x").unwrap_err().1,
            "known here: src, dest, type"
        );
        assert!(rest("annotation-index.a=b").is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(
            rest("\"a").unwrap_err().0,
            "--x `\"a`: a quote does not end"
        );
        assert_eq!(
            rest("a,b").unwrap_err().0,
            "--x `a,b`: the field `src` comes twice"
        );
        let secret = rest("token=hunter2,x=y").unwrap_err().0;
        assert!(!secret.contains("hunter2"), "{secret}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = rest(&text);
        }
    }
}
