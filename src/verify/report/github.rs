//! The report as workflow commands of GitHub Actions, which become annotations.

use std::fmt::Write as _;

use super::model::{Report, Status};
use super::plain::{detail, plain};

/// Most annotations of one kind that GitHub shows of a step.
const SHOWN: usize = 10;

/// The report as workflow commands, a line each.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for (command, status) in [("error", Status::Fail), ("warning", Status::Warn)] {
        let entries = || report.results.iter().filter(|entry| entry.status == status);
        for entry in entries().take(SHOWN) {
            let title = property(&format!("{} {}", entry.id, entry.name));
            let message = data(&format!("{}\n{}", plain(&entry.message), detail(entry)));
            // Writing to a string does not fail.
            let place = entry.location.as_deref().map(place).unwrap_or_default();
            let _ = writeln!(out, "::{command} {place}title={title}::{message}");
        }
        let rest = entries().count().saturating_sub(SHOWN);
        if rest > 0 {
            let _ = writeln!(out, "::notice::and {rest} more of level {command}");
        }
    }
    out
}

/// `FILE:LINE:COLUMN` as properties, each with a comma.
fn place(location: &str) -> String {
    let mut parts = location.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    match (file, line, column) {
        (Some(file), Some(line), Some(column)) => {
            let (file, line, column) = (property(file), property(line), property(column));
            format!("file={file},line={line},col={column},")
        }
        _ => String::new(),
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&plain(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{data, place, property};

    #[test]
    fn no_name_begins_a_command_of_its_own() {
        assert_eq!(data("100%\n::error::x"), "100%25%0A::error::x");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc ");
        assert_eq!(place("a:b.yaml:5:3"), "file=a%3Ab.yaml,line=5,col=3,");
    }
}
