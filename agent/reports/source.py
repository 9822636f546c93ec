"""Who reports, and for which run: what a resource's attributes say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.reports.identity import canonical
from agent.reports.instruments import DEFAULT_PURPOSE, DEFAULT_SCOPE, DTYPE, METHODS, MODEL, PURPOSE, RUN, SCOPE
from agent.reports.refusal import Refused
from compute.precision import Dtype
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_NAME_CHARS = 512
MAX_PURPOSE_CHARS = 64

_INSTANCE = "service.instance.id"
_HOST = "host.name"
_PID = "process.pid"
_PROCESS = "process."


@dataclass(frozen=True, slots=True)
class ReportKey:
    """What a report is about: all that names a meter except the incarnation. `reporter` is its device."""

    run: str
    model: str | None
    purpose: str
    dtype: str
    method: str
    reporter: str


@dataclass(frozen=True, slots=True)
class Source:
    """A reporting process. `identity` names all its attributes but those that a fork would change."""

    run: str
    model: str | None
    purpose: str
    dtype: str
    scope: str
    reporter: str
    identity: bytes

    def key(self, point_attributes: Iterable[KeyValue]) -> ReportKey:
        """The key of a data point; its own scope goes before the resource's."""
        scope = _text(_by_name(point_attributes), SCOPE) or self.scope
        method = METHODS.get(scope)
        if method is None:
            raise Refused(f"{SCOPE} {scope[:MAX_PURPOSE_CHARS]!r} is neither 'rank' nor 'run'")
        return ReportKey(self.run, self.model, self.purpose, self.dtype, method, self.reporter)


def read_source(attributes: Iterable[KeyValue], node: str) -> Source:
    """What a resource says; raises `Refused`. `node` names the host of one that does not say it."""
    named = _by_name(attributes)
    run = _text(named, RUN)
    if run is None or len(run) > MAX_NAME_CHARS or run == UNATTRIBUTED:
        raise Refused(
            f"resource attribute {RUN} must name the run in 1 to {MAX_NAME_CHARS} characters: "
            f"set OTEL_RESOURCE_ATTRIBUTES={RUN}=…"
        )
    dtype = _text(named, DTYPE) or str(Dtype.UNDECLARED)
    if dtype not in set(Dtype):
        raise Refused(f"{DTYPE} {dtype[:MAX_PURPOSE_CHARS]!r} is none of {', '.join(Dtype)}")
    return Source(
        run=run,
        model=_no_longer_than(_text(named, MODEL), MAX_NAME_CHARS, MODEL),
        purpose=_no_longer_than(_text(named, PURPOSE), MAX_PURPOSE_CHARS, PURPOSE) or DEFAULT_PURPOSE,
        dtype=dtype,
        scope=_text(named, SCOPE) or DEFAULT_SCOPE,
        reporter=_reporter(named, attributes, node),
        identity=canonical(pair for pair in attributes if not _of_one_process(pair.key)),
    )


def _reporter(named: Mapping[str, AnyValue], attributes: Iterable[KeyValue], node: str) -> str:
    instance, pid = _text(named, _INSTANCE), _text(named, _PID)
    if instance is None and pid is not None:
        instance = f"{_text(named, _HOST) or node}:{pid}"
    name = f"reporter:{instance}"
    if instance is None or len(name) > MAX_NAME_CHARS:
        return f"reporter:{canonical(attributes).hex()[:16]}"
    return name


def _of_one_process(name: str) -> bool:
    return name == _INSTANCE or name.startswith(_PROCESS)


def _by_name(attributes: Iterable[KeyValue]) -> dict[str, AnyValue]:
    return {pair.key: pair.value for pair in attributes}


def _text(named: Mapping[str, AnyValue], name: str) -> str | None:
    """A string or an integer as text; None when missing or empty."""
    value = named.get(name)
    kind = None if value is None else value.WhichOneof("value")
    if value is None or kind is None:
        return None
    if kind == "int_value":
        return str(value.int_value)
    if kind != "string_value":
        raise Refused(f"attribute {name} must be a string")
    return value.string_value or None


def _no_longer_than(text: str | None, chars: int, name: str) -> str | None:
    if text is not None and len(text) > chars:
        raise Refused(f"{name} has more than {chars} characters")
    return text
