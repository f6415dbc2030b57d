//! Patterns of `.dockerignore` and of the frontend: `*`, `?`, `[...]`, `**`, `\`, and `!` for
//! exceptions. What they mean is what moby/patternmatcher makes of them, oddities included, because
//! the daemon filters nothing of what arrives.

use regex::bytes::Regex;

use crate::session::error::SessionError;

/// A list of patterns; later ones overrule earlier ones.
#[derive(Debug)]
pub(in crate::session) struct Patterns(Vec<Pattern>);

/// One pattern.
#[derive(Debug)]
struct Pattern {
    /// Does it take back what earlier ones matched?
    exception: bool,
    text: String,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Exact,
    /// `foo/**`: everything that begins so.
    Prefix(String),
    /// `**/foo`: everything that ends so.
    Suffix(String),
    Regex(Regex),
}

/// Which patterns matched a directory: what is below it need not be asked again.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Matched(Vec<bool>);

impl Patterns {
    pub(in crate::session) fn new(texts: &[String]) -> Result<Self, SessionError> {
        let texts = texts
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        Ok(Self(texts.map(Pattern::new).collect::<Result<_, _>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does the list match `path`? `parent` is what the directory above gave; the result is what
    /// entries below `path` are given.
    pub(in crate::session) fn matches(
        &self,
        path: &str,
        parent: Option<&Matched>,
    ) -> (bool, Matched) {
        let mut matched = false;
        let mut each = Vec::with_capacity(self.0.len());
        for (index, pattern) in self.0.iter().enumerate() {
            let mut hit =
                parent.is_some_and(|parent| parent.0.get(index).copied().unwrap_or(false));
            if !hit {
                // A pattern is only asked if it could change the outcome.
                if pattern.exception != matched {
                    each.push(false);
                    continue;
                }
                hit = pattern.matches(path);
            }
            each.push(hit);
            if hit {
                matched = !pattern.exception;
            }
        }
        (matched, Matched(each))
    }

    /// Could something below `directory` match one of the patterns (`exceptions`: one of the
    /// exceptions), although the directory itself does not?
    pub(super) fn could_match_below(&self, directory: &str, exceptions: bool) -> bool {
        let mut wanted = self
            .0
            .iter()
            .filter(|pattern| pattern.exception == exceptions);
        let inside = format!("{directory}/");
        wanted.any(|pattern| {
            let plain = pattern.without_trailing_glob();
            plain.contains(['*', '[', ']', '?', '^', '\\'])
                || format!("{plain}/").starts_with(&inside)
        })
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, SessionError> {
        let bad = |problem: &str| SessionError::Pattern {
            pattern: text.to_owned(),
            problem: problem.to_owned(),
        };
        let clean = clean(text);
        let (exception, clean) = match clean.strip_prefix('!') {
            Some("") => return Err(bad("an exception of nothing")),
            Some(rest) => (true, rest.to_owned()),
            None => (false, clean),
        };
        let shape = compile(&clean).map_err(|problem| bad(&problem))?;
        Ok(Self {
            exception,
            text: clean,
            shape,
        })
    }

    fn matches(&self, path: &str) -> bool {
        match &self.shape {
            Shape::Exact => path == self.text,
            Shape::Prefix(prefix) => path.starts_with(prefix.as_str()),
            // `**/foo` also matches `foo`.
            Shape::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Shape::Regex(regex) => regex.is_match(path.as_bytes()),
        }
    }

    fn without_trailing_glob(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }
}

/// The path in its shortest form (as Go's `filepath.Clean`).
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

/// Does one component of a path match a pattern without `**`?
pub(super) fn component_matches(pattern: &str, name: &str) -> bool {
    match compile(pattern) {
        Ok(Shape::Exact) => pattern == name,
        Ok(Shape::Regex(regex)) => regex.is_match(name.as_bytes()),
        Ok(Shape::Prefix(_) | Shape::Suffix(_)) => true,
        Err(_) => false,
    }
}

fn compile(pattern: &str) -> Result<Shape, String> {
    let mut regex = String::from("(?s-u)^");
    // The cheapest shape that fits what was seen so far.
    let (mut exact, mut prefix, mut suffix) = (true, false, false);
    let mut letters = pattern.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '*' if letters.next_if(|(_, next)| *next == '*').is_some() => {
                // `**/` is `**`.
                letters.next_if(|(_, next)| *next == '/');
                if letters.peek().is_some() {
                    regex.push_str("(.*/)?");
                    prefix = false;
                } else if exact {
                    prefix = true;
                } else {
                    regex.push_str(".*");
                    suffix = false;
                }
                if at == 0 {
                    (suffix, prefix) = (true, false);
                }
                exact = false;
                continue;
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("(?u:[^/])"),
            '\\' => match letters.next() {
                Some((_, escaped)) => regex.push_str(&regex::escape(&escaped.to_string())),
                None => return Err("it ends in a backslash".into()),
            },
            '[' => class(&mut letters, &mut regex)?,
            _ => {
                regex.push_str(&regex::escape(&letter.to_string()));
                continue;
            }
        }
        (exact, prefix, suffix) = (false, false, false);
    }
    if exact {
        return Ok(Shape::Exact);
    }
    if prefix {
        return Ok(Shape::Prefix(
            pattern
                .trim_end_matches('/')
                .trim_end_matches("**")
                .to_owned(),
        ));
    }
    if suffix {
        return Ok(Shape::Suffix(
            pattern.strip_prefix("**").unwrap_or(pattern).to_owned(),
        ));
    }
    regex.push('$');
    Regex::new(&regex)
        .map(Shape::Regex)
        .map_err(|_| "it is too large, or a range in it is reversed".into())
}

/// Reads `[...]` after its bracket.
fn class(
    letters: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    regex: &mut String,
) -> Result<(), String> {
    regex.push_str("(?u:[");
    if letters.next_if(|(_, next)| *next == '^').is_some() {
        regex.push('^');
    }
    let mut empty = true;
    loop {
        let (_, letter) = letters.next().ok_or("a `[` is not closed")?;
        let literal = match letter {
            ']' if !empty => break,
            '-' => {
                regex.push('-');
                empty = false;
                continue;
            }
            '\\' => letters.next().ok_or("it ends in a backslash")?.1,
            letter => letter,
        };
        // Whatever a regex means by it inside brackets, here it is itself.
        if literal.is_ascii_punctuation() {
            regex.push('\\');
        }
        regex.push(literal);
        empty = false;
    }
    regex.push_str("])");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &[&str], path: &str) -> bool {
        let texts: Vec<_> = patterns.iter().map(|text| (*text).to_owned()).collect();
        let patterns = Patterns::new(&texts).unwrap();
        // From the top down, as the walk does.
        let mut parent = None;
        for (at, _) in path.match_indices('/') {
            parent = Some(patterns.matches(&path[..at], parent.as_ref()).1);
        }
        patterns.matches(path, parent.as_ref()).0
    }

    #[test]
    fn patterns_mean_what_the_daemon_expects() {
        for (pattern, path, expected) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir", false),
            ("dir/**", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/dir3/file", true),
            ("**/dir2/**", "dir/dir2/dir3/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**/file", "dir/file", true),
            ("**file", "xfile", true),
            ("**/file", "xfile", false),
            ("**/file*", "dir/file.txt", true),
            ("**/file*", "dir/xfile.txt", false),
            ("**/*.txt", "dir/file.txt", true),
            ("**/*.txt", "dir/file.txtx", false),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/file.txt", true),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("a[^b-d]e", "aze", true),
            ("a[^b-d]e", "ace", false),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc.def", "abcdef", false),
            ("abc.def", "abc.def", true),
            ("abc?def", "abcZdef", true),
            ("abc?def", "abcdef", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("**/foo/bar", "foo/bar", true),
            ("**/foo/bar", "dir/foo/bar/deep", true),
            ("abc/**", "abc", false),
            ("abc/**", "abc/def/ghi", true),
            ("/a", "a", false),
            ("./a", "a", true),
            ("a/", "a/b", true),
            ("gr?n", "grün", true),
            ("a[]b]c", "a]c", true),
            ("node_modules", "x/node_modules", false),
            ("*", "a/b", true),
        ] {
            assert_eq!(matches(&[pattern], path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn later_exceptions_take_back_and_a_parents_match_counts() {
        assert!(!matches(&["*.md", "!README.md"], "README.md"));
        assert!(matches(
            &["*.md", "!README*.md", "README-secret.md"],
            "README-secret.md"
        ));
        assert!(!matches(&["dir", "!dir/keep"], "dir/keep/x"));
        assert!(matches(&["dir", "!dir/keep"], "dir/other"));
        assert!(matches(&["**", "!util/docker/web"], "util/docker/web2"));
        assert!(!matches(&["**", "!util/docker/web"], "util/docker/web/foo"));
    }

    #[test]
    fn broken_patterns_are_refused() {
        for text in ["!", "[", "a[b", "a\\", "[b-a]"] {
            assert!(Patterns::new(&[text.into()]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_is_entered_only_if_something_below_it_could_match() {
        let patterns =
            Patterns::new(&["a/b/c".into(), "x/**".into(), "*".into(), "!a/keep".into()]).unwrap();
        assert!(patterns.could_match_below("a", false));
        assert!(
            patterns.could_match_below("zzz", false),
            "a glob could match anything"
        );
        assert!(patterns.could_match_below("a", true));
        assert!(!patterns.could_match_below("b", true));
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("a//b/./c", "a/b/c"),
            ("../a", "../a"),
            ("a/../b", "b"),
            ("/../a", "/a"),
            ("", "."),
            ("a/..", "."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(text in "\\PC*", path in "\\PC*") {
            if let Ok(patterns) = Patterns::new(&[text]) {
                patterns.matches(&path, None);
                patterns.could_match_below(&path, true);
            }
        }

        #[test]
        fn a_plain_path_matches_itself_and_what_is_below(path in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
            let below = format!("{path}/below");
            proptest::prop_assert!(matches(&[&path], &path));
            proptest::prop_assert!(matches(&[&path], &below));
        }
    }
}
