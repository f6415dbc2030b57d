#!/usr/bin/env python3
"""What the page takes: a run of 50,000 spans opened, scrolled and searched in a real Chromium, and its weight.

    tests/bench/page.py [-n RUNS] [--json FILE]

The document of the run is made by the library (tests/e2e/page.rs), the rest is the scenario of its test
(tests/browser/scenarios.mjs): opening is from the click on the list to the frame after the first rows are
there, reading the document included; scrolling goes down 900 pixels (37 rows) a frame. Medians are what to quote.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SCENARIO = "fifty_thousand_spans_open"
SAID = re.compile(r"open (\d+) ms, scroll (\d+) frames/s \(95th percentile ([\d.]+) ms\), search (\d+) ms")
NAMES = ("open_ms", "scroll_frames_per_s", "scroll_p95_ms", "search_ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="counted runs (default 7)")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()

    subprocess.run(["cargo", "test", "--locked", "--quiet", "--test", "e2e", f"page::{SCENARIO}"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    samples = []
    for _ in range(args.n):
        said = subprocess.run(["node", ROOT / "tests/browser/scenarios.mjs", SCENARIO, TARGET / "tmp/page"],
                              check=True, capture_output=True, text=True).stdout
        found = SAID.search(said)
        if not found:
            raise SystemExit(f"the scenario does not say its times: {said}")
        samples.append([float(number) for number in found.groups()])
        print(said.strip(), flush=True)
    files = (TARGET / "tmp/page/site").iterdir()
    figures = {name: statistics.median(column) for name, column in zip(NAMES, zip(*samples))}
    figures["page_bytes"] = sum(file.stat().st_size for file in files)
    print("medians: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"figures": figures, "samples": samples}, indent=2) + "\n")


if __name__ == "__main__":
    main()
