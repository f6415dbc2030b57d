#!/usr/bin/env python3
"""How memory and time grow with the number of files in the context, paired with buildctl in one run.

    tests/bench/context_rss.py [-n PAIRS] [--files 10000,50000,200000]

The files are of 256 bytes, in directories of 100. "first" sends them all (the cache is pruned before);
"warm" sends only what the walk finds, as nothing has changed.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import tempfile

from up_vs_buildctl import ROOT, TARGET, Bench, report


def files(count):
    def fill(folder):
        for number in range(count):
            place = folder / f"d{number // 100:04}"
            if number % 100 == 0:
                place.mkdir()
            (place / f"file-{number:06}").write_bytes(number.to_bytes(4, "big") * 64)

    return fill


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, help="counted pairs of each case (default 3)")
    parser.add_argument("--files", default="10000,50000,200000", help="numbers of files")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True,
                   env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-bench"))
    bed = work / "bed"
    try:
        subprocess.run([ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "buildkitd:mute"], check=True)
        bench = Bench(bed, work)
        for count in map(int, args.files.split(",")):
            folder = bench.context(files(count))
            sides = (bench.ours(folder), {}), (bench.theirs(folder), {})
            for case, before in (("first", bench.prune), ("warm", lambda: None)):
                rows = bench.pairs(args.n, *sides, before=before, warm=case == "warm")
                report(f"{count} files, {case}", rows, ("dagger", "buildctl"))
            shutil.rmtree(folder)
    finally:
        subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
