"""A recorded trace as a file: JSON Lines, in the order in which things happened.

The first line is the header with the devices. Every other is a snapshot, a device that could not be read, or a new list
of devices. A snapshot's `counters` are cumulative whatever the method, under the names of `agent.devices.counters`;
`interval` holds what no counter tells: how the time since the device's snapshot before was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.devices import counters
from agent.devices.interface import Capability, Device, Method, ProcessKey, ProcessUse
from agent.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = "flopledger.trace/1"


class TraceInvalid(Fatal):
    """A trace that cannot be played; the message names the file and the line."""


def _known(values: dict[str, int]) -> dict[str, int]:
    unknown = sorted(values.keys() - counters.NAMES)
    if unknown:
        raise ValueError(f"no such counter: {', '.join(unknown)}")
    return values


_Amount = Annotated[int, Field(ge=0)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CapabilityLine(_Line):
    """A `Capability`."""

    method: Method
    available: bool
    reason: str

    def capability(self) -> Capability:
        """As the agent knows it."""
        return Capability(self.method, self.available, self.reason)


class DeviceLine(_Line):
    """A `Device`, and what it can do."""

    id: str
    kind: str
    name: str
    accelerator: str | None
    units: _Amount | None
    clock_max_mhz: _Amount | None
    parent: str | None
    driver: str | None
    flop_per_s_max: _Amount | None
    place: str | None
    capabilities: tuple[CapabilityLine, ...]

    def device(self) -> Device:
        """As the agent knows it."""
        return Device(**self.model_dump(exclude={"capabilities"}))


class HeaderLine(_Line):
    """The first line."""

    schema_: Literal["flopledger.trace/1"] = Field(alias="schema")
    devices: tuple[DeviceLine, ...]


class DevicesLine(_Line):
    """From `at_ns` on these are the devices."""

    kind: Literal["devices"]
    at_ns: _Amount
    devices: tuple[DeviceLine, ...]


class SilentLine(_Line):
    """A device could not be read."""

    kind: Literal["silent"]
    device: str
    at_ns: _Amount
    reason: str


class ProcessLine(_Line):
    """A `ProcessUse`."""

    pid: _Amount
    started: _Amount
    boot_id: str
    busy_ns: _Amount | None

    def use(self) -> ProcessUse:
        """As the agent knows it."""
        return ProcessUse(ProcessKey(self.pid, self.started, self.boot_id), self.busy_ns)


class IntervalLine(_Line):
    """What of a `Delta` no counter tells."""

    method: Method
    observed_ns: _Amount
    clock_mhz: tuple[_Amount, _Amount, _Amount] | None
    flags: tuple[str, ...]


class SnapshotLine(_Line):
    """A `Snapshot`; `interval` is null for the first of a reset epoch."""

    kind: Literal["snapshot"]
    device: str
    at_ns: _Amount
    epoch: str
    resumable: bool
    counters: Annotated[dict[str, _Amount], AfterValidator(_known)]
    processes: tuple[ProcessLine, ...]
    interval: IntervalLine | None


_Parsed = TypeVar("_Parsed")
Line = DevicesLine | SilentLine | SnapshotLine

_HEADER: TypeAdapter[HeaderLine] = TypeAdapter(HeaderLine)
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def read_trace(path: Path) -> tuple[HeaderLine, list[Line]]:
    """The header and all lines of a trace; raises `TraceInvalid`."""
    try:
        with path.open("rb") as file:
            header = _parsed(_HEADER, path, 1, file.readline())
            return header, list(_lines(path, file))
    except OSError as error:
        raise TraceInvalid(f"{path}: {error.strerror}") from error


def _lines(path: Path, file: Iterator[bytes]) -> Iterator[Line]:
    for number, text in enumerate(file, start=2):
        yield _parsed(_LINE, path, number, text)


def _parsed(adapter: TypeAdapter[_Parsed], path: Path, number: int, text: bytes) -> _Parsed:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise TraceInvalid(f"{path}, line {number}: {f'{field}: ' if field else ''}{message}") from error
