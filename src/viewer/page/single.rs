//! The page and one run in a single file that opens from disk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{MODULES, STYLE};
use crate::viewer::view::RunView;

/// The page with one run in it. Its policy lets in its own script and style, by their hashes, and
/// nothing else: no text of the run can become a script, and nothing is fetched.
///
/// # Errors
/// When the run cannot be written as JSON.
pub fn single_file(view: &RunView) -> Result<String, serde_json::Error> {
    // Inside an element only `<` could end it.
    let run = serde_json::to_string(view)?.replace('<', "\\u003c");
    let (script, style) = (bundle(), STYLE.text);
    let title = escaped(&format!("{} · {}", view.run.name, view.run.trace));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{style}</style>\n</head>\n<body>\n\
         <noscript>This page needs JavaScript.</noscript>\n<div id=\"app\"></div>\n\
         <script type=\"application/json\" id=\"run-view\">{run}</script>\n\
         <script type=\"module\">{script}</script>\n</body>\n</html>\n",
        hash(&script),
        hash(style),
    ))
}

/// All modules as one: without their imports and exports, since their names differ.
fn bundle() -> String {
    let mut bundle = String::from("\n");
    for module in MODULES {
        for line in module.text.lines() {
            if !line.starts_with("import ") {
                bundle.push_str(line.strip_prefix("export ").unwrap_or(line));
                bundle.push('\n');
            }
        }
    }
    bundle
}

/// A text's hash as a policy names it (CSP 3, section 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::view::{Findings, RunInfo};

    #[test]
    fn text_of_a_run_ends_no_element() {
        let info = RunInfo {
            name: "</title></script><script>alert(1)</script>".into(),
            ..RunInfo::default()
        };
        let view = RunView::new(info, &[], None, &[], Findings::default());
        let html = single_file(&view).unwrap();
        assert_eq!(html.matches("<script").count(), 2);
        assert_eq!(html.matches("</script").count(), 2);
        assert_eq!(html.matches("</title").count(), 1);
    }

    #[test]
    fn modules_can_be_joined() {
        let bundle = bundle();
        let mut names = Vec::new();
        for line in bundle.lines() {
            let words: Vec<&str> = line.split([' ', '(', ',', ';', '=']).collect();
            match words.as_slice() {
                ["const" | "let" | "function" | "class", name, ..]
                | ["async", "function", name, ..] => {
                    assert!(!names.contains(name), "{name} is there twice");
                    names.push(name);
                }
                _ => {}
            }
        }
        assert!(names.len() > 60, "{}", names.len());
        assert!(!bundle.contains("\nimport ") && !bundle.contains("\nexport "));
    }
}
