from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.agents import APPROVED, FIRST_USE, Roll, Standing, enrolled, revoked
from ledger.errors import Refused
from tests.ledger.chains import NOW_NS, Chain, empty
from tests.ledger.engine import opened

if TYPE_CHECKING:
    from ledger.journal import Statement
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock

KEY, OTHER = Chain(0).agent, Chain(1).agent
ENTRIES: list[Statement] = [
    enrolled(KEY, FIRST_USE, "collector", "c", "n"),
    enrolled(KEY, FIRST_USE, "collector", "c", "elsewhere"),
    enrolled(KEY, APPROVED, "me"),
    enrolled(KEY, APPROVED, "me", node="n"),
    revoked(KEY, NOW_NS, "stolen", "me"),
    revoked(KEY, NOW_NS + 5, "stolen again", "me"),
    enrolled(OTHER, FIRST_USE, "collector", "c", "n"),
    revoked(OTHER, 0, "never ours", "me"),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(ENTRIES), max_size=6))
def test_the_roll_and_the_view_say_the_same(store: Store, clock: Clock, entries: list[Statement]) -> None:
    empty(store)
    ledger = opened(store, clock)
    roll = Roll(ledger)
    for entry in entries:
        ledger.append([entry])
        roll.refresh()
    shown = {
        row["agent"]: Standing(
            row["enrolment"] or None, row["cluster"], row["node"], row["since"], row["revoked_reason"]
        )
        for row in ledger.query(
            "SELECT agent, enrolment, cluster, node, toUnixTimestamp64Nano(revoked_from) AS since, revoked_reason "
            "FROM agents"
        ).dicts()
    }
    assert shown == {agent: roll.of(agent) for agent in shown}
    assert shown.keys() == {str(entry.data["agent"]) for entry in entries}
    again = Roll(ledger)
    assert {agent: again.of(agent) for agent in shown} == shown


def test_an_approval_lifts_a_revocation_and_a_first_use_does_not(ledger: Ledger) -> None:
    roll = Roll(ledger)
    ledger.append([enrolled(KEY, FIRST_USE, "x"), revoked(KEY, NOW_NS, "stolen", "me"), enrolled(KEY, FIRST_USE, "x")])
    roll.refresh()
    assert roll.of(KEY) == Standing(FIRST_USE, "", "", NOW_NS, "stolen")
    ledger.append([enrolled(KEY, APPROVED, "me", node="n")])
    roll.refresh()
    assert roll.of(KEY) == Standing(APPROVED, "", "n")
    assert roll.of(OTHER) is None


@pytest.mark.parametrize("key", ["", "not a key", KEY[:-1], KEY + "A", KEY[:-1] + "B"])
def test_only_a_key_can_be_put_on_record(key: str) -> None:
    with pytest.raises(Refused, match="is no agent's key"):
        enrolled(key, APPROVED, "me")
    with pytest.raises(Refused, match="is no agent's key"):
        revoked(key, 0, "why", "me")


def test_a_revocation_needs_a_reason() -> None:
    with pytest.raises(Refused, match="needs a reason"):
        revoked(KEY, 0, " ", "me")
