from __future__ import annotations

from tests.ledger.engine import clock, engine, ledger, store

__all__ = ["clock", "engine", "ledger", "store"]
