//! The page's files: ES modules, a style sheet and a document, as they are in this folder.
//!
//! Lives here: giving them out by name, and putting them into one file. Elsewhere: serving them
//! (`viewer::server`), the JSON that they read (`viewer::view`).

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
];

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
    if path.is_empty() || path == DOCUMENT.path {
        return Some(&DOCUMENT);
    }
    MODULES.iter().find(|asset| asset.path == path)
}
