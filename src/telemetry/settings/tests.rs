//! The variables are read as users mean them, and mistakes name their variable.

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::read(&|name| {
        vars.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

fn goes_to(vars: &[(&str, &str)]) -> String {
    match read(vars) {
        Ok(settings) => settings
            .destinations
            .iter()
            .map(ToString::to_string)
            .reduce(|all, next| format!("{all} and {next}"))
            .unwrap_or_else(|| "nowhere".into()),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn the_collector_wins_over_the_agent_and_off_over_both() {
    let endpoint = (
        "OTEL_EXPORTER_JAEGER_ENDPOINT",
        "http://localhost:14268/api/traces",
    );
    let trace = ("JAEGER_TRACE", "localhost:6831");
    let host = ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "jaeger");
    assert_eq!(
        goes_to(&[endpoint, trace, host]),
        "http://localhost:14268/api/traces"
    );
    assert_eq!(goes_to(&[trace]), "udp://localhost:6831");
    assert!(goes_to(&[trace, host]).starts_with("error: JAEGER_TRACE and"));
    assert_eq!(goes_to(&[host]), "udp://jaeger:6831");
    assert_eq!(
        goes_to(&[("OTEL_EXPORTER_JAEGER_AGENT_PORT", "7000")]),
        "udp://localhost:7000"
    );
    assert_eq!(
        goes_to(&[("JAEGER_TRACE", "https://jaeger/api/traces")]),
        "https://jaeger/api/traces"
    );
    assert_eq!(
        goes_to(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
        "nowhere"
    );
    assert_eq!(
        goes_to(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]),
        "nowhere"
    );
    assert_eq!(goes_to(&[("JAEGER_TRACE", " ")]), "nowhere");
}

#[test]
fn several_ways_are_used_only_if_that_is_said_and_never_two_to_one_host() {
    let jaeger = ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://j:14268/api/traces");
    let agent = ("JAEGER_TRACE", "j:6831");
    let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://o:4318");
    let same = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://j:4318");
    let said = |value| ("OTEL_TRACES_EXPORTER", value);
    let (to_jaeger, to_otlp) = ("http://j:14268/api/traces", "http://o:4318/v1/traces");
    assert_eq!(goes_to(&[jaeger, agent, otlp]), to_jaeger);
    assert_eq!(goes_to(&[otlp]), to_otlp);
    assert_eq!(goes_to(&[jaeger, otlp, said("otlp")]), to_otlp);
    let both = format!("{to_otlp} and {to_jaeger}");
    assert_eq!(goes_to(&[jaeger, agent, otlp, said("otlp, jaeger")]), both);
    assert_eq!(goes_to(&[jaeger, same, said("jaeger,otlp")]), to_jaeger);
    let ignored = read(&[jaeger, same, said("jaeger,otlp")]).unwrap().ignored;
    assert!(ignored[0].contains("on the same host"), "{ignored:?}");
    assert_eq!(goes_to(&[jaeger, otlp, said("jaeger,none")]), "nowhere");
    assert_eq!(goes_to(&[jaeger, said("jaeger,jaeger,zipkin")]), to_jaeger);
}

#[test]
fn an_address_is_shown_without_its_query() {
    let token = (
        "OTEL_EXPORTER_JAEGER_ENDPOINT",
        "http://j/api/traces?token=t#f",
    );
    assert_eq!(goes_to(&[token]), "http://j/api/traces");
}

#[test]
fn each_mistake_names_its_variable() {
    insta::assert_snapshot!(
        [
            goes_to(&[("JAEGER_TRACE", "localhost")]),
            goes_to(&[("JAEGER_TRACE", "localhost:notaport")]),
            goes_to(&[("JAEGER_TRACE", ":1")]),
            goes_to(&[("JAEGER_TRACE", "::1:6831")]),
            goes_to(&[("JAEGER_TRACE", "ftp://x")]),
            goes_to(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "localhost:14268")]),
            goes_to(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://me:secret@:x")]),
            goes_to(&[("OTEL_EXPORTER_JAEGER_AGENT_PORT", "0")]),
            goes_to(&[("OTEL_RESOURCE_ATTRIBUTES", "a")]),
        ]
        .join("\n")
    );
}

#[test]
fn credentials_are_used_and_never_shown() {
    let settings = read(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://me:secret@h:1/x")]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("secret"), "{shown}");
    let [Destination::Collector { credentials, .. }] = settings.destinations.as_slice() else {
        panic!()
    };
    assert_eq!(*credentials, Some(("me".into(), "secret".into())));
}

#[test]
fn the_resource_says_what_it_was_told() {
    let vars = [
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=1%2C2,service.name=x,host.name=h",
        ),
        ("OTEL_SERVICE_NAME", "y"),
    ];
    let resource = read(&vars).unwrap().resource;
    assert_eq!(resource.service, "y");
    let value = |key: &str| {
        resource
            .attributes
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (value("a"), value("host.name")),
        (vec!["1,2".into()], vec!["h".into()])
    );
}

proptest::proptest! {
    #[test]
    fn no_value_panics(value in "\\PC*") {
        for name in ["JAEGER_TRACE", "OTEL_EXPORTER_JAEGER_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"] {
            let _ = read(&[(name, &value)]);
        }
    }
}
