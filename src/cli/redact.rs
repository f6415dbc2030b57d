//! The command line as it may be shown: values that look secret are struck out.

/// Words in a name that make its value a secret.
const SECRET_WORDS: [&str; 9] = [
    "token",
    "password",
    "passwd",
    "secret",
    "credential",
    "apikey",
    "api_key",
    "private_key",
    "access_key",
];

/// The arguments joined for display, without the values of secret-looking build arguments and without
/// the user-info of URLs.
pub(super) fn command_line<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let shown: Vec<_> = args.into_iter().map(argument).collect();
    shown.join(" ")
}

/// Fields as they may be shown: `key=value,key=value` without values that look secret, and without
/// commands, which may have anything in them.
pub(super) fn fields(text: &str) -> String {
    if !text.contains('=') || !text.contains(',') {
        return text.to_owned();
    }
    let (flag, text) = match text
        .strip_prefix("--")
        .and_then(|rest| rest.split_once('='))
    {
        Some((flag, rest)) => (format!("--{flag}="), rest),
        None => (String::new(), text),
    };
    let mut struck = false;
    let mut shown = Vec::new();
    for field in text.split(',') {
        match field.split_once('=') {
            Some((key, _)) if is_secret(key) || key.trim_start_matches('"') == "cmd" => {
                struck = true;
                shown.push(format!("{key}=***"));
            }
            Some(_) => {
                struck = false;
                shown.push(field.to_owned());
            }
            // The rest of a value that has a comma in it.
            None if struck => {}
            None => shown.push(field.to_owned()),
        }
    }
    flag + &shown.join(",")
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

fn argument(text: &str) -> String {
    let text = &*fields(text);
    // `NAME=VALUE`, or `--flag=NAME=VALUE`: the secret is all that follows the name.
    let (flag, pair) = match text
        .strip_prefix("--")
        .and_then(|rest| rest.split_once('='))
    {
        Some((flag, pair)) if pair.contains('=') => (format!("--{flag}="), pair),
        _ => (String::new(), text),
    };
    if let Some((name, _)) = pair.split_once('=')
        && is_secret(name)
    {
        return format!("{flag}{name}=***");
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
    fn secret_fields_are_struck_out() {
        assert_eq!(
            command_line([
                "--cache-to",
                "type=s3,secret_access_key=a,b,bucket=c",
                "--secret=id=x,cmd=pass a,b",
                "--cache-from=type=gha,token=abc",
                "id=x,cmd=y",
            ]),
            "--cache-to type=s3,secret_access_key=***,bucket=c --secret=id=x,cmd=*** \
             --cache-from=type=gha,token=*** id=x,cmd=***"
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
