# shellcheck shell=bash
# OpenTelemetry's Jaeger exporter for Python: not run, but its generated classes and Apache's own
# thrift read what we send, without a line of ours.
part_title="Python's thrift classes of Jaeger (about 5 seconds)"
part_inputs=(parts/python_thrift.sh requirements.txt)
part_makes=(python/thrift/Thrift.py python/opentelemetry/exporter/jaeger/thrift/gen/jaeger/ttypes.py)
part_packages=(pip3:python3-pip)

part_build() { # OUT
    # Without dependencies: the classes need thrift only, and that is in the list.
    python3 -m pip install --no-deps --require-hashes --no-compile --disable-pip-version-check \
        --target "$1/python" --requirement "$here/requirements.txt"
}
