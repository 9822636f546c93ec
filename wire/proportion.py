"""How a column follows from others: FLOP are cycles × FLOP per cycle, so most of what they say is said already.

A guess, made anew for every batch and sent with it; what it misses by is sent beside it, so no number depends on the
guess being right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PER = (1, 50, 100, 1_000, 1_000_000)
"""Margins are whole per cents or parts per million."""
_SAMPLE = 24
_CLOSE = 1e-3
"""How far from a whole number a factor may be found that is one."""


def proportion(target: Sequence[int], parts: Sequence[Sequence[int]]) -> tuple[list[int], int] | None:
    """Factors and a divisor with which Σ factor × part ÷ divisor comes close to `target`; None when nothing does.

    `target` holds no zero.
    """
    # Each reading weighs the same, the first of a meter, which says all that was before, no more than the others.
    shares = [[part[n] / whole for n, whole in enumerate(target[:_SAMPLE])] for part in parts]
    factors = _solve([1.0] * len(shares[0]), shares)
    if not any(factors):
        return None
    for per in _PER[:-1]:
        whole = [round(factor * per) for factor in factors]
        if all(abs(w - f * per) <= _CLOSE for w, f in zip(whole, factors, strict=True)):
            return whole, per
    return [round(factor * _PER[-1]) for factor in factors], _PER[-1]


def _solve(target: list[float], parts: list[list[float]]) -> list[float]:
    """Least squares by orthogonalising one part after the other; a part that says nothing new gets nothing."""
    basis: list[tuple[list[float], list[float]]] = []
    for n, part in enumerate(parts):
        rest = part[:]
        made = [float(n == m) for m in range(len(parts))]
        for vector, how in basis:
            share = _dot(rest, vector)
            rest = [r - share * v for r, v in zip(rest, vector, strict=True)]
            made = [m - share * h for m, h in zip(made, how, strict=True)]
        length = _dot(rest, rest) ** 0.5
        if length > 1e-6 * _dot(part, part) ** 0.5:
            basis.append(([r / length for r in rest], [m / length for m in made]))
    factors = [0.0] * len(parts)
    for vector, how in basis:
        share = _dot(target, vector)
        factors = [f + share * h for f, h in zip(factors, how, strict=True)]
    return factors


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
