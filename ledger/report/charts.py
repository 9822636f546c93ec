"""Charts as inline SVG, drawn by hand: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from cli.output import scientific

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 18, 30
_TICKS = 4


@dataclass(frozen=True, slots=True)
class _Frame:
    """Maps days and FLOP to the drawing; `top_flop` is its upper edge."""

    first: date
    days: int
    top_flop: int

    def x(self, day: date) -> float:
        inner = WIDTH - LEFT - RIGHT
        return round(LEFT + inner * (day - self.first).days / max(self.days, 1), 1)

    def y(self, flop: int) -> float:
        inner = HEIGHT - TOP - BOTTOM
        return round(TOP + inner * (1 - min(flop * 10**6 // self.top_flop, 10**6) / 10**6), 1)


def growth(days: Sequence[Mapping[str, Any]], line_flop: int | None) -> Markup:
    """The total by day with its upper bound, and the line of law across; empty for fewer than two days."""
    if len(days) < 2:
        return Markup()
    flop = high = 0
    points: list[tuple[date, int, int]] = [(days[0]["day"] - timedelta(days=1), 0, 0)]
    for row in days:
        flop, high = flop + row["flop"], high + row["flop_high"]
        points.append((row["day"], flop, high))
    top = _ceiling(max(high, line_flop or 0))
    frame = _Frame(points[0][0], (points[-1][0] - points[0][0]).days, top)
    parts = [*_axes(frame), *_days(frame)]
    upper = " ".join(f"{frame.x(day)},{frame.y(most)}" for day, _, most in points)
    lower = " ".join(f"{frame.x(day)},{frame.y(least)}" for day, least, _ in reversed(points))
    parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
    parts.append(f'<polyline class="curve" points="{" ".join(reversed(lower.split()))}"/>')
    if line_flop is not None:
        y = frame.y(line_flop)
        parts.append(f'<line class="law" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="law" x="{LEFT + 6}" y="{y - 5}">the line, {scientific(line_flop)}</text>')
    return _svg(parts, HEIGHT, "Counted compute by day, with its upper bound, against the line")


def treatments(rows: Sequence[Mapping[str, Any]], line_flop: int | None) -> Markup:
    """Bars of counted, disputed and excluded compute per basis, with whiskers for the bounds; empty without rows."""
    if not rows:
        return Markup()
    top = _ceiling(max(1, line_flop or 0, *(max(row["flop_high"], 0) for row in rows)))
    step, bar = 34, 16
    height = 26 + step * len(rows) + 26
    left = 170
    inner = WIDTH - left - RIGHT

    def x(flop: int) -> float:
        return round(left + inner * (max(flop, 0) * 10**6 // top) / 10**6, 1)

    parts = []
    for number, row in enumerate(rows):
        y = 16 + step * number
        point = row["flop"] if row["flop"] is not None else row["flop_low"]
        middle = y + bar / 2
        parts += [
            f'<text x="{left - 10}" y="{middle + 4}" text-anchor="end">'
            f"{escape(row['basis'])}, {escape(row['treatment'])}</text>",
            f'<rect class="{escape(row["treatment"])}" x="{left}" y="{y}" width="{max(x(point) - left, 0.5):.1f}" '
            f'height="{bar}"/>',
            f'<path class="whisker" d="M{x(row["flop_low"])} {middle}H{x(row["flop_high"])}M{x(row["flop_low"])} '
            f'{y + 3}v{bar - 6}M{x(row["flop_high"])} {y + 3}v{bar - 6}"/>',
        ]
    bottom = 16 + step * len(rows) - 10
    for flop in _ticks(top):
        anchor = "start" if flop == 0 else "end" if flop == top else "middle"
        parts.append(f'<text x="{x(flop)}" y="{bottom + 22}" text-anchor="{anchor}">{scientific(flop)}</text>')
        parts.append(f'<line class="grid" x1="{x(flop)}" x2="{x(flop)}" y1="{bottom}" y2="{bottom + 6}"/>')
    parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    if line_flop is not None:
        at = x(line_flop)
        parts.append(f'<line class="law" x1="{at}" x2="{at}" y1="6" y2="{bottom}"/>')
    return _svg(parts, height, "Counted, disputed and excluded compute per basis, with bounds, against the line")


def _axes(frame: _Frame) -> list[str]:
    parts = []
    for flop in _ticks(frame.top_flop):
        y = frame.y(flop)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{scientific(flop)}</text>')
    return parts


def _days(frame: _Frame) -> list[str]:
    parts = []
    for number in range(_TICKS + 1):
        day = frame.first + timedelta(days=frame.days * number // _TICKS)
        anchor = ("start", *("middle",) * (_TICKS - 1), "end")[number]
        parts.append(f'<text x="{frame.x(day)}" y="{HEIGHT - 10}" text-anchor="{anchor}">{day.isoformat()}</text>')
    return parts


def _ticks(top: int) -> list[int]:
    return [top * number // _TICKS for number in range(_TICKS + 1)]


def _ceiling(flop: int) -> int:
    """The next of 1, 2, 4, 8 times a power of ten: an edge that four ticks divide evenly."""
    scale: int = 10 ** (len(str(max(flop, 1))) - 1)
    return next(scale * step for step in (1, 2, 4, 8, 10, 20) if scale * step >= flop)


def _svg(parts: Sequence[str], height: int, label: str) -> Markup:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")
