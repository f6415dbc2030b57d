//! Paths inside a build: always with slashes, whatever this system uses.

/// The shortest path that means the same, as Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                // Above the root is the root.
                None if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `path` as seen from `directory`, cleaned.
pub(super) fn join(directory: &str, path: &str) -> String {
    let path = clean(path);
    if path.starts_with('/') {
        path
    } else {
        clean(&format!("/{directory}/{path}"))
    }
}

/// As [`join`], but an end of `/` or `/.` stays, which tells a copy that a directory is meant.
pub(super) fn join_keeping_end(directory: &str, path: &str) -> String {
    let mut joined = join(directory, path);
    if path.ends_with('/') {
        if !joined.ends_with('/') {
            joined.push('/');
        }
    } else if path.ends_with("/.") {
        if joined != "/" {
            joined.push('/');
        }
        joined.push('.');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("/", "/"),
            ("a//b/./c/..", "a/b"),
            ("/../a", "/a"),
            ("../a/../..", "../.."),
            ("a/..", "."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn the_end_of_a_destination_stays() {
        assert_eq!(join_keeping_end("/w", "a/"), "/w/a/");
        assert_eq!(join_keeping_end("/w", "/bin/."), "/bin/.");
        assert_eq!(join_keeping_end("/", "/."), "/.");
        assert_eq!(join_keeping_end("/w", "."), "/w");
    }
}
