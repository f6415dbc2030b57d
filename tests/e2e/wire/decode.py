"""Reads Jaeger thrift with OpenTelemetry's generated Python classes and Apache's thrift, and prints JSON.

    decode.py PACKAGES binary|compact FILE

`binary`: the body of a POST to the collector, one Batch. `compact`: one datagram to the agent, an
emitBatch message. The file must end where the thrift ends.
"""

import json
import pathlib
import sys

packages, protocol, file = sys.argv[1:]
# The generated code names its modules from their own folder.
sys.path[:0] = [packages, f"{packages}/opentelemetry/exporter/jaeger/thrift/gen"]

from agent import Agent  # noqa: E402
from jaeger.ttypes import Batch, SpanRefType, TagType  # noqa: E402
from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocol  # noqa: E402
from thrift.Thrift import TMessageType  # noqa: E402
from thrift.transport.TTransport import TMemoryBuffer  # noqa: E402


def read(protocol, data):
    buffer = TMemoryBuffer(data)
    if protocol == "binary":
        batch = Batch()
        batch.read(TBinaryProtocol(buffer))
    else:
        reader = TCompactProtocol(buffer)
        name, kind, _ = reader.readMessageBegin()
        assert (name, kind) == ("emitBatch", TMessageType.ONEWAY), (name, kind)
        args = Agent.emitBatch_args()
        args.read(reader)
        reader.readMessageEnd()
        batch = args.batch
    left = len(data) - buffer._buffer.tell()
    assert left == 0, f"{left} bytes are left"
    batch.validate()
    return batch


def tags(of):
    value = {
        TagType.STRING: lambda tag: tag.vStr,
        TagType.DOUBLE: lambda tag: tag.vDouble,
        TagType.BOOL: lambda tag: tag.vBool,
        TagType.LONG: lambda tag: tag.vLong,
    }
    kind = TagType._VALUES_TO_NAMES
    return [[tag.key, kind[tag.vType], value[tag.vType](tag)] for tag in of or []]


def trace(of):
    return f"{of.traceIdHigh % 2**64:016x}{of.traceIdLow % 2**64:016x}"


def span(of):
    of.validate()
    kind = SpanRefType._VALUES_TO_NAMES
    return {
        "trace": trace(of),
        "id": f"{of.spanId % 2**64:016x}",
        "parent": f"{of.parentSpanId % 2**64:016x}" if of.parentSpanId else None,
        "name": of.operationName,
        "references": [[kind[r.refType], trace(r), f"{r.spanId % 2**64:016x}"] for r in of.references or []],
        "flags": of.flags,
        "start_us": of.startTime,
        "duration_us": of.duration,
        "tags": tags(of.tags),
        "logs": [[log.timestamp, tags(log.fields)] for log in of.logs or []],
    }


batch = read(protocol, pathlib.Path(file).read_bytes())
process = {"service": batch.process.serviceName, "tags": tags(batch.process.tags)}
print(json.dumps([span(one) | {"process": process} for one in batch.spans]))
