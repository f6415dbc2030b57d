#!/usr/bin/env python3
"""`dagger trace serve --collector` beside Jaeger v1's all-in-one: spans acknowledged a second, and the time of answers.

    tests/bench/serve.py [-n ROUNDS] [--seconds S] [--dagger PROGRAM]

Both get the same batches (200 spans of 7 tags, thrift over HTTP, 8 connections); serve acknowledges what is on disk,
Jaeger what is in its queue, from which it goes to memory or to disk (`badger`, consistent writes). They take turns.
Then one trace of 50,000 spans is sent, it is counted how many of its acknowledged spans are there, and each is asked
for it, for a search, and for the services; serve also for the page's document of that trace. The program is a release build (`cargo build --release`) if none is named.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOW_US = int(time.time() * 1e6)
LARGE = 50_000


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def text(field, value):
    value = value.encode()
    return struct.pack(">bhi", 11, field, len(value)) + value


def span(trace, number):
    tags = b"".join(text(1, f"key.{tag}") + struct.pack(">bhi", 8, 2, 0) + text(3, f"value {number} {tag}") + b"\0" for tag in range(7))
    ids = b"".join(struct.pack(">bhQ", 10, field, value) for field, value in
                   ((1, trace), (2, 0), (3, number), (4, 0 if number == 1 else 1), (8, NOW_US + number % 1000), (9, 1 + 7 * number % 100_000)))
    flags = struct.pack(">bhi", 8, 7, 1)
    return ids + text(5, f"step {number % 50}") + flags + struct.pack(">bhbi", 15, 10, 12, 7) + tags + b"\0"


def batch(trace, first, count):
    spans = b"".join(span(trace, first + number) for number in range(count))
    process = text(1, "bench") + b"\0"
    return b"\x0c\0\x01" + process + struct.pack(">bhbi", 15, 2, 12, count) + spans + b"\0"


class Server:
    def __init__(self, name, command, collector, query, env=None):
        self.name, self.collector, self.query = name, collector, query
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                return_code = self.get("/api/services")[0]
                if return_code == 200 and self.post(batch(1, 1, 1)):
                    return
            except OSError:
                pass
            assert time.monotonic() < until, f"{name} did not come up"
            time.sleep(0.1)

    def post(self, body, line=None):
        line = line or http.client.HTTPConnection("127.0.0.1", self.collector, timeout=60)
        line.request("POST", "/api/traces", body, {"content-type": "application/x-thrift"})
        answer = line.getresponse()
        answer.read()
        return 200 <= answer.status < 300

    def get(self, path):
        line = http.client.HTTPConnection("127.0.0.1", self.query, timeout=120)
        start = time.monotonic()
        line.request("GET", path)
        answer = line.getresponse()
        body = answer.read()
        return answer.status, time.monotonic() - start, body

    def end(self):
        self.process.kill()
        self.process.wait()


def servers(dagger, jaeger, home):
    def ours():
        ports = free_ports(5)
        state = tempfile.mkdtemp(dir=home)
        at = [f"127.0.0.1:{port}" for port in ports]
        command = [dagger, "trace", "serve", "--listen", at[0], "--collector", "--collector-http", at[1],
                   "--collector-otlp", at[2], "--collector-udp", at[3], "--collector-udp-binary", at[4]]
        return Server("serve", command, ports[1], ports[0], {"HOME": state, "XDG_STATE_HOME": state})

    def theirs(storage):
        names = ["query.http-server.", "collector.http-server.", "admin.http.", "processor.jaeger-compact.server-",
                 "collector.otlp.http.", "collector.otlp.grpc.", "query.grpc-server.", "collector.grpc-server.", "http-server.",
                 "processor.jaeger-binary.server-", "processor.zipkin-compact.server-"]
        ports = free_ports(len(names))
        disk = tempfile.mkdtemp(dir=home)
        command = [jaeger, *(f"--{name}host-port=127.0.0.1:{port}" for name, port in zip(names, ports))]
        if storage == "badger":
            command += ["--badger.ephemeral=false", "--badger.consistency=true", f"--badger.directory-key={disk}/k", f"--badger.directory-value={disk}/v"]
        env = {"SPAN_STORAGE_TYPE": storage, "OTEL_TRACES_SAMPLER": "always_off", "PATH": os.environ["PATH"]}
        return Server(f"jaeger {storage}", command, ports[1], ports[0], env)

    return [ours, lambda: theirs("memory"), lambda: theirs("badger")]


def ingest(server, seconds, round_number):
    """Spans acknowledged a second."""
    until = time.monotonic() + seconds

    def send(sender):
        line = http.client.HTTPConnection("127.0.0.1", server.collector, timeout=60)
        taken, refused, number = 0, 0, 0
        while time.monotonic() < until:
            trace = (round_number + 2) * 1_000_000 + sender * 10_000 + number
            if server.post(bodies[number % len(bodies)](trace), line):
                taken += 200
            else:
                refused += 1
            number += 1
        return taken, refused

    # Made before, so that Python is not what is measured; the trace's id is put in its places.
    template = batch(0x1122334455667788, 1, 200)
    needle = struct.pack(">Q", 0x1122334455667788)
    bodies = [lambda trace: template.replace(needle, struct.pack(">Q", trace))]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(send, range(8)))
    took = time.monotonic() - start
    return sum(taken for taken, _ in done) / took, sum(refused for _, refused in done)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=3, metavar="ROUNDS")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--dagger")
    options = parser.parse_args()
    dagger = options.dagger
    if not dagger:
        target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "dagger"], cwd=ROOT, check=True)
        dagger = f"{target}/release/dagger"
    bed = subprocess.run([ROOT / "tests/testbed/provision"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    home = tempfile.mkdtemp(prefix="dagger-bench-serve")
    rates, times, kept = {}, {}, {}
    try:
        for round_number in range(options.n):
            for start in servers(dagger, f"{bed}/bin/jaeger-all-in-one", home):
                server = start()
                try:
                    rate, refused = ingest(server, options.seconds, round_number)
                    rates.setdefault(server.name, []).append(rate)
                    print(f"round {round_number + 1}  {server.name:15} {rate:9.0f} spans/s acknowledged, {refused} batches refused", flush=True)
                    first = 1
                    while first <= LARGE:
                        assert server.post(batch(7, first, 1_000)), "refused"
                        first += 1_000
                    until = time.monotonic() + 20
                    while True:
                        body = server.get("/api/traces/7?raw=true")[2]
                        there = len((json.loads(body)["data"] or [{"spans": []}])[0]["spans"])
                        if there >= LARGE or time.monotonic() > until:
                            break
                        time.sleep(0.5)
                    print(f"    of {LARGE:,} acknowledged spans of one trace {there:,} are there", flush=True)
                    kept.setdefault(server.name, []).append(there)
                    for path in ["/api/services", "/api/traces/7?raw=true", "/api/traces?service=bench&limit=20&minDuration=90ms", "/api/services/bench/operations"] + (
                            ["/api/dagger/runs/7", "/api/dagger/runs", "/metrics"] if server.name == "serve" else []):
                        status, took, body = server.get(path)
                        times.setdefault((path, server.name), []).append(took)
                        print(f"    {path:60} {took * 1000:8.0f} ms  {len(body):11,} bytes  {status}", flush=True)
                finally:
                    server.end()
    finally:
        shutil.rmtree(home)
    print()
    ours = statistics.median(rates["serve"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:15} {median:9.0f} spans/s (median of {len(values)}); serve has {ours / median:.2f} of it; "
              f"{min(kept[name]):,} of {LARGE:,} acknowledged spans of the large trace are there")
    for (path, name), values in times.items():
        print(f"{path:60} {name:15} {statistics.median(values) * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
