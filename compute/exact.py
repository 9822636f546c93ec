"""Numbers as people and files write them, read exactly and not by way of a float."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from compute.estimate import Estimate

_NUMBER = re.compile(r"[+-]?(\d{1,60}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,2})?", re.ASCII)
"""No 1e999999999, which would take for ever, no 1_000 and no nan."""


def fraction(text: str) -> Fraction:
    """`0.4` or `3.8e25` as the fraction it is; raises ValueError for anything else."""
    if _NUMBER.fullmatch(text.strip()) is None:
        raise ValueError("not a number such as 3.8e25")
    return Fraction(Decimal(text.strip()))


def whole(text: str) -> int:
    """`3.8e25` as an integer; raises ValueError for a broken or a broken-off number."""
    number = fraction(text)
    if number.denominator != 1:
        raise ValueError("not a whole number")
    return int(number)


def bounded(flop: Fraction | None, low: Fraction, high: Fraction) -> Estimate:
    """Whole FLOP: the point to the nearest, the bounds outwards."""
    return Estimate(None if flop is None else round(flop), low.__floor__(), high.__ceil__())


def plain(number: Fraction | int) -> str:
    """As a decimal number, without an exponent and without trailing zeros; to 12 digits where it never ends."""
    exact = Fraction(number)
    if exact.denominator == 1:
        return f"{int(exact):,}"
    return f"{Decimal(exact.numerator) / Decimal(exact.denominator):.12g}"


def truncated(flop: int, digits: int) -> int:
    """The first `digits` digits and zeros: how the Commission's worked examples print a total (1.663e23 as 1.6e23)."""
    step: int = 10 ** max(len(str(abs(flop))) - digits, 0)
    return flop // step * step
