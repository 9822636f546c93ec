"""How values look: FLOP as 3.8 × 10²⁵ with the exact integer one click away, times in UTC, shares, places."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from cli.output import scientific
from ledger.web import assets
from ledger.web.lines import short
from ledger.web.sections import SECTIONS
from wire.rfc3339 import format_ns

UNKNOWN = "–"
FIRST, LAST = 20, 27
"""Powers of ten at the ends of the scale."""
_NS_PER_HOUR = 3_600 * 10**9
_NS_PER_DAY = 24 * _NS_PER_HOUR


@cache
def environment() -> jinja2.Environment:
    """Templates with these words in them. Everything is escaped unless it is markup of our own."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ledger.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        asset=assets.address, sci=sci, flop=flop, exact=exact, span=span, rate=rate, percent=percent, moment=moment,
        day=day, when=when, place=place, hours=hours, count=count, link=link, short=short,
        width=width,
        unix_ns=unix_ns,
        stamp=stamp, batch_link=batch_link, sections=SECTIONS, decades=range(FIRST, LAST + 1),
    )  # fmt: skip
    return made


def sci(value: int | None, digits: int = 2) -> Markup:
    """`3.8 × 10²⁵`, with the power as a superscript that every font has."""
    if value is None:
        return Markup(UNKNOWN)
    text = scientific(value, digits).replace("-", "−")
    if digits == 1:
        text = text.removeprefix("1 × ")
    mantissa, ten, power = text.rpartition("10")
    if not ten or power.isascii():
        return Markup(text)
    plain = power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789−"))
    return Markup('{}10<sup><span class="spoken">^</span>{}</sup>').format(
        mantissa.replace(" ", "\N{NO-BREAK SPACE}"), plain
    )


def exact(value: int | None) -> str:
    """All digits, in groups of three."""
    return UNKNOWN if value is None else f"{value:,}".replace("-", "−")


def flop(value: int | None, unit: str = "FLOP", digits: int = 2) -> Markup:
    """A number that opens into all its digits."""
    if value is None:
        return Markup('<span class="unknown" title="not known">–</span>')
    return Markup(
        '<details class="num"><summary>{sci}<span class="spoken"> {unit}, show all digits</span></summary>'
        '<span class="digits"><data value="{value}">{exact}</data> {unit}</span></details>'
    ).format(unit=unit, sci=sci(value, digits), value=value, exact=exact(value))


def span(low: int, high: int) -> Markup:
    """Two bounds."""
    return Markup("{} … {}").format(sci(low), sci(high))


def rate(flop_per_hour: int | None, unit: str = "") -> Markup:
    """FLOP per hour as FLOP per second."""
    if not flop_per_hour:
        return Markup('<span class="unknown">{}</span>').format(UNKNOWN if flop_per_hour is None else "still")
    return Markup("{} {}").format(sci(flop_per_hour // 3_600), unit)


def percent(share: float | None) -> str:
    """`43 %`, with a digit more where it is small or near the whole."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    value = share * 100
    if 0 < value < 0.1:
        return "< 0.1\N{NO-BREAK SPACE}%"
    digits = 1 if value < 10 or 99 <= value < 100 else 0
    # Never rounded up to a whole that is not reached.
    shown = math.floor(value * 10**digits) / 10**digits if value < 100 else value
    return f"{shown:,.{digits}f}\N{NO-BREAK SPACE}%"


def _utc(at: datetime | int) -> datetime:
    if isinstance(at, int):
        return datetime.fromtimestamp(at // 10**9, UTC)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def moment(at: datetime | int | None) -> Markup:
    """A time in UTC to the minute; the page's script adds the reader's own."""
    if at is None:
        return Markup(UNKNOWN)
    found = _utc(at)
    stamp = format_ns(int(found.timestamp()) * 10**9)
    return Markup('<time datetime="{}">{}</time>').format(stamp, f"{found:%Y-%m-%d %H:%M} UTC")


def day(at: datetime | int | None) -> Markup:
    """A day in UTC."""
    if at is None:
        return Markup(UNKNOWN)
    found = _utc(at)
    stamp = format_ns(int(found.timestamp()) * 10**9)
    return Markup('<time datetime="{}">{}</time>').format(stamp, f"{found:%-d %b %Y}")


def when(at_ns: int | None, now_ns: int) -> str:
    """How far away: `in 12 days`, `3 hours ago`."""
    if at_ns is None:
        return ""
    away = abs(at_ns - now_ns)
    if away >= 2 * _NS_PER_DAY:
        text = f"{away // _NS_PER_DAY:,} days"
    elif away >= 2 * _NS_PER_HOUR:
        text = f"{away // _NS_PER_HOUR} hours"
    elif away >= 120 * 10**9:
        text = f"{away // (60 * 10**9)} minutes"
    else:
        return "now"
    return f"in {text}" if at_ns > now_ns else f"{text} ago"


def place(value: int | None) -> float:
    """Where an amount lies on the scale from 10^20 to 10^27, 0 to 100."""
    if value is None or value <= 10**FIRST:
        return 0.0
    return round(min((math.log10(value) - FIRST) / (LAST - FIRST), 1.0) * 100, 2)


def hours(ns: int | None) -> str:
    """Device time, in hours."""
    if ns is None:
        return UNKNOWN
    value = ns / _NS_PER_HOUR
    return f"{value:,.0f} h" if value >= 100 else f"{value:,.1f} h"


def count(value: int | None) -> str:
    """A number of things."""
    return UNKNOWN if value is None else f"{value:,}"


def link(kind: str, name: str) -> str:
    """The address of a run's, model's or system's page; whatever an id holds, it stays one path."""
    return f"/{kind}s/{quote(name, safe='')}"


def width(value: int, most: int) -> float:
    """A part of the largest, 0 to 100."""
    return round(max(value, 0) * 10_000 // most / 100, 2) if most > 0 else 0.0


def unix_ns(at: datetime) -> int:
    """A time as Unix ns, to the microsecond."""
    return int(at.timestamp() * 1e6) * 1_000


def batch_link(agent: str, chain: str, seq: int) -> str:
    """The address of a sealed batch's page."""
    return f"/evidence/{quote(agent, safe='')}/{chain}/{seq}"


def stamp(at_ns: int) -> str:
    """A time as a form's field holds it, UTC to the minute."""
    return f"{_utc(at_ns):%Y-%m-%dT%H:%M}"
