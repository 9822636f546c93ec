"""Giving memory back."""

from __future__ import annotations

import gc

from agent.memory import give_memory_back


def test_what_is_there_at_the_start_is_left_out_of_later_collections() -> None:
    try:
        give_memory_back()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
