"""The book as JSON and back: compact, since it is stored with every batch. Amounts past 2^53 are decimal strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.reports.amount import Amount
from agent.reports.instruments import COMPUTE, TOKENS
from agent.reports.source import ReportKey
from agent.reports.streams import Fresh, Meter, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "flopledger.reports/1"

_CODES = {COMPUTE: "c", TOKENS: "t"}
_INSTRUMENTS = {code: instrument for instrument, code in _CODES.items()}


def pack(horizon_ns: int, meters: Mapping[ReportKey, Meter]) -> dict[str, Any]:
    """The book's content: per key its fresh growth and its streams."""
    return {
        "schema": SCHEMA,
        "horizon_ns": horizon_ns,
        "meters": [
            [
                [key.run, key.model, key.purpose, key.dtype, key.method, key.reporter],
                [_text(meter.fresh.flop), meter.fresh.tokens, meter.fresh.observed_ns],
                {
                    name: [_CODES[s.instrument], s.start_ns, s.at_ns, s.heard_ns, _text(s.counted)]
                    for name, s in meter.streams.items()
                },
            ]
            for key, meter in meters.items()
        ],
    }


def unpack(state: Mapping[str, Any]) -> tuple[int, dict[ReportKey, Meter]]:
    """The inverse of `pack`; raises ValueError for a state of another schema."""
    if state.get("schema") != SCHEMA:
        raise ValueError(f"{state.get('schema')!r} is not {SCHEMA!r}")
    meters: dict[ReportKey, Meter] = {}
    for names, (flop, tokens, observed_ns), streams in state["meters"]:
        key = ReportKey(*names)
        meter = meters[key] = Meter(fresh=Fresh(_amount(flop), tokens, observed_ns))
        for name, (code, start_ns, at_ns, heard_ns, counted) in streams.items():
            meter.streams[name] = Stream(key, _INSTRUMENTS[code], start_ns, at_ns, heard_ns, _amount(counted))
        meter.cover()
    return state["horizon_ns"], meters


def _text(amount: Amount) -> str:
    low, point, high = amount
    return str(point) if low == high else f"{low} {point} {high}"


def _amount(text: str) -> Amount:
    parts = [int(part) for part in text.split()]
    return Amount(parts[0], parts[len(parts) // 2], parts[-1])
