//! The report as JUnit's XML, a case each result.

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use super::model::{Report, ResultEntry, Status};
use super::plain::{detail, plain};

/// The report as JUnit's XML.
///
/// # Errors
/// Never, as long as text can be written.
pub fn junit(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut xml = Xml::new("dagger trace verify");
    let mut suites: Vec<(&str, TestSuite)> = Vec::new();
    for entry in &report.results {
        let case = case(entry);
        match suites.iter_mut().find(|(kind, _)| *kind == entry.kind) {
            Some((_, suite)) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(match entry.kind.as_str() {
                    "baseline" => "baseline".to_owned(),
                    kind => format!("{}s", plain(kind)),
                });
                suite.add_test_case(case);
                suites.push((&entry.kind, suite));
            }
        }
    }
    for (_, suite) in suites {
        xml.add_test_suite(suite);
    }
    xml.to_string()
}

fn case(entry: &ResultEntry) -> TestCase {
    let name = format!("{} {}", plain(&entry.id), plain(&entry.name));
    let status = match entry.status {
        Status::Pass | Status::Warn | Status::Waived => TestCaseStatus::success(),
        Status::Skip => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(plain(&entry.message));
            skipped
        }
        Status::Fail => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(plain(&entry.message));
            failed.set_description(detail(entry));
            failed
        }
    };
    let mut case = TestCase::new(name, status);
    let told = match entry.status {
        Status::Warn => Some("warning"),
        Status::Waived => Some("waived"),
        Status::Pass | Status::Skip | Status::Fail => None,
    };
    if let Some(told) = told {
        case.set_system_out(format!(
            "{told}: {}\n{}",
            plain(&entry.message),
            detail(entry)
        ));
    }
    case
}
