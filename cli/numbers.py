"""Numbers as people type them, read exactly and not by way of a float."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from cli.exits import Misconfigured

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""No 1e999999999, which would take for ever, no 1_000 and no nan."""


def exact(text: str, option: str) -> Fraction:
    """`0.4` or `3.8e25` as the fraction it is; raises `Misconfigured` naming `option`."""
    if _NUMBER.fullmatch(text.strip()) is None:
        raise Misconfigured(f"{option} {text!r} is not a number such as 3.8e25")
    return Fraction(Decimal(text.strip()))


def whole(text: str, option: str) -> int:
    """`3.8e25` as an integer; raises `Misconfigured` naming `option` for a broken or a broken-off number."""
    number = exact(text, option)
    if number.denominator != 1:
        raise Misconfigured(f"{option} {text!r} is not a whole number")
    return int(number)
