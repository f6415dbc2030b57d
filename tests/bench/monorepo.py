#!/usr/bin/env python3
"""Pairs `dagger up` of examples/monorepo with the best equivalents on one buildkitd, in one run.

    tests/bench/monorepo.py [-n RUNS] [--only NAME] [--dagger FILE] [--buildx FILE] [--json FILE]

The others' equivalent is one Dockerfile (beside this file, monorepo.Dockerfile) with a stage for each of the
ten actions; `buildctl` builds its last stage, which is all ten in one solve, `docker buildx bake` the same
target through its remote driver. `--buildx` names the buildx command; without it bake is left out, and said so.

cold: after `buildctl prune --all` and with another `release`, so that every step runs. warm: all is cached.
Runs take turns (A B, B A, ...); the ratio is dagger / other, pair by pair, and its median is what to quote.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import up_vs_buildctl as bench

ROOT = bench.ROOT
HERE = pathlib.Path(__file__).resolve().parent


def project(facts, work):
    """The example with a root file system in its base, and the Dockerfile of the others."""
    folder = work / "monorepo"
    shutil.copytree(ROOT / "examples/monorepo", folder)
    shutil.copy(pathlib.Path(facts["rootfs_tar"]), folder / "base/rootfs.tar")
    shutil.copy(HERE / "monorepo.Dockerfile", folder / "base/all.Dockerfile")
    (folder / "bake.json").write_text(json.dumps({"target": {"default": {"dockerfile": "base/all.Dockerfile"}}}))
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="counted pairs of each case (default 7)")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    parser.add_argument("--dagger", help="this command, in place of building one with --release")
    parser.add_argument("--buildx", help="the buildx command")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()

    if not args.dagger:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True,
                       env=os.environ | {"CARGO_TARGET_DIR": str(bench.TARGET)})
    if not pathlib.Path("/usr/bin/time").exists():
        sys.exit("GNU time is missing: apt-get install time")
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-bench"))
    bed = work / "bed"
    figures = {}
    try:
        subprocess.run([ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "buildkitd:mute"], check=True)
        one = bench.Bench(bed, work)
        folder = project(one.facts, work)
        dagger = str(pathlib.Path(args.dagger).resolve()) if args.dagger else one.dagger
        number = iter(range(10**6))

        def ours(release):
            return [dagger, "up", "--log-format", "plain", "--project", str(folder), "-w", f"release={release}"]

        def buildctl(release):
            return [one.buildctl, "build", "--progress=plain", "--frontend=dockerfile.v0",
                    f"--local=context={folder}", f"--local=dockerfile={folder}/base", "--opt=filename=all.Dockerfile",
                    f"--opt=build-arg:RELEASE={release}", f"--output=type=local,dest={work}/out-buildctl"]

        others = {"buildctl": buildctl}
        if args.buildx:
            buildx = str(pathlib.Path(args.buildx).resolve())
            made = [buildx, "create", "--name", "bench", "--driver", "remote", one.host]
            subprocess.run(made, env=one.env, check=True, stdout=subprocess.DEVNULL)

            def bake(release):
                return [buildx, "bake", "--builder", "bench", "--progress=plain", "--allow=fs.write=*",
                        "--file", str(folder / "bake.json"), "--set", f"*.args.RELEASE={release}",
                        "--set", f"*.context={folder}", "--set", f"*.output=type=local,dest={work}/out-bake"]

            others["bake"] = bake
        else:
            print("no --buildx: bake is left out")

        for name, other in others.items():
            for case in ("warm", "cold"):
                title = f"monorepo, {case}, against {name}"
                if args.only and args.only not in title:
                    continue
                rows = []
                for pair in range(args.n + 1):
                    measured = {}
                    # The second of a pair meets a warmer machine: they take turns in going first.
                    for side in (0, 1) if pair % 2 else (1, 0):
                        if case == "cold":
                            one.prune()
                        command = (ours, other)[side]("same" if case == "warm" else f"r{next(number)}")
                        measured[side] = bench.measure(command, one.env, work)
                    # The first pair warms up, also of what is cold: the engine has begun, files are read.
                    if pair:
                        rows.append([measured[0], measured[1]])
                figures[title] = bench.report(title, rows, ("dagger", name))
    finally:
        subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
