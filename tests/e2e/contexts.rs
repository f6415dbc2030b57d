//! What is built when it is no directory: URLs that the daemon reads, and standard input.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Context, Dagger, Engine};

/// A server that ends with the value.
struct Server(Child);

impl Server {
    /// Starts a command line whose port is asked for, and waits until it listens.
    fn start(command: impl Fn(u16) -> Command) -> (Self, u16) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let mut command = command(port);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self(child.spawn().unwrap());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no server");
            std::thread::sleep(Duration::from_millis(50));
        }
        (server, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(dir: &Path, line: &str) {
    let status = Command::new("sh")
        .args(["-ec", line])
        .current_dir(dir)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{line}");
}

/// Makes a repository of the directory.
const COMMIT: &str =
    "git init -q -b main . && git add . && git -c user.name=a -c user.email=a@b commit -qm x";

#[test]
fn a_git_repository_is_read_by_the_daemon() {
    let context = Context::three_stages("git");
    let served = tempfile::tempdir().unwrap();
    run(
        context.path(),
        &format!(
            "mkdir -p {0}/app && mv Dockerfile rootfs.tar hello.txt {0}/app && cd {0} && {COMMIT}",
            served.path().display()
        ),
    );
    let (_server, port) = Server::start(|port| {
        let mut command = Command::new("git");
        command
            .args([
                "daemon",
                "--reuseaddr",
                "--listen=127.0.0.1",
                "--export-all",
            ])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", served.path().display()))
            .arg(served.path());
        command
    });
    // Beside a plan it is still no action.
    context.write(
        "dagger.yaml",
        "version: 1\nactions: { a: { scratch: true } }\n",
    );
    let url = format!("git://127.0.0.1:{port}/.git#main:app");
    let built = Dagger::up(context.path(), Engine::Http, &[&url, "-o", "local:out"])
        .with_collector()
        .run()
        .expect(0);
    assert_eq!(
        fs::read_to_string(context.join("out/srv/loud.txt")).unwrap(),
        "HELLO\n"
    );
    built.verify(&[]).expect(0);
}

/// Serves the repositories of its directory to who shows the token `t0ken`, as GitHub takes it.
const GIT_OVER_HTTP: &str = r#"
import base64, http.server, os, sys
class Handler(http.server.CGIHTTPRequestHandler):
    have_fork = False  # Else it would run as nobody.
    def allowed(self):
        given = self.headers.get("Authorization", "").lower().removeprefix("basic ")
        wanted = base64.b64encode(b"x-access-token:t0ken").decode()
        if given == wanted.lower():
            return True
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()
    def do_GET(self):
        if self.allowed(): super().do_GET()
    def do_POST(self):
        if self.allowed(): super().do_POST()
os.environ |= {"GIT_PROJECT_ROOT": os.getcwd(), "GIT_HTTP_EXPORT_ALL": "1"}
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

#[test]
fn a_git_repository_that_asks_for_a_token_gets_the_secret() {
    let context = Context::three_stages("git-token");
    let served = tempfile::tempdir().unwrap();
    run(
        context.path(),
        &format!(
            "mkdir -p {0}/app.git {0}/cgi-bin && mv Dockerfile rootfs.tar hello.txt {0}/app.git && cd {0} \
             && printf '#!/bin/sh\nexec git http-backend\n' >cgi-bin/git && chmod +x cgi-bin/git && cd app.git \
             && {COMMIT}",
            served.path().display()
        ),
    );
    let (_server, port) = Server::start(|port| {
        let mut command = Command::new("python3");
        command.args(["-c", GIT_OVER_HTTP, &port.to_string()]);
        command.current_dir(served.path());
        command
    });
    let url = format!("http://127.0.0.1:{port}/cgi-bin/git/app.git#main");
    let up = |token: &str| {
        let args = [
            &*url,
            "--secret=id=GIT_AUTH_TOKEN,env=TOKEN",
            "-o",
            "local:out",
        ];
        let dagger = Dagger::up(context.path(), Engine::Mute, &args);
        dagger.env("TOKEN", token).run()
    };
    // A daemon that has the commit asks nobody for it: the wrong one comes first.
    let refused = up("wr0ng").expect(1);
    assert!(refused.stderr.contains("git"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wr0ng"), "{}", refused.stderr);
    let built = up("t0ken").expect(0);
    assert_eq!(
        fs::read_to_string(context.join("out/srv/loud.txt")).unwrap(),
        "HELLO\n"
    );
    assert!(!built.stderr.contains("t0ken"), "{}", built.stderr);
}

#[test]
fn an_archive_is_read_by_the_daemon_with_another_dockerfile_in_it() {
    let context = Context::three_stages("archive");
    // A copy: the file is linked to those of other tests, and tar sees as they come and go that it changes.
    run(
        context.path(),
        "mv Dockerfile other && cp rootfs.tar copy && mv copy rootfs.tar && tar -czf /dev/stdout other rootfs.tar hello.txt >../$$.tgz && mv ../$$.tgz c.tgz",
    );
    let (_server, port) = Server::start(|port| {
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            &port.to_string(),
        ]);
        command.current_dir(context.path());
        command
    });
    let url = format!("http://127.0.0.1:{port}/c.tgz");
    let args = [&*url, "--file", "other", "-o", "local:out"];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    assert_eq!(
        fs::read_to_string(context.join("out/srv/loud.txt")).unwrap(),
        "HELLO\n"
    );
}

#[test]
fn a_dockerfile_may_come_by_standard_input() {
    let context = Context::three_stages("stdin");
    let text = fs::read(context.join("Dockerfile")).unwrap();
    fs::remove_file(context.join("Dockerfile")).unwrap();
    let up = |args: &[&str], input: &[u8]| {
        let file = context.path().with_extension("input");
        fs::File::create(&file).unwrap().write_all(input).unwrap();
        let run = Dagger::up(context.path(), Engine::Mute, args)
            .stdin(fs::File::open(&file).unwrap())
            .run();
        fs::remove_file(file).unwrap();
        run
    };
    up(&["--file", "-", "-o", "local:out"], &text).expect(0);
    assert_eq!(
        fs::read_to_string(context.join("out/srv/loud.txt")).unwrap(),
        "HELLO\n"
    );
    // Alone there is nothing to copy from.
    let run = up(&["-"], &text).expect(1);
    assert!(run.stderr.contains("rootfs.tar"), "{}", run.stderr);
    let run = up(&["-"], b"").expect(2);
    assert!(
        run.stderr.contains("standard input is empty"),
        "{}",
        run.stderr
    );
    let run = up(&["-"], &fs::read(context.join("rootfs.tar")).unwrap()).expect(2);
    assert!(run.stderr.contains("unpack it"), "{}", run.stderr);
}
