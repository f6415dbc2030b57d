//! The page's files: ES modules, a style sheet and a document, as they are in this folder.
//!
//! Lives here: giving them out by name, and putting them into one file. Elsewhere: serving them
//! (`viewer::server`), the JSON that they read (`viewer::view`).

mod single;

pub use single::single_file;

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path, without a leading slash.
    pub path: &'static str,
    /// Its media type, for `Content-Type`.
    pub media_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// What `trace serve` sends as `Content-Security-Policy` with each file of the page.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The modules, each after those that it imports.
static MODULES: &[Asset] = &[
    module("dom.js", include_str!("dom.js")),
    module("format.js", include_str!("format.js")),
    module("icons.js", include_str!("icons.js")),
    module("model.js", include_str!("model.js")),
    module("state.js", include_str!("state.js")),
    module("api.js", include_str!("api.js")),
    module("keys.js", include_str!("keys.js")),
    module("detail.js", include_str!("detail.js")),
    module("summary.js", include_str!("summary.js")),
    module("bindings.js", include_str!("bindings.js")),
    module("waterfall.js", include_str!("waterfall.js")),
    module("table.js", include_str!("table.js")),
    module("flame.js", include_str!("flame.js")),
    module("graph.js", include_str!("graph.js")),
    module("plan.js", include_str!("plan.js")),
    module("log.js", include_str!("log.js")),
    module("findings.js", include_str!("findings.js")),
    module("compare.js", include_str!("compare.js")),
    module("runs.js", include_str!("runs.js")),
    module("run.js", include_str!("run.js")),
    module("app.js", include_str!("app.js")),
];

static STYLE: Asset = Asset {
    path: "style.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("style.css"),
};

static DOCUMENT: Asset = Asset {
    path: "index.html",
    media_type: "text/html; charset=utf-8",
    text: include_str!("index.html"),
};

const fn module(path: &'static str, text: &'static str) -> Asset {
    Asset {
        path,
        media_type: "text/javascript; charset=utf-8",
        text,
    }
}

/// A file of the page by its path; the empty path is the document.
pub fn asset(path: &str) -> Option<&'static Asset> {
    let path = path.trim_start_matches('/');
    let path = if path.is_empty() { DOCUMENT.path } else { path };
    all().find(|asset| asset.path == path)
}

/// All files of the page.
pub fn all() -> impl Iterator<Item = &'static Asset> {
    [&DOCUMENT, &STYLE].into_iter().chain(MODULES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that the page loads, before compression.
    const MOST_BYTES: usize = 250_000;

    #[test]
    fn all_files_together_are_small() {
        let bytes: usize = all().map(|asset| asset.text.len()).sum();
        assert!(bytes < MOST_BYTES, "{bytes} bytes");
    }

    #[test]
    fn every_file_that_is_named_is_there() {
        assert_eq!(asset("/").map(|asset| asset.path), Some("index.html"));
        for asset in all() {
            for line in asset.text.lines() {
                if let Some((_, file)) = line.split_once(" from \"./") {
                    let file = file.trim_end_matches("\";");
                    assert!(super::asset(file).is_some(), "{}: {file}", asset.path);
                }
            }
        }
    }

    #[test]
    fn markup_is_never_made_from_text() {
        for asset in MODULES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!asset.text.contains(word), "{}: {word}", asset.path);
            }
        }
    }
}
