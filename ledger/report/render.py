"""A report as a page to print, as Markdown, or as JSON."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jinja2

from cli.output import json_text, scientific
from ledger.report import charts
from ledger.report.methods import LIMITS

if TYPE_CHECKING:
    from ledger.report.gather import Report, Row

_NS_PER_HOUR = 3_600 * 10**9
_BINDING = ("in force", "adopted", "guidance")
_BLOCK = re.compile(r"\n(?=#+ )|(?<=\|)\n(?=[^|\n])")
"""Where a heading, or something after a table, begins: a blank line belongs there."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def json_report(report: Report) -> str:
    """All values: FLOP as decimal strings, times as RFC 3339."""
    return json_text(asdict(report))


def html_report(report: Report) -> str:
    """One page that needs nothing else: its style and its charts are in it, and there is no script."""
    line_flop = next((row["line_flop"] for row in report.standing if row["line_flop"] is not None), None)
    return _template("report.html", html=True).render(
        _words(report),
        growth=charts.growth(report.days, line_flop),
        bars=charts.treatments(report.treatments, line_flop),
    )


def markdown_report(report: Report) -> str:
    """The same without the charts. What people typed is escaped."""
    text = _template("report.md", html=False).render(_words(report))
    apart = _BLOCK.sub("\n\n", text)
    return re.sub(r"\n{3,}", "\n\n", apart).strip() + "\n"


def _template(name: str, *, html: bool) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ledger.report"),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _words(report: Report) -> dict[str, Any]:
    return {
        "r": report,
        "by_basis": {row["basis"]: row for row in reversed(report.standing)},
        "answer": _answer(report),
        "foreseen": _foreseen(report),
        "limits": LIMITS,
        "version": version("flopledger"),
        "made": report.made_at.replace("T", " ").replace("Z", " UTC"),
        "two": lambda flop: "–" if flop is None else scientific(flop).replace("-", "−"),
        "exactly": lambda flop: "–" if flop is None else f"{flop:,}".replace("-", "−"),
        "yes": lambda value: "unknown" if value is None else ("no", "yes")[value],
        "percent": lambda share: f"{share:.1%}",
        "hours": lambda ns: f"{(ns or 0) // _NS_PER_HOUR:,}",
        "day": _day,
        "span": _span,
        "moment": _moment,
        "ratio_known": lambda ratio: ratio is not None and math.isfinite(ratio),
        "names": _names,
        "shell": shlex.quote,
        "md": lambda text: _MARKDOWN.sub(r"\\\1", " ".join(str(text).split())),
    }


def _answer(report: Report) -> dict[str, str]:
    """The one sentence that everybody reads; the stricter basis speaks."""
    rows = report.standing
    binding = [row["basis"] for row in rows if row["crossed"] and row["condition"] != "not declared"]
    if binding:
        says, tone = f"By the {' and the '.join(dict.fromkeys(binding))} estimate, the line is crossed.", "over"
    elif any(row["crossed"] for row in rows):
        says, tone = "The amount of the line is passed; that its other conditions hold is not declared.", "near"
    elif any(row["crossed_by_upper_bound"] for row in rows):
        says, tone = "The line lies between estimate and upper bound: whether it is crossed is open.", "near"
    elif any(row["crossed_with_disputed"] for row in rows):
        says, tone = "With the compute that is disputed the line would be crossed; without it, it is not.", "near"
    elif not rows or all(row["crossed"] is None for row in rows):
        says, tone = "Nothing on record says whether the line is crossed.", "near"
    else:
        says, tone = "The line is not crossed, not even by the upper bound of what is on record.", ""
    if report.line["status"] not in _BINDING:
        says += f" The line binds nobody: its status is {report.line['status']!r}."
    if report.unknown_models:
        says += " Compute that went into the model is missing from the record."
    return {"says": says, "tone": tone}


def _foreseen(report: Report) -> str:
    """When crossing became foreseeable, by when that was to be notified, and when the line was reached."""
    says = []
    if report.foreseeable:
        first = report.foreseeable[0]
        says.append(
            f"Crossing the line was foreseeable from {_moment(first['foreseeable_at'])} on (journal entry "
            f"{first['entry_index']}, rule {first['rule']}: {first['because']})."
        )
        if first["notify_by"] is not None:
            says.append(f"Counted from then, the notification is due by {_moment(first['notify_by'])}.")
    else:
        says.append("Nothing on record has made crossing the line foreseeable.")
    reached = [row for row in report.alerts if row["percent"] == 100 and row["kind"] == "estimate"]
    if reached:
        says.append(
            f"The estimate had reached it by {_moment(reached[0]['first_seen'])} "
            f"(journal entry {reached[0]['entry_index']})."
        )
    return " ".join(says)


def _day(at: datetime | None) -> str:
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d")


def _span(start: datetime | None, end: datetime | None) -> str:
    return "not stated" if start is None and end is None else f"{_day(start)} … {_day(end)}"


def _moment(at: datetime | None) -> str:
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _names(treatment: Row, wanted: str) -> str:
    return ", ".join(sorted(name for name, how in treatment.items() if how == wanted)) or "nothing"
