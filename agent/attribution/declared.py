"""What a run may say of itself in names and values: an environment, pod annotations, a registration file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from agent.attribution.interface import Claim
from compute.precision import Dtype
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

MAX_NAME_CHARS = 512
MAX_PURPOSE_CHARS = 64
"""The wire takes no more: a batch with a longer name would not open, and all that it counts would be lost."""


class Names(NamedTuple):
    """What the four values are called where they come from."""

    run: str
    model: str
    purpose: str
    dtype: str


def declared(values: Mapping[str, str], names: Names) -> Claim | None:
    """The claim that `values` make, None when there is nothing in them. What cannot be carried is left out and said."""
    run = text(values, names.run, MAX_NAME_CHARS)
    if run == UNATTRIBUTED:
        log.warning("%s=%s stands for work of no known run; no run can be called so", names.run, run)
        run = None
    claim = Claim(
        run=run,
        explicit=run is not None,
        purpose=text(values, names.purpose, MAX_PURPOSE_CHARS),
        dtype=_dtype(values, names.dtype),
        model=text(values, names.model, MAX_NAME_CHARS),
    )
    return None if claim == Claim() else claim


def text(values: Mapping[str, str], name: str, max_chars: int) -> str | None:
    """The value, None when it is empty; and, with a warning, when the wire could not carry it."""
    value = values.get(name, "").strip()
    # What is not UTF-8 in an environment arrives as lone surrogates, which no JSON may hold.
    if len(value) > max_chars or any("\ud800" <= char <= "\udfff" for char in value):
        log.warning("%s is ignored: it must be UTF-8 of at most %d characters, not %.80r", name, max_chars, value)
        return None
    return value or None


def _dtype(values: Mapping[str, str], name: str) -> Dtype | None:
    stated = values.get(name, "").strip().lower()
    if not stated:
        return None
    try:
        return Dtype(stated)
    except ValueError:
        log.warning("%s=%.80r is no format we know; the bounds span all formats", name, stated)
        return Dtype.UNDECLARED
