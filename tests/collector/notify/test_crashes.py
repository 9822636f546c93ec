"""`bench/alert_crashes.py` does the same a thousand times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.collector.notify.crashing import World

if TYPE_CHECKING:
    from ledger.store import Store

CRASHES = 20
SEED = 6


def test_lives_that_end_at_random_lose_no_alert_and_repeat_none_under_another_id(store: Store) -> None:
    world = World(store, SEED)
    world.live(CRASHES)
    found = world.outcome()
    assert found.alerts >= 10
    assert found.messages > found.alerts
    assert found.repeated > 0, "no crash fell between a channel's yes and our note of it"
    assert (found.lost, found.raised_twice, found.other_ids, found.out_of_order) == ([], [], [], [])
