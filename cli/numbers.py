"""Numbers on the command line, read exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.exits import Misconfigured
from compute import exact

if TYPE_CHECKING:
    from fractions import Fraction


def fraction(text: str, option: str) -> Fraction:
    """`0.4` or `3.8e25` as the fraction it is; raises `Misconfigured` naming `option`."""
    try:
        return exact.fraction(text)
    except ValueError as error:
        raise Misconfigured(f"{option} {text!r} is {error}") from error


def whole(text: str, option: str) -> int:
    """`3.8e25` as an integer; raises `Misconfigured` naming `option` for a broken or a broken-off number."""
    try:
        return exact.whole(text)
    except ValueError as error:
        raise Misconfigured(f"{option} {text!r} is {error}") from error
