//! The command line as it may be shown: values that look secret are struck out.

/// Words in a name that make its value a secret.
const SECRET_WORDS: [&str; 8] = [
    "token",
    "password",
    "passwd",
    "secret",
    "credential",
    "apikey",
    "api_key",
    "private_key",
];

/// The arguments joined for display, without the values of secret-looking build arguments and without
/// the user-info of URLs.
pub(super) fn command_line<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let shown: Vec<_> = args.into_iter().map(argument).collect();
    shown.join(" ")
}

fn argument(text: &str) -> String {
    // `NAME=VALUE`, or `--flag=NAME=VALUE`: the secret is all that follows the name.
    let (flag, pair) = match text
        .strip_prefix("--")
        .and_then(|rest| rest.split_once('='))
    {
        Some((flag, pair)) if pair.contains('=') => (format!("--{flag}="), pair),
        _ => (String::new(), text),
    };
    if let Some((name, _)) = pair.split_once('=') {
        let lower = name.to_ascii_lowercase();
        if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
            return format!("{flag}{name}=***");
        }
    }
    match text
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1)))
    {
        Some((scheme, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_looking_values_are_struck_out() {
        let args = [
            "up",
            "--build-arg",
            "NPM_TOKEN=abc",
            "--build-arg=DB_PASSWORD=a=bc",
            "--build-arg",
            "VERSION=1=2",
        ];
        assert_eq!(
            command_line(args),
            "up --build-arg NPM_TOKEN=*** --build-arg=DB_PASSWORD=*** --build-arg VERSION=1=2"
        );
    }

    #[test]
    fn user_info_of_urls_is_struck_out() {
        assert_eq!(
            command_line(["https://me:abc@host/x"]),
            "https://***@host/x"
        );
    }
}
