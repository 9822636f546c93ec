"""All kinds of alerts; each has a page in docs/runbooks."""

from __future__ import annotations

from typing import get_args

from ledger.assessment.alert import Kind, LineKind

KINDS: tuple[Kind, ...] = get_args(Kind)
OPERATIONAL = tuple(kind for kind in KINDS if kind not in get_args(LineKind))
"""Something about the counting itself; legal periods hang on the others, which are about a line in law."""
