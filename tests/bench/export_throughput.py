#!/usr/bin/env python3
"""Spans a second into a real Jaeger: dagger's exporter, the stock opentelemetry-jaeger pipeline, the Go SDK's.

    tests/bench/export_throughput.py [-n ROUNDS] [--spans N] [--only NAME] [--json FILE]

Every program makes the same spans (7 attributes, one event, one root) on one thread, as fast as it can,
and exports them to one Jaeger v1 all-in-one with a queue that has room for all of them. What counts is the
time from the first span to the end of the exporter's shutdown, and the ids that Jaeger then has. The programs
take turns (A B C A B C ...); ratios are of the same round. Two cases:

  as they come   nothing is set: who loses how many
  room for all   OTEL_BSP_MAX_QUEUE_SIZE is above the number of spans: all are to arrive

Peak memory and CPU time come from the kernel, through GNU time (`apt-get install time`). Go and Rust build
the peers (`export_throughput/go`, `export_throughput/stock`) the first time.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent / "export_throughput"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "dagger/target")


def build():
    """The programs, by name."""
    env = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    line = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--bench", "export_throughput", "--message-format=json"],
        cwd=ROOT, check=True, env=env, stdout=subprocess.PIPE).stdout
    found = [json.loads(text) for text in line.splitlines()]
    ours = [m["executable"] for m in found if m.get("executable") and m["target"]["name"] == "export_throughput"]
    stock = env | {"CARGO_TARGET_DIR": str(TARGET / "bench-stock")}
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=HERE / "stock", check=True, env=stock)
    go = TARGET / "bench-go/bench"
    subprocess.run(["go", "build", "-trimpath", "-o", go, "."], cwd=HERE / "go", check=True,
                   env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-modcacherw", "GOWORK": "off"})
    return {"dagger": ours[0], "stock": str(TARGET / "bench-stock/release/stock"), "go": str(go)}


class Jaeger:
    """All-in-one with spans in memory, and room for `spans` in its queue."""

    def __init__(self, program, spans):
        names = ["query.http-server.", "collector.http-server.", "admin.http.", "processor.jaeger-compact.server-",
                 "collector.otlp.http.", "collector.otlp.grpc.", "query.grpc-server.", "collector.grpc-server.", "http-server."]
        sockets = [socket.socket() for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        self.query, self.collector, self.admin = (f"http://127.0.0.1:{port}" for port in ports[:3])
        flags = [f"--{name}host-port=127.0.0.1:{port}" for name, port in zip(names, ports)]
        zero = ["--processor.jaeger-binary.server-host-port=127.0.0.1:0", "--processor.zipkin-compact.server-host-port=127.0.0.1:0"]
        # The traces of earlier rounds are forgotten.
        size = [f"--collector.queue-size={2 * spans}", "--memory.max-traces=2"]
        env = {"SPAN_STORAGE_TYPE": "memory", "OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
        self.process = subprocess.Popen([program, *flags, *zero, *size], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(self.admin + "/", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > until or self.process.poll() is not None:
                    sys.exit("Jaeger did not start")
                time.sleep(0.1)

    def ids(self, trace):
        """The ids that stand in Jaeger, once no more come."""
        before, found = -1, []
        while len(found) != before:
            before = len(found)
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"{self.query}/api/traces/{trace}?raw=true", timeout=120) as answer:
                    found = [span["spanID"] for span in json.load(answer)["data"][0]["spans"]]
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
        return found

    def end(self):
        self.process.terminate()
        self.process.wait()


def run(program, env):
    """What the program printed, with peak RSS in MiB and CPU seconds."""
    with tempfile.NamedTemporaryFile("r") as figures:
        timed = ["/usr/bin/time", "--output", figures.name, "--format", "%U %S %M", program]
        done = subprocess.run(timed, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{program} ended with {done.returncode}:\n{done.stderr}")
        user, system, rss_kib = figures.read().split()
    return json.loads(done.stdout.splitlines()[-1]) | {"rss_mib": int(rss_kib) / 1024, "cpu_s": float(user) + float(system)}


def case(title, programs, jaeger, rounds, spans, extra):
    rows = {name: [] for name in programs}
    for _ in range(rounds):
        for name, (program, own) in programs.items():
            with tempfile.TemporaryDirectory() as state:
                env = {"PATH": "/usr/bin:/bin", "HOME": state, "BENCH_SPANS": str(spans),
                       "OTEL_EXPORTER_JAEGER_ENDPOINT": jaeger.collector + "/api/traces"}
                row = run(program, env | extra | {key: value or state for key, value in own.items()})
            ids = jaeger.ids(row["trace"])
            row["lost"], row["twice"] = spans - len(set(ids)), len(ids) - len(set(ids))
            row["spans_per_s"] = len(set(ids)) / row["wall_s"]
            rows[name].append(row)
    print(f"\n{title}: {spans:,} spans, {rounds} rounds; medians (least to most)")
    print(f"  {'':16}{'spans/s':>26}{'lost':>10}{'twice':>7}{'peak RSS MiB':>14}{'CPU s':>8}{'made in s':>11}{'x of dagger':>13}")
    for name, of in rows.items():
        rate = [row["spans_per_s"] for row in of]

        def middle(key, of=of):
            return statistics.median(row[key] for row in of)

        ratio = statistics.median(b["spans_per_s"] / a["spans_per_s"] for a, b in zip(rows["dagger"], of)) if "dagger" in rows else 0
        text = f"{statistics.median(rate):,.0f} ({min(rate):,.0f}-{max(rate):,.0f})"
        print(f"  {name:16}{text:>26}{middle('lost'):>10,.0f}{middle('twice'):>7,.0f}{middle('rss_mib'):>14.1f}"
              f"{middle('cpu_s'):>8.2f}{middle('made_s'):>11.3f}{ratio:>13.2f}")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=5, help="rounds of each case (default 5)")
    parser.add_argument("--spans", type=int, default=100_000, help="spans of a round (default 100,000)")
    parser.add_argument("--only", default="", help="run only the cases whose name contains this")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    if not pathlib.Path("/usr/bin/time").exists():
        sys.exit("GNU time is missing: apt-get install time")
    bed = subprocess.run([ROOT / "tests/testbed/provision"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    built = build()
    # Empty: the state directory of the round, so that the local store takes every span too.
    programs = {"dagger": (built["dagger"], {}), "dagger, store": (built["dagger"], {"BENCH_STATE": ""}),
                "stock": (built["stock"], {}), "go": (built["go"], {})}
    jaeger = Jaeger(f"{bed}/bin/jaeger-all-in-one", args.spans)
    figures = {}
    try:
        cases = {"as they come": {}, "room for all": {"OTEL_BSP_MAX_QUEUE_SIZE": str(2 * args.spans)}}
        for title, extra in cases.items():
            if args.only in title:
                figures[title] = case(title, programs, jaeger, args.n, args.spans, extra)
    finally:
        jaeger.end()
        shutil.rmtree(TARGET / "bench-go", ignore_errors=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
