#!/usr/bin/env python3
"""Pairs `dagger trace verify` of large traces with `curl` fetching the same answer, from real Jaegers, in one run.

    tests/bench/verify_scale.py [-n PAIRS] [--dagger PROGRAM]

A build's trace of 10,000 and one of 100,000 spans are sent to Jaeger v1 and v2 by OTLP. They have the attributes and the
shape of real ones: under one solve, a step of ours, the daemon's span of it, and a call back with both its sides. Then
`verify --no-wait` (one read and all rules; it must pass) and `curl` take turns, and so do who goes first.
Wall time is dagger's over curl's, pair by pair; peak memory is dagger's over the bytes of the answer. A median over the
limit ends it with exit code 1. The program is a release build if none is named.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from up_vs_buildctl import ROOT, TARGET, measure

# Spans: at most this many times curl's wall time.
LIMITS = {10_000: 1.2, 100_000: 2.0}
# Peak memory: at most this many times the answer.
MEMORY = 6.0

RPC = {"otel.library.version": "0.71.0", "rpc.system.name": "grpc", "rpc.response.status_code": "OK", "server.address": "127.0.0.1",
       "server.port": 1234}


def value(of):
    if isinstance(of, bool):
        return {"boolValue": of}
    return {"intValue": str(of)} if isinstance(of, int) else {"stringValue": of}


def attributes(of):
    return [{"key": key, "value": value(one)} for key, one in of.items()]


class Trace:
    """A build of so many spans, all within one second."""

    def __init__(self, spans):
        self.id = hashlib.sha256(f"scale {spans} {time.time()}".encode()).hexdigest()[:32]
        self.size, self.start, self.number = spans, time.time_ns() - 120 * 10**9, 0

    def span(self, parent, name, begin, end, kind=1, events=(), **of):
        self.number += 1
        made = {"traceId": self.id, "spanId": f"{self.number:016x}", "name": name, "kind": kind, "parentSpanId": parent,
                "startTimeUnixNano": str(self.start + begin), "endTimeUnixNano": str(self.start + end),
                "attributes": attributes(of.get("tags", {})),
                "events": [{"name": event, "timeUnixNano": str(self.start + begin)} for event in events]}
        return made

    def batches(self):
        """Resource and spans, a few hundred at a time."""
        second = 10**9
        steps = (self.size - 4) // 4
        root = self.span("", "dagger up", 0, 60 * second, tags={"dagger.exit_code": 0, "dagger.version": "0.1.0", "dagger.command": "up"})
        solve = self.span(root["spanId"], "solve", second, 59 * second, tags={
            "buildkit.steps.total": steps, "buildkit.steps.cached": steps // 2, "buildkit.steps.failed": 0})
        name = "moby.buildkit.v1.Control/Solve"
        call = self.span(solve["spanId"], name, 2 * second, 58 * second, kind=3, tags=RPC | {"rpc.method": name, "rpc.grpc.status_code": 0})
        served = self.span(call["spanId"], name, 3 * second, 57 * second, kind=2, tags=RPC | {"rpc.method": name})
        yield [root, solve, call], [served]
        back = "moby.filesync.v1.FileSync/DiffCopy"
        for first in range(0, steps, 100):
            ours, daemons = [], []
            for step in range(first, min(steps, first + 100)):
                vertex = "sha256:" + hashlib.sha256(f"{step}".encode()).hexdigest()
                title = f"[stage-{step % 7} {step}/{steps}] RUN cc -O2 -c src/module_{step}.c -o out/module_{step}.o"
                # As many steps at once as a builder may have, one group after the other.
                begin = 4 * second + step // 8 * (52 * 8 * second // steps)
                end = begin + 52 * 8 * second // steps
                ours.append(self.span(solve["spanId"], title, begin, end, tags={
                    "vertex": vertex, "buildkit.cached": step < steps // 2, "buildkit.inputs": vertex}))
                daemon = self.span(served["spanId"], title, begin, end, events=("ExecOp started", "Container created", "Container exited"), tags={
                    "vertex": vertex, "otel.library.name": "go.opentelemetry.io/otel/sdk/tracer"})
                out = self.span(daemon["spanId"], back, begin, end, kind=3, tags=RPC | {"rpc.method": back})
                daemons += [daemon, out]
                ours.append(self.span(out["spanId"], back, begin, end, kind=2, tags=RPC | {"rpc.method": back, "bytes": step * 17}))
            yield ours, daemons

    def send(self, otlp):
        said = {"service.version": "0.34.2", "host.name": "builder", "telemetry.sdk.name": "opentelemetry"}
        for sides in self.batches():
            resources = [{"resource": {"attributes": attributes({"service.name": service} | said)}, "scopeSpans": [{"spans": spans}]}
                         for service, spans in zip(("dagger", "buildkitd"), sides)]
            body = json.dumps({"resourceSpans": resources}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{otlp}/v1/traces", body, {"content-type": "application/json"}), timeout=60).read()

    def answer(self, query):
        """The bytes of the answer, once all spans are in it."""
        until = time.monotonic() + 120
        while True:
            body = urllib.request.urlopen(f"{query}/api/traces/{self.id}?raw=true", timeout=120).read()
            there = body.count(b'"operationName"')
            if there == self.number:
                return len(body)
            assert time.monotonic() < until, f"{there} of {self.number} spans are there"
            time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=9, metavar="PAIRS", help="counted pairs of each (default 9)")
    parser.add_argument("--dagger")
    options = parser.parse_args()
    if not options.dagger:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "dagger"], cwd=ROOT, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    dagger = str(pathlib.Path(options.dagger or TARGET / "release/dagger").resolve())
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-bench"))
    over = []
    try:
        subprocess.run([ROOT / "tests/testbed/up", "--parent", str(os.getpid()), work / "bed", "jaeger", "jaeger2"], check=True)
        facts = json.loads((work / "bed/bed.json").read_text())
        env = {"PATH": "/usr/bin:/bin", "HOME": str(work)}
        for jaeger in ("jaeger", "jaeger2"):
            query, otlp = facts[jaeger]["query_url"], facts[jaeger]["otlp_http_url"]
            for spans, limit in LIMITS.items():
                trace = Trace(spans)
                trace.send(otlp)
                answer_mib = trace.answer(query) / 2**20
                ours = [dagger, "trace", "verify", trace.id, "--no-wait", "--request-timeout", "60s", "--jaeger-url", query]
                theirs = ["curl", "--silent", "--fail", "--output", "/dev/null", f"{query}/api/traces/{trace.id}?raw=true"]
                rows = []
                for pair in range(options.n + 1):
                    sides = [(0, ours), (1, theirs)]
                    took = {side: measure(argv, env, work) for side, argv in (sides if pair % 2 else reversed(sides))}
                    if pair:  # The first is the warm-up.
                        rows.append((took[0], took[1]))
                ratios = [a["wall_s"] / b["wall_s"] for a, b in rows]
                ratio = statistics.median(ratios)
                times = [statistics.median(row[side]["wall_s"] for row in rows) for side in (0, 1)]
                memory = statistics.median(a["rss_mib"] for a, _ in rows)
                print(f"{jaeger:8} {trace.number:7,} spans, {answer_mib:6.1f} MiB: verify {times[0]:.3f} s, curl {times[1]:.3f} s, "
                      f"ratio {ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f}, limit {limit}); "
                      f"peak {memory:.0f} MiB, {memory / answer_mib:.1f} times the answer (limit {MEMORY:.0f})", flush=True)
                over += [f"{jaeger}, {spans} spans"] * (ratio > limit or memory > MEMORY * answer_mib)
    finally:
        subprocess.run([ROOT / "tests/testbed/down", work / "bed"], check=False)
        shutil.rmtree(work, ignore_errors=True)
    if over:
        sys.exit(f"over a limit: {'; '.join(over)}")


if __name__ == "__main__":
    main()
