//! What `dagger completion` prints works in the shell that it is for.

use std::process::Command;

use crate::support::Dagger;

/// What bash offers after a line, by the printed script.
fn offered(words: &[&str]) -> Vec<String> {
    let here = std::env::temp_dir();
    let script = Dagger::new(&here, &["completion", "bash"]).run().expect(0);
    let count = words.len() - 1;
    let line = words.join(" ");
    // The variables that bash itself sets when a user presses tab (bash(1), Programmable Completion).
    let code = format!(
        "{}\nCOMP_WORDS=({line}) COMP_CWORD={count} COMP_LINE='{line}' COMP_POINT={}\n\
         _dagger dagger '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.stdout,
        line.len(),
        words[count],
        words[count - 1],
    );
    let output = Command::new("bash")
        .args(["-c", &code])
        .output()
        .expect("bash");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    assert_eq!(offered(&["dagger", "tra"]), ["trace"]);
    assert!(offered(&["dagger", "trace", "ver"]).contains(&"verify".to_owned()));
    assert!(offered(&["dagger", "up", "--no-ca"]).contains(&"--no-cache".to_owned()));
}
