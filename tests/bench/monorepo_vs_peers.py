#!/usr/bin/env python3
"""Pairs `dagger up` on examples/monorepo (ten actions) with the best equivalents, on one buildkitd.

    tests/bench/monorepo_vs_peers.py [-n RUNS] [--buildx PATH]

buildctl   one Dockerfile with a stage an action, one `buildctl build` of its last stage: BuildKit itself
           runs the stages side by side
bake       the same Dockerfile as ten targets of a bake file, by `docker buildx bake` with a remote
           builder, if a buildx is given

Cold: the cache is pruned before each run. Warm: all is cached. The figures are those of
up_vs_buildctl.py, whose ways of measuring this shares.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from up_vs_buildctl import ROOT, TARGET, Bench, report

DOCKERFILE = """\
FROM scratch AS base
ADD rootfs.tar /
ENV PATH=/bin:/usr/bin
FROM base AS lib
WORKDIR /src/lib
RUN --mount=target=/in,source=lib cp -r /in/. . && tr a-z A-Z <words.txt >words.out
FROM lib AS lib-test
RUN --network=none grep -q HELLO words.out
FROM base AS api
WORKDIR /src/api
ENV RELEASE=dev
RUN --mount=target=/in,source=api --mount=target=/lib,from=lib,source=/src/lib \\
    --mount=type=cache,target=/cache cat /in/main.txt /lib/words.out >api && echo "release $RELEASE" >>api
FROM base AS web
WORKDIR /src/web
RUN --mount=target=/in,source=web --mount=type=tmpfs,target=/tmp sed 's/NAME/web/' /in/index.html >index.html
FROM base AS worker
COPY worker/job.txt /src/worker/
FROM worker AS worker-check
RUN test -s /src/worker/job.txt
FROM scratch AS settings
COPY <<TEXT /etc/app.conf
release = dev
TEXT
# The checks make nothing; a mount of each is what makes them needed.
FROM base AS checked
RUN --mount=from=lib-test,target=/a --mount=from=worker-check,target=/b true
FROM scratch AS release
COPY --from=api /src/api/api /app/api
COPY --from=web /src/web/index.html /app/www/
COPY --from=worker /src/worker /app/worker
COPY --from=settings /etc/app.conf /app/app.conf
COPY --from=checked /proc /app/checked
"""

TARGETS = ["lib", "lib-test", "api", "web", "worker", "worker-check", "settings", "release"]


def bake_file():
    groups = "group \"default\" { targets = [%s] }\n" % ", ".join(f'"{name}"' for name in TARGETS)
    target = 'target "%s" {\n  context = "."\n  target = "%s"\n  output = ["%s"]\n}\n'
    return groups + "".join(
        target % (name, name, "type=local,dest=out" if name == "release" else "type=cacheonly") for name in TARGETS
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="counted pairs of each case (default 7)")
    parser.add_argument("--buildx", type=pathlib.Path, help="a buildx to compare with as well")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True,
                   env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)})
    work = pathlib.Path(tempfile.mkdtemp(prefix="dagger-bench"))
    bed = work / "bed"
    try:
        up = [ROOT / "tests/testbed/up", "--parent", str(os.getpid()), bed, "buildkitd:mute"]
        subprocess.run(up, check=True)
        bench = Bench(bed, work)
        project = work / "monorepo"
        shutil.copytree(ROOT / "examples/monorepo", project)
        for place in (project / "base", project):
            shutil.copy(bench.facts["rootfs_tar"], place)
        (project / "Dockerfile").write_text(DOCKERFILE)
        (project / "docker-bake.hcl").write_text(bake_file())
        bench.work = project
        ours = [bench.dagger, "up", "--log-format", "plain"], {}
        local = "--local=context=.", "--local=dockerfile=."
        theirs = [bench.buildctl, "build", "--progress=plain", "--frontend=dockerfile.v0", *local,
                  "--output=type=local,dest=out"], {}
        peers = [("buildctl", theirs)]
        if args.buildx:
            subprocess.run([args.buildx, "create", "--name", "bed", "--driver", "remote", bench.host],
                           env=bench.env, check=True, stdout=subprocess.DEVNULL)
            bake = [str(args.buildx.resolve()), "bake", "--builder", "bed", "--progress", "plain",
                    "--provenance=false", "--allow=fs=*"]
            peers.append(("bake", (bake, {})))
        for name, peer in peers:
            for case, before in (("cold", bench.prune), ("warm", lambda: None)):
                rows = bench.pairs(args.n, ours, peer, before=before)
                report(f"monorepo, {case}", rows, ("dagger", name))
    finally:
        subprocess.run([ROOT / "tests/testbed/down", bed], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
