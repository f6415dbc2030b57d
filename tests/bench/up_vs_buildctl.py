#!/usr/bin/env python3
"""Pairs `dagger up` with `buildctl build` on the same work, on one buildkitd, in one run.

    tests/bench/up_vs_buildctl.py [-n RUNS] [--only NAME] [--json FILE]

Each case runs the two commands in turn (A B A B ...), after one warm-up of each, and takes wall time,
CPU time (user and system) and peak resident memory from the kernel's accounting of the finished
process (through GNU time: `apt-get install time`). The ratio is dagger / buildctl, pair by pair; its median is what to quote.

The bed (buildkitd, and Jaeger for the traced case) is brought up and ended by this script.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "dagger/target")

DOCKERFILE = "FROM scratch\nCOPY . /\n"


def measure(argv, env, cwd):
    """Wall seconds, CPU seconds and peak RSS in MiB of one run; ends the benchmark if it fails.

    GNU time starts the command: the kernel counts the memory of whoever forks as the child's own peak,
    and a Python interpreter is larger than what is measured.
    """
    with tempfile.TemporaryFile() as said, tempfile.NamedTemporaryFile("r") as figures:
        began = time.perf_counter()
        timed = ["/usr/bin/time", "--output", figures.name, "--format", "%U %S %M", *argv]
        status = subprocess.call(timed, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        wall = time.perf_counter() - began
        if status != 0:
            said.seek(0)
            sys.exit(f"{argv} ended with {status}:\n{said.read().decode(errors='replace')}")
        user, system, rss_kib = figures.read().split()
    return {"wall_s": wall, "cpu_s": float(user) + float(system), "rss_mib": int(rss_kib) / 1024}


def many_files(folder, count=10_000, total=40 << 20):
    """A context of `count` files in 100 directories, `total` bytes in all."""
    size = total // count
    for number in range(count):
        place = folder / f"d{number % 100:02}"
        place.mkdir(exist_ok=True)
        (place / f"f{number:05}").write_bytes(number.to_bytes(4, "big") * (size // 4))


def large_files(folder, count=16, total=1 << 30):
    """A context of `count` files that do not compress."""
    for number in range(count):
        with open(folder / f"f{number:02}", "wb") as file:
            for _ in range(total // count >> 20):
                file.write(os.urandom(1 << 20))


class Bench:
    def __init__(self, bed, work):
        self.facts = json.loads((bed / "bed.json").read_text())
        self.host = self.facts["buildkitd"]["mute"]["unix"]
        self.work = work
        self.buildctl = str(pathlib.Path(self.facts["bin"]) / "buildctl")
        self.dagger = str(TARGET / "release/dagger")
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(work), "BUILDKIT_HOST": self.host}

    def context(self, fill):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        fill(folder)
        (folder / "Dockerfile").write_text(DOCKERFILE)
        return folder

    def ours(self, folder):
        return [self.dagger, "up", "--log-format", "plain", str(folder)]

    def theirs(self, folder):
        local = f"--local=context={folder}", f"--local=dockerfile={folder}"
        return [self.buildctl, "build", "--progress=plain", "--frontend=dockerfile.v0", *local]

    def prune(self):
        """Forgets what was sent before, so that the next run is a first upload."""
        subprocess.run([self.buildctl, "prune", "--all"], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def pairs(self, runs, a, b, before=lambda: None, warm=True):
        """Runs of two (command, extra environment) in turn."""
        rows = []
        for number in range(runs + warm):
            row = []
            # The second of a pair meets a warmer machine: they take turns in going first.
            order = [(0, a), (1, b)] if number % 2 == 0 else [(1, b), (0, a)]
            measured = {}
            for place, (argv, extra) in order:
                before()
                measured[place] = measure(argv, self.env | extra, self.work)
            row = [measured[0], measured[1]]
            if number >= warm:
                rows.append(row)
        return rows


def report(name, rows, labels):
    print(f"\n{name} ({len(rows)} pairs)")
    print(f"  {'':10}{labels[0]:>28}{labels[1]:>28}{'ratio':>22}")
    figures = {}
    for key in ("wall_s", "cpu_s", "rss_mib"):
        sides = [[row[side][key] for row in rows] for side in (0, 1)]
        ratios = [a / b if b else float("nan") for a, b in zip(*sides)]
        text = [f"{statistics.median(v):.3f} ({min(v):.3f}-{max(v):.3f})" for v in (*sides, ratios)]
        print(f"  {key:10}{text[0]:>28}{text[1]:>28}{text[2]:>22}")
        figures[key] = {"a": statistics.median(sides[0]), "b": statistics.median(sides[1]), "ratio": statistics.median(ratios)}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=11, help="counted pairs of the quick cases (default 11)")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()

    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True,
                   env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    if not pathlib.Path("/usr/bin/time").exists():
        sys.exit("GNU time is missing: apt-get install time")
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-bench"))
    bed = work / "bed"
    figures = {}

    def wanted(name):
        return not args.only or args.only in name

    try:
        subprocess.run([ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "jaeger", "buildkitd:mute"], check=True)
        bench = Bench(bed, work)
        both = ("dagger", "buildctl")
        files = bench.context(many_files)
        name = "warm context of 10,000 files, 40 MB"
        if wanted(name):
            rows = bench.pairs(args.n, (bench.ours(files), {}), (bench.theirs(files), {}))
            figures[name] = report(name, rows, both)
        name = "first upload of 10,000 files, 40 MB"
        if wanted(name):
            rows = bench.pairs(5, (bench.ours(files), {}), (bench.theirs(files), {}), before=bench.prune)
            figures[name] = report(name, rows, both)
        name = "small build, all cached"
        if wanted(name):
            small = bench.context(lambda folder: (folder / "one").write_text("1"))
            rows = bench.pairs(args.n, (bench.ours(small), {}), (bench.theirs(small), {}))
            figures[name] = report(name, rows, both)
        name = "tracing on against off, warm context"
        if wanted(name):
            on = {"OTEL_EXPORTER_JAEGER_ENDPOINT": bench.facts["jaeger"]["collector_url"]}
            rows = bench.pairs(5 * args.n, (bench.ours(files), on), (bench.ours(files), {}))
            figures[name] = report(name, rows, ("traced", "not traced"))
        name = "first upload of 1 GB in 16 files"
        if wanted(name):
            large = bench.context(large_files)
            rows = bench.pairs(3, (bench.ours(large), {}), (bench.theirs(large), {}), before=bench.prune, warm=False)
            figures[name] = report(name, rows, both)
    finally:
        subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
