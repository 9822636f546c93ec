"""Readings into a batch's body: each column in the shortest of the forms that `decoding` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from wire.batch import BIG_COLUMNS, COLUMNS, KEY_COLUMNS, REQUIRED_COLUMNS
from wire.decoding import MAX_ROWS
from wire.proportion import proportion
from wire.sheet import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.batch import Readings

_PARTS = ("tensor_cycles", "imma_cycles", "dmma_cycles", "dfma_cycles", "fp64_cycles", "fp32_cycles", "fp16_cycles")
"""What operations are counted from."""
_OF = {"at_ns": "observed_ns", "busy_ns": "observed_ns", "hmma_cycles": "tensor_cycles"}
"""What says nearly the same."""
_EXACT_IN_JSON = 2**53 - 1
"""Larger numbers lose digits in most readers of JSON, and go as text."""


def encode(readings: Readings) -> dict[str, Any]:
    """What goes under `readings`; raises ValueError for a counter that goes back, or for too many readings."""
    if len(readings) > MAX_ROWS:
        raise ValueError(f"{len(readings)} readings, more than {MAX_ROWS}: seal more often")
    spans = readings.spans()
    grown = {name: _differences(readings.columns[name], spans, name) for name in ("at_ns", *COLUMNS[8:])}
    counts = list(readings.counts)
    uniform = counts[0] if counts and counts.count(counts[0]) == len(counts) else None
    body: dict[str, Any] = {
        "meters": {name: _hoisted([key[n] for key in readings.meters]) for n, name in enumerate(KEY_COLUMNS)},
        "count": counts if uniform is None else uniform,
    }
    plain = {name: _plain(values, name, uniform) for name, values in grown.items()}
    for name, written in plain.items():
        if name in REQUIRED_COLUMNS or any(value is not None for value in grown[name]):
            made = _made(name, readings, grown)
            body[name] = written if made is None or _size(written) <= _size(made) else made
    return body


def _hoisted(texts: list[str]) -> str | list[str]:
    return texts[0] if texts and texts.count(texts[0]) == len(texts) else texts


def _differences(column: Sequence[int | None], spans: list[tuple[int, int]], name: str) -> list[int | None]:
    grown: list[int | None] = []
    for start, end in spans:
        before: int | None = None
        for value in column[start:end]:
            if before is not None and (value is None or value < before):
                raise ValueError(f"readings.{name}: a counter that goes back")
            grown.append(None if value is None else value - (before or 0))
            before = value
    return grown


def _plain(grown: list[int | None], name: str, uniform: int | None) -> Any:
    if grown and grown[0] is not None and grown.count(grown[0]) == len(grown):
        return _written(grown, name)[0]
    if uniform and len(grown) > uniform and grown == grown[:uniform] * (len(grown) // uniform):
        return _written(grown[:uniform], name)
    least = min((value for value in grown if value is not None), default=0)
    listed = _written(grown, name)
    if 0 < least <= _EXACT_IN_JSON:
        rest = [None if value is None else value - least for value in grown]
        shorter = {"of": {ROWS: least}, "plus": _written(rest, name)}
        if _size(shorter) < _size(listed):
            return shorter
    return listed


def _made(name: str, readings: Readings, grown: dict[str, list[int | None]]) -> dict[str, Any] | None:
    """The column as made of others; None where that cannot be."""
    if name in _OF:
        terms, per = {_OF[name]: 1}, 1
    elif name in BIG_COLUMNS:
        of = [part for part in _PARTS if any(grown[part])]
        rows = [n for n, value in enumerate(grown[name]) if value and any(grown[part][n] for part in of)]
        found = rows and proportion(
            [grown[name][n] or 0 for n in rows], [[grown[part][n] or 0 for n in rows] for part in of]
        )
        if not found:
            return None
        factors, per = found
        terms = {part: factor for part, factor in zip(of, factors, strict=True) if factor}
    else:
        return None
    if not terms or max(map(abs, terms.values())) > _EXACT_IN_JSON:
        return None
    plus = _remainders(name, readings, terms, per)
    rule: dict[str, Any] = {"of": terms}
    if per != 1:
        rule["per"] = per
    if any(value != 0 for value in plus):
        rule["plus"] = _written(plus, name)
    return rule


def _remainders(name: str, readings: Readings, terms: dict[str, int], per: int) -> list[int | None]:
    columns = readings.columns
    plus: list[int | None] = []
    for start, end in readings.spans():
        before = 0
        for row in range(start, end):
            value = columns[name][row]
            if value is None:
                plus.append(None)
                continue
            rest = value - sum((columns[of][row] or 0) * times for of, times in terms.items()) // per
            plus.append(rest - before)
            before = rest
    return plus


def _written(values: Sequence[int | None], name: str) -> list[Any]:
    if name not in BIG_COLUMNS:
        return list(values)
    return [str(v) if v is not None and abs(v) > _EXACT_IN_JSON else v for v in values]


def _size(written: Any) -> int:
    return len(orjson.dumps(written))
