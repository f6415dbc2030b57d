//! A registry whose tokens come from a server of their own, as those of Docker Hub do: the session
//! fetches them, with and without a password.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::registry::Registry;
use crate::support::{Context, Dagger, Engine};

const PASSWORD: &str = "hunter2-token";

/// A token server (distribution's token authentication specification). It signs with a key of its own,
/// lets `me` push and everybody pull, and keeps the requests that it got.
struct TokenServer {
    port: u16,
    certificate: String,
    asked: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

fn openssl(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    output.stdout
}

impl TokenServer {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let make = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem",
        ];
        let more = ["-out", "cert.pem", "-days", "2", "-subj", "/CN=bed"];
        openssl(dir.path(), &[&make[..], &more].concat(), b"");
        let der = openssl(
            dir.path(),
            &["x509", "-in", "cert.pem", "-outform", "DER"],
            b"",
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            certificate: dir.path().join("cert.pem").display().to_string(),
            asked: Arc::default(),
            dir,
        };
        let (asked, key) = (server.asked.clone(), server.dir.path().to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &asked, &key, &der);
            }
        });
        server
    }

    fn config(&self) -> String {
        let (port, certificate) = (self.port, &self.certificate);
        format!(
            "auth:\n  token:\n    realm: http://127.0.0.1:{port}/token\n    service: bed\n    \
             issuer: bed\n    rootcertbundle: {certificate}\n"
        )
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>, key: &Path, der: &[u8]) {
    let mut request = Vec::new();
    let mut room = [0; 4096];
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        (body.len() >= length.map_or(0, |length| length.parse().unwrap())).then_some(())
    };
    while whole(&request).is_none() {
        match stream.read(&mut room).unwrap_or(0) {
            0 => return,
            count => request.extend_from_slice(&room[..count]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let basic = STANDARD.encode(format!("me:{PASSWORD}"));
    let known = request.contains(&basic) || request.contains(&format!("password={PASSWORD}"));
    // In a query or in a form, escaped or not.
    let plain = request
        .replace("%3A", ":")
        .replace("%2C", ",")
        .replace("%2F", "/");
    let scopes = plain.split("scope=").skip(1);
    let access: Vec<_> = scopes
        .filter_map(|rest| {
            let scope = rest.split(['&', ' ', '\r']).next()?;
            let mut parts = scope.splitn(3, ':');
            let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
            let actions = actions.split(',').filter(|action| known || *action == "pull");
            Some(serde_json::json!({"type": kind, "name": name, "actions": actions.collect::<Vec<_>>()}))
        })
        .collect();
    asked.lock().unwrap().push(request);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "x5c": [STANDARD.encode(der)]});
    let claims = serde_json::json!({"iss": "bed", "aud": "bed", "sub": if known { "me" } else { "" },
        "exp": now + 300, "nbf": now - 5, "iat": now, "jti": "1", "access": access});
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = openssl(
        key,
        &["dgst", "-sha256", "-sign", "key.pem"],
        signed.as_bytes(),
    );
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let body =
        serde_json::json!({"token": token, "access_token": token, "expires_in": 300}).to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

#[test]
fn tokens_are_fetched_by_the_session_with_and_without_a_password() {
    let server = TokenServer::start();
    let registry = Registry::start_with(&server.config());
    let image = registry.image("team/app:v1");
    let context = Context::three_stages("token");

    // Nobody may pull only.
    let run = Dagger::up(context.path(), Engine::Mute, &["--push", "--tag", &image])
        .run()
        .expect(1);
    assert!(
        run.stderr.contains("insufficient_scope") || run.stderr.contains("authorization failed"),
        "{}",
        run.stderr
    );

    let config = tempfile::tempdir().unwrap();
    let auth = STANDARD.encode(format!("me:{PASSWORD}"));
    let host = image.split('/').next().unwrap();
    let text = serde_json::json!({"auths": {host: {"auth": auth}}}).to_string();
    fs::write(config.path().join("config.json"), text).unwrap();
    let run = Dagger::up(context.path(), Engine::Http, &["--push", "--tag", &image])
        .env("DOCKER_CONFIG", &config.path().display().to_string())
        .with_collector()
        .run()
        .expect(0);
    // The token was fetched on this side: the daemon saw no password, and no span holds it.
    assert!(!run.stderr.contains(PASSWORD));
    let asked = server.asked.lock().unwrap().join("\n");
    assert!(asked.contains("team"), "{asked}");
    run.verify(&[]).expect(0);

    // And everybody may pull.
    let next = Context::new(&format!("FROM {image}\nRUN cat /srv/loud.txt\n"));
    Dagger::up(next.path(), Engine::Udp, &[]).run().expect(0);
}
