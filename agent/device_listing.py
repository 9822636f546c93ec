"""What each device of a node can be measured by, why not by anything better, and what to do about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from agent.devices.interface import Method
from agent.errors import Retry, SkipDevice
from cli.exits import UNREACHABLE
from cli.output import Format, console, emit, print_json, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.devices.interface import Backend, Capability, Device

COLUMNS = (
    "device",
    "place",
    "kind",
    "parent",
    "name",
    "accelerator",
    "units",
    "clock_max_mhz",
    "flop_per_s_max",
    "driver",
    "method",
    "gives",
)
_SHOWN = ("device", "name", "units", "flop_per_s_max", "method", "gives")
_RANK = {method: rank for rank, method in enumerate(Method)}
_GIVES = {
    Method.GPM_CYCLES: "FLOP with bounds; an agent that was down loses nothing",
    Method.GPM: "FLOP with bounds",
    Method.DCGM: "FLOP with bounds, from a sampled gauge",
    Method.CPU_TIME: "an upper bound",
    Method.BUSY: "an upper bound",
}
_SETTLING_S = 0.3
_SETTLINGS = 4


@dataclass(frozen=True, slots=True)
class Listed:
    """A device with every way to measure it, best first."""

    device: Device
    ways: tuple[Capability, ...]

    @property
    def method(self) -> Method | None:
        """The best way that works."""
        return next((way.method for way in self.ways if way.available), None)

    def missing(self) -> dict[str, list[str]]:
        """By reason, the methods that are better than the best that works."""
        reasons: dict[str, list[str]] = {}
        for way in self.ways:
            if way.available:
                break
            reasons.setdefault(way.reason, []).append(way.method.value)
        return reasons


def list_devices(backends: Sequence[Backend], form: Format) -> None:
    """Print the devices; exit 3 when a backend could not be reached."""
    found: dict[str, Listed] = {}
    notices: list[str] = []
    away = False
    for backend in backends:
        try:
            for device in _settled(backend):
                before = found.get(device.id)
                ways = [*(before.ways if before else ()), *backend.capabilities(device)]
                ways.sort(key=lambda way: _RANK[way.method])
                found[device.id] = Listed(before.device if before else device, tuple(ways))
        except (Retry, SkipDevice) as error:
            away = True
            notices.append(f"{backend.name}: {error}")
        notices += [notice for notice in backend.notices if notice not in notices]
        backend.close()
    _print(list(found.values()), notices, form)
    if away:
        raise typer.Exit(UNREACHABLE)


def _settled(backend: Backend) -> Sequence[Device]:
    """The devices, after a few samples where more could still make a way to measure available."""
    devices = backend.devices()
    for _ in range(_SETTLINGS):
        if not any("looked at again" in way.reason for device in devices for way in backend.capabilities(device)):
            break
        time.sleep(_SETTLING_S)
        for device in devices:
            try:
                backend.snapshot(device)
            except (Retry, SkipDevice):
                continue
    return devices


def _print(listed: Sequence[Listed], notices: Sequence[str], form: Format) -> None:
    rows = [_row(each) for each in listed]
    if form is Format.JSON:
        print_json(
            {
                "devices": [row | {"ways": _ways(each)} for row, each in zip(rows, listed, strict=True)],
                "notices": list(notices),
            }
        )
        return
    if form is Format.CSV:
        emit("devices", rows, COLUMNS, form)
    else:
        console().print(table(rows, _SHOWN))
        for line in _advice(listed):
            typer.echo(line)
    for notice in notices:
        typer.echo(notice, err=True)


def _row(listed: Listed) -> dict[str, Any]:
    device, method = listed.device, listed.method
    return {
        "device": device.id,
        "place": device.place,
        "kind": device.kind,
        "parent": device.parent,
        "name": device.name,
        "accelerator": device.accelerator,
        "units": device.units,
        "clock_max_mhz": device.clock_max_mhz,
        "flop_per_s_max": device.flop_per_s_max,
        "driver": device.driver,
        "method": None if method is None else method.value,
        "gives": "nothing: its time is a declared gap" if method is None else _GIVES[method],
    }


def _ways(listed: Listed) -> list[dict[str, Any]]:
    return [{"method": way.method.value, "available": way.available, "reason": way.reason} for way in listed.ways]


def _advice(listed: Iterable[Listed]) -> list[str]:
    """One paragraph for all devices that lack the same for the same reasons."""
    alike: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for each in listed:
        lacking = tuple((reason, tuple(methods)) for reason, methods in each.missing().items())
        if lacking:
            alike.setdefault(lacking, []).append(each.device.id)
    lines = []
    for reasons, devices in alike.items():
        some = ", ".join(devices[:3]) + (f" and {len(devices) - 3} more" if len(devices) > 3 else "")
        lines.append(f"{some}: not measured by")
        lines += [f"  {', '.join(methods)}: {reason}" for reason, methods in reasons]
    return lines
