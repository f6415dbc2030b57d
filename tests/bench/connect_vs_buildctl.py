#!/usr/bin/env python3
"""Pairs `dagger engine info` with `buildctl debug workers`: connect, ask, end. On unix, tcp and
docker-container, in one run.

    tests/bench/connect_vs_buildctl.py [-n PAIRS] [--json FILE]

The two commands run in turn (A B A B ...), after three warm-ups of each. The ratio is dagger / buildctl,
pair by pair; its median is what to quote. The bed is brought up and ended by this script.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "dagger/target")
CONTAINER = "bench-buildkitd"


def wall_ms(argv, env):
    began = time.perf_counter()
    subprocess.run(argv, env=env, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - began) * 1000


def pairs(host, env, buildctl, count):
    dagger = [str(TARGET / "release/dagger"), "engine", "info"]
    env = dict(env, BUILDKIT_HOST=host)
    for _ in range(3):
        wall_ms(dagger, env)
        wall_ms([buildctl, "debug", "workers"], env)
    found = [(wall_ms(dagger, env), wall_ms([buildctl, "debug", "workers"], env)) for _ in range(count)]
    ratios = sorted(ours / theirs for ours, theirs in found)
    return {
        "dagger_ms": statistics.median(ours for ours, _ in found),
        "buildctl_ms": statistics.median(theirs for _, theirs in found),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [ratios[count // 4], ratios[count * 3 // 4]],
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("-n", type=int, default=30, help="pairs of each scheme")
    arguments.add_argument("--json", type=pathlib.Path)
    arguments = arguments.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="dagger-bench.") as folder:
        bed = pathlib.Path(folder) / "bed"
        up = [ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "buildkitd:mute", "dockerd"]
        try:
            subprocess.run(up, check=True)
            facts = json.loads((bed / "bed.json").read_text())
            env = {"PATH": "/usr/bin:/bin", "HOME": folder, "DOCKER_HOST": facts["dockerd"]["host"]}
            run = ["docker", "run", "-d", "--name", CONTAINER, "--privileged", "--network=host", "moby/buildkit"]
            subprocess.run(run, env=env, check=True, capture_output=True)
            buildctl = str(pathlib.Path(facts["bin"]) / "buildctl")
            hosts = {
                "unix": facts["buildkitd"]["mute"]["unix"],
                "tcp": facts["buildkitd"]["mute"]["tcp"],
                "docker-container": f"docker-container://{CONTAINER}",
            }
            results = {name: pairs(host, env, buildctl, arguments.n) for name, host in hosts.items()}
        finally:
            subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
    print(f"{'scheme':<18}{'dagger':>10}{'buildctl':>10}{'ratio':>8}   quartiles")
    for name, found in results.items():
        low, high = found["ratio_quartiles"]
        print(
            f"{name:<18}{found['dagger_ms']:>7.1f} ms{found['buildctl_ms']:>7.1f} ms{found['ratio']:>8.2f}"
            f"   {low:.2f} to {high:.2f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
