#!/usr/bin/env python3
"""What tracing costs a build that is all cached: the exit, the local trace, the whole.

    tests/bench/trace_cost.py [-n PAIRS] [--only NAME] [--json FILE]

Commands take turns and swap places from round to round, so that what else runs on the machine meets all
of them alike. Differences are those of one round. The interval is that of the median at 95 %, from the
order statistics: it supposes nothing of how the figures are distributed.

  exit    from the end of the build (its `solve` span in the local trace) to the end of the process, which is
          also when the local trace is whole: with a healthy collector against none, on a daemon that exports
          its own spans and on one that does not
  total   wall time of the warm build of 10,000 files: collector, daemon's spans and local store against the
          collector alone, and against nothing (no export, no daemon's spans, a state directory that cannot be
          written)

Run it when nothing else does: the load is printed.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from up_vs_buildctl import ROOT, TARGET, many_files

DOCKERFILE = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo one >/one\nRUN echo two >/two\n"


def interval(values):
    """The 95 % interval of the median, by order statistics (normal approximation of the binomial)."""
    ordered, n = sorted(values), len(values)
    low = max(0, int(n / 2 - 0.98 * n**0.5))
    high = min(n - 1, int(n / 2 + 0.98 * n**0.5))
    return ordered[low], ordered[high]


def p95(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


class Bench:
    def __init__(self, bed, work):
        self.facts = json.loads((bed / "bed.json").read_text())
        self.work = work
        self.dagger = str(TARGET / "release/dagger")
        self.collector = {"OTEL_EXPORTER_JAEGER_ENDPOINT": self.facts["jaeger"]["collector_url"]}

    def context(self, dockerfile, fill):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        fill(folder)
        (folder / "Dockerfile").write_text(dockerfile)
        return folder

    def env(self, engine, extra, state):
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.work), "XDG_STATE_HOME": state,
                "BUILDKIT_HOST": self.facts["buildkitd"][engine]["unix"],
                "JAEGER_QUERY_URL": self.facts["jaeger"]["query_url"]} | extra

    def up(self, engine, folder, extra, args=(), state=None):
        """Seconds of one build, and from the end of its solve to the end of the process (None without a trace)."""
        state = state or str(self.work / "state")
        env = self.env(engine, extra, state)
        began = time.time_ns()
        done = subprocess.run([self.dagger, "up", "--log-format", "plain", *args, str(folder)], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        ended = time.time_ns()
        if done.returncode != 0:
            sys.exit(f"dagger ended with {done.returncode}:\n{done.stderr}")
        row = {"wall_s": (ended - began) / 1e9}
        if os.path.isdir(state):
            shown = subprocess.run([self.dagger, "trace", "show", "latest", "--json"], env=env, check=True, stdout=subprocess.PIPE)
            trace = json.loads(shown.stdout)
            solve = max(span["start_ns"] + span["duration_ns"] for span in trace["spans"] if span["name"] == "solve")
            row["exit_ms"] = (ended - int(solve)) / 1e6
            row["spans"] = len(trace["spans"])
        return row


def rounds(count, programs):
    """`count` rounds of the programs (name to a function), after one that does not count."""
    rows = {name: [] for name in programs}
    names = list(programs)
    for number in range(count + 1):
        for name in names:
            row = programs[name]()
            if number:
                rows[name].append(row)
        # Whoever was first is last in the next round.
        names = names[1:] + names[:1]
    return rows


def say(name, values, unit):
    low, high = interval(values)
    print(f"  {name:44}{statistics.median(values):9.2f} {unit}   [{low:.2f} .. {high:.2f}]   p95 {p95(values):.2f}")
    return {"median": statistics.median(values), "low": low, "high": high, "p95": p95(values), "n": len(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=40, help="rounds (default 40)")
    parser.add_argument("--only", default="", help="run only the cases whose name contains this")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-cost"))
    bed, figures = work / "bed", {}
    try:
        subprocess.run([ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "jaeger", "buildkitd", "buildkitd:mute"], check=True)
        bench = Bench(bed, work)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        if args.only in "exit":
            small = bench.context(DOCKERFILE, lambda folder: os.link(bench.facts["rootfs_tar"], folder / "rootfs.tar"))
            cells = {f"{engine}, {name}": (lambda engine=engine, extra=extra: bench.up(engine, small, extra))
                     for engine in ("http", "mute") for name, extra in (("collector", bench.collector), ("nowhere", {}))}
            rows = rounds(args.n, cells)
            print(f"\nfrom the end of the build to the end of the process, {args.n} rounds")
            for name, of in rows.items():
                figures[f"exit {name}"] = say(f"daemon {name}", [row["exit_ms"] for row in of], "ms")
            for engine in ("http", "mute"):
                pairs = zip(rows[f"{engine}, collector"], rows[f"{engine}, nowhere"])
                figures[f"exit {engine}, on - off"] = say(f"daemon {engine}: collector - nowhere", [a["exit_ms"] - b["exit_ms"] for a, b in pairs], "ms")
        if args.only in "total":
            files = bench.context("FROM scratch\nCOPY . /\n", many_files)
            nothing = dict(extra={"OTEL_SDK_DISABLED": "true"}, args=("--daemon-spans", "skip"), state="/proc/nowhere")
            rows = rounds(args.n, {
                "all": lambda: bench.up("mute", files, bench.collector),
                "no export": lambda: bench.up("mute", files, {}),
                "nothing": lambda: bench.up("mute", files, **nothing),
            })
            print(f"\nwarm build of 10,000 files, {args.n} rounds")
            for name, of in rows.items():
                figures[f"total {name}"] = say(name, [1000 * row["wall_s"] for row in of], "ms")
            for a, b in (("all", "no export"), ("all", "nothing"), ("no export", "nothing")):
                ratio = [100 * (x["wall_s"] / y["wall_s"] - 1) for x, y in zip(rows[a], rows[b])]
                figures[f"total {a} / {b}"] = say(f"{a} against {b}", ratio, "% ")
    finally:
        subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
