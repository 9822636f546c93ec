from __future__ import annotations

from tests.ledger.engine import clock, engine, engine_dir, ledger, store

__all__ = ["clock", "engine", "engine_dir", "ledger", "store"]
